"""Bedrock's runtime API: Converse and ConverseStream, invoke, and count-tokens (AWS API reference, November 2026).

Requests are signed over their bytes (Signature Version 4), so they go on as they came or are refused: a tool beyond
the allowlist is not taken out, personal data is not masked, and a candidate does not take the model's place. An
invoke body is in the model's own format, which nobody here reads: it counts as the tool `bedrock_invoke`, and it is
refused where redaction is on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import msgspec

from proxy.wire.bedrock_reply import ConverseStream, check_restored, exception_frame, read_converse
from proxy.wire.counts import stated
from proxy.wire.eventstream import CONTENT_TYPE, FrameReader, encoded
from proxy.wire.format import Asked, HeldTurn, Rendered, ReplyJudge, ReplyRead, StreamStep, TurnCalls
from proxy.wire.layout import Layout, Section
from proxy.wire.spans import read_json
from trajectory.conversation import Message, Opaque, Part, Reply, Text, ToolCall, ToolDefinition, ToolResult
from trajectory.errors import ClientError, FormatError

INVOKE_TOOL = "bedrock_invoke"
PROMPT_TOOL = "bedrock_prompt"
"""A prompt that AWS stores: it may hold tools, and they are not in the request."""
_PLACE = re.compile(r"/model/([^/]+)/([a-z-]+)$")
_STREAMS = frozenset({"converse-stream", "invoke-with-response-stream"})
_ERRORS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    413: "ValidationException",
    429: "ThrottlingException",
    504: "ModelTimeoutException",
}
_HINT = "a request that is signed over its bytes goes on as it came or not at all"


class BedrockConverse:
    name = "bedrock.converse"
    list_key = "messages"
    refusal_status = 400
    stream_type = CONTENT_TYPE
    is_signed = True
    is_opaque = False

    def read_request(self, layout: Layout, path: str) -> Asked:
        if "messages" in layout.fields and not layout.is_listed:
            raise FormatError("'messages' must be an array")
        model, verb = _place(path)
        body = {key: layout.value(key) for key in ("toolConfig", "additionalModelRequestFields", "system")}
        limit = _object(layout.value("inferenceConfig")).get("maxTokens")
        tools = [*_offered(body), *_added(section.value() for section in layout.sections() if _may_add(section))]
        if verb == "count-tokens":
            tools += _counted(_object(layout.value("input")))
        if ":prompt/" in model:
            tools.append(ToolDefinition(PROMPT_TOOL))
        forced = _object(_object(_object(body["toolConfig"]).get("toolChoice")).get("tool")).get("name")
        return Asked(
            model=model,
            streamed=verb in _STREAMS,
            tools=tuple(tools),
            forced_tool=forced if isinstance(forced, str) else None,
            max_tokens=stated(limit),
            counts=verb == "count-tokens",
        )

    def read_message(self, section: Section) -> Message:
        return _message(section.value())

    def put_back(self, layout: Layout, at: int | None, turn: TurnCalls) -> int | None:
        return None

    def held_turn(self, layout: Layout) -> HeldTurn | None:
        return None

    def links(self, layout: Layout) -> list[str]:
        new = (_message(item.section.value()) for item in layout.items[layout.kept :])
        return [part.call_id for message in new for part in message.parts if isinstance(part, ToolResult)]

    def drop_tools(self, layout: Layout, names: frozenset[str]) -> None:
        raise ClientError("tools that are not on the allowlist cannot be taken out of this request", hint=_HINT)

    def set_model(self, layout: Layout, model: str, parameters: dict[str, float | int | str | bool]) -> None:
        raise FormatError(f"another model cannot answer it: {_HINT}")

    def path_with_model(self, path: str, model: str) -> str:
        return path  # the request is refused: see set_model

    def read_reply(self, body: bytes, judge: ReplyJudge) -> ReplyRead:
        return read_converse(body, judge)

    def stream(self, judge: ReplyJudge) -> ConverseStream:
        return ConverseStream(judge)

    def error(self, status: int, code: str, message: str) -> Rendered:
        kind = _ERRORS.get(status, "ValidationException" if status < 500 else "ServiceUnavailableException")
        return Rendered(status, _encoded({"__type": kind, "message": message, "code": code}))

    def error_event(self, code: str, message: str) -> bytes:
        return exception_frame(
            message, "modelStreamErrorException" if code.startswith("upstream_") else "validationException"
        )

    def final_message(self, text: str, model: str, streamed: bool) -> Rendered:
        usage = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}
        end: dict[str, object] = {"usage": usage, "metrics": {"latencyMs": 0}}
        if not streamed:
            message = {"role": "assistant", "content": [{"text": text}]}
            return Rendered(200, _encoded({"output": {"message": message}, "stopReason": "end_turn", **end}))
        events: tuple[tuple[str, dict[str, object]], ...] = (
            ("messageStart", {"role": "assistant"}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}}),
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "end_turn"}),
            ("metadata", end),
        )
        return Rendered(200, b"".join(_event(kind, payload) for kind, payload in events), CONTENT_TYPE)


class BedrockInvoke(BedrockConverse):
    name = "bedrock.invoke"
    is_opaque = True

    def read_request(self, layout: Layout, path: str) -> Asked:
        model, verb = _place(path)
        return Asked(model=model, streamed=verb in _STREAMS, tools=(ToolDefinition(INVOKE_TOOL),))

    def read_message(self, section: Section) -> Message:
        return Message("user", (Opaque("invoke"),))

    def links(self, layout: Layout) -> list[str]:
        return []

    def read_reply(self, body: bytes, judge: ReplyJudge) -> ReplyRead:
        texts = read_json(body)[1]
        check_restored(texts, judge)
        return ReplyRead(Reply(finish="end"), body, texts)

    def stream(self, judge: ReplyJudge) -> InvokeStream:  # type: ignore[override]
        return InvokeStream()

    def final_message(self, text: str, model: str, streamed: bool) -> Rendered:
        """Each model family has a shape of its own: only the error is understood by all clients."""
        return self.error(self.refusal_status, "retry_budget_exhausted", text)


class InvokeStream:
    """Frames of which only the checksums are judged; nobody here knows what ends them but the end itself."""

    edited = False
    restored = 0
    ended = False
    failed = False

    def __init__(self) -> None:
        self.refused: list[Any] = []
        self._frames = FrameReader()
        self._latest = b""

    def feed(self, part: bytes) -> StreamStep:
        frames = self._frames.feed(part)
        self.failed = self.failed or any(frame.is_exception for frame in frames)
        raw = [frame.raw for frame in frames]
        if not raw:
            return StreamStep()
        # the last frame so far waits: it may be the last of all
        send, self._latest = b"".join([self._latest, *raw[:-1]]), raw[-1]
        return StreamStep(send=send)

    def end(self) -> StreamStep:
        self.edited = bool(self._frames.rest())
        last, self._latest = self._latest, b""
        return StreamStep(last=last)

    def reply(self) -> Reply:
        return Reply(finish="error" if self.failed else None if self.edited else "end")

    def client_reply(self) -> Reply:
        return self.reply()

    def turn(self) -> TurnCalls:
        return ()


def _place(path: str) -> tuple[str, str]:
    """Model and verb. Raises FormatError; the path was recognised by the same words before."""
    match = _PLACE.search(path.partition("?")[0])
    if match is None:
        raise FormatError("the path names no model")
    return unquote(match[1]), match[2]


def _offered(body: dict[str, Any]) -> Iterator[ToolDefinition]:
    """Tools of `toolConfig`, and those that a model's own fields bring past it."""
    for tool in _list(_object(body.get("toolConfig")).get("tools"), "tools"):
        yield from _definition(tool)
    more = _object(body.get("additionalModelRequestFields"))
    for key in ("tools", "mcp_servers"):
        for tool in _list(more.get(key), key):
            named = _object(tool)
            name = named.get("name") or named.get("type")
            yield ToolDefinition(name if isinstance(name, str) else key)


def _definition(tool: object) -> Iterator[ToolDefinition]:
    if not isinstance(tool, dict):
        raise FormatError("a tool must be an object")
    for kind, inner in tool.items():
        if kind == "cachePoint":
            continue
        spec = _object(inner)
        name = spec.get("name")
        if kind == "toolSpec" and not isinstance(name, str):
            raise FormatError("a tool must have a name")
        schema = msgspec.json.encode(_object(spec.get("inputSchema")).get("json") or {}).decode()
        # one of a kind that is newer than this code goes by its kind
        yield ToolDefinition(name if isinstance(name, str) else kind, str(spec.get("description") or ""), schema)


def _may_add(section: Section) -> bool:
    """Most messages add no tools; a key can be written with escapes."""
    return b"toolAddition" in section.raw or b"\\u" in section.raw


def _added(messages: Iterator[object]) -> Iterator[ToolDefinition]:
    """Tools that come in mid-conversation."""
    for message in messages:
        content = _object(message).get("content")
        for block in content if isinstance(content, list) else ():
            added = _object(block).get("toolAddition")
            if added is None:
                continue
            tools = _object(added).get("tools")
            for tool in tools if isinstance(tools, list) else [added]:
                found = list(_definition(tool)) if isinstance(tool, dict) else []
                yield from found or [ToolDefinition("toolAddition")]


def _counted(counted: dict[str, Any]) -> Iterator[ToolDefinition]:
    """Of a request whose tokens are to be counted: it stands inside another."""
    if "invokeModel" in counted:
        yield ToolDefinition(INVOKE_TOOL)
    inner = _object(counted.get("converse"))
    yield from _offered(inner)
    yield from _added(iter(_list(inner.get("messages"), "messages")))


def _message(raw: object) -> Message:
    message = _object(raw)
    parts = tuple(_part(block) for block in _list(message.get("content"), "content"))
    if any(isinstance(part, ToolResult) for part in parts):
        return Message("tool", parts)
    return Message("assistant" if message.get("role") == "assistant" else "user", parts)


def _part(raw: object) -> Part:
    block = _object(raw)
    if isinstance(block.get("text"), str):
        return Text(block["text"])
    if isinstance(use := block.get("toolUse"), dict):
        arguments = msgspec.json.encode(use.get("input")).decode()
        return ToolCall(str(use.get("toolUseId") or ""), str(use.get("name") or ""), arguments)
    if isinstance(result := block.get("toolResult"), dict):
        said = [_result_text(one) for one in _list(result.get("content"), "content")]
        return ToolResult(str(result.get("toolUseId") or ""), "\n".join(said), result.get("status") == "error")
    return Opaque(next(iter(block), "unknown"))


def _result_text(raw: object) -> str:
    block = _object(raw)
    if isinstance(block.get("text"), str):
        return str(block["text"])
    return msgspec.json.encode(block["json"]).decode() if "json" in block else ""


def _event(kind: str, payload: dict[str, object]) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encoded(headers, _encoded(payload))


def _encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object, name: str) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise FormatError(f"{name!r} must be an array")
    return value or []
