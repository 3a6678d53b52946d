"""Gemini's generateContent, streamGenerateContent and countTokens (ai.google.dev and Vertex, November 2026).

Model and method stand in the path. Fields come in camelCase and in snake_case; both are judged, and a body with both
spellings of one field is refused. A stream is server-sent events with `alt=sse`, else one JSON array.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote, unquote

from proxy.wire.counts import stated
from proxy.wire.format import Asked, HeldTurn, Rendered, ReplyJudge, ReplyRead, TurnCalls
from proxy.wire.gemini_reply import Answer
from proxy.wire.gemini_stream import GeminiStream
from proxy.wire.gemini_tools import allowed_names, calling_config, forced_function, narrowed, without_members
from proxy.wire.gemini_types import definitions_of, error_of, list_of, message_of
from proxy.wire.gemini_views import put_back
from proxy.wire.layout import Layout, Section, read_layout
from proxy.wire.spans import Edit, apply_edits, members, read_json
from proxy.wire.spelling import Fields, fields_of, folded
from trajectory.conversation import Message, ToolDefinition, ToolResult
from trajectory.errors import FormatError

_CALLED = re.compile(r"/(?:models|tunedModels|endpoints)/([^/:?]+):(\w+)(?=\?|$)")
_WRAPPED = "generatecontentrequest"
CACHED = "cachedContent"
"""The name on an allowlist of cached content: it may hold tools that nobody here sees."""


class GeminiGenerate:
    name = "gemini.generate"
    list_key = "contents"
    refusal_status = 400

    def read_request(self, layout: Layout, path: str) -> Asked:
        called = _CALLED.search(path)
        if called is None:
            raise FormatError("the path names no model and method")
        request = _request(layout)
        for item in layout.items[layout.kept :]:
            self.read_message(item.section)
        calling = calling_config(request.get("toolconfig"))
        tools = definitions_of(request.get("tools"))
        declared = {tool.name for tool in tools}
        tools += tuple(ToolDefinition(name) for name in allowed_names(calling) if name not in declared)
        config = request.get("generationconfig")
        said = fields_of({} if config is None else config, "'generationConfig'")
        return Asked(
            model=unquote(called[1]),
            streamed=called[2] == "streamGenerateContent",
            tools=tools,
            forced_tool=CACHED if request.get("cachedcontent") else forced_function(calling),
            max_tokens=stated(said.get("maxoutputtokens")),
            answers=stated(said.get("candidatecount")) or 1,
            counts=called[2] == "countTokens",
        )

    def read_message(self, section: Section) -> Message:
        return section.read_as(GeminiGenerate.name, lambda one: message_of(one.value()))

    def put_back(self, layout: Layout, at: int | None, turn: TurnCalls) -> int | None:
        return put_back(layout, at, turn) if at is not None else None

    def held_turn(self, layout: Layout) -> HeldTurn | None:
        return None

    def links(self, layout: Layout) -> list[str]:
        messages = [self.read_message(item.section) for item in layout.items[layout.kept :]]
        return [part.call_id for m in messages for part in m.parts if isinstance(part, ToolResult) and part.call_id]

    def drop_tools(self, layout: Layout, names: frozenset[str]) -> None:
        keys = {folded(key): key for key in layout.fields}
        if _WRAPPED in keys:
            key = keys[_WRAPPED]
            layout.replace(key, _narrowed_object(layout.fields[key].section.raw, names))
            return
        here = {name: keys[name] for name in ("tools", "toolconfig") if name in keys}
        was = {name: layout.fields[key].section.raw for name, key in here.items()}
        left = narrowed(was.get("tools", b""), was.get("toolconfig", b""), names)
        for name, sent in zip(("tools", "toolconfig"), left, strict=True):
            if name in here and not sent:
                layout.dropped.add(here[name])
            elif name in here:
                layout.replace(here[name], sent)

    def set_model(self, layout: Layout, model: str, parameters: dict[str, float | int | str | bool]) -> None:
        """The model stands in the path; parameters belong into `generationConfig`."""
        if not parameters:
            return
        key = next((key for key in layout.fields if folded(key) == "generationconfig"), "generationConfig")
        known = layout.value(key)
        config = dict(known) if isinstance(known, dict) else {}
        spelled = {folded(name): name for name in config}
        config |= {spelled.get(folded(name), name): value for name, value in parameters.items()}
        layout.put(key, config)

    def path_with_model(self, path: str, model: str) -> str:
        called = _CALLED.search(path)
        if called is None:
            return path
        return path[: called.start(1)] + quote(model.removeprefix("models/"), safe="") + path[called.end(1) :]

    def read_reply(self, body: bytes, judge: ReplyJudge) -> ReplyRead:
        if body.lstrip()[:1] == b"[":
            return self._read_array(body, judge)
        answer = Answer(judge)
        change = answer.take(body, is_last=True)
        reply, shown = answer.reply(), answer.client_reply()
        client = apply_edits(body, change.edits) if change.edits else body
        return ReplyRead(
            reply,
            client,
            read_json(body)[1],
            shown if change.edits else None,
            tuple(answer.refused),
            answer.restored,
            answer.turn() if answer.refused else (),
            answer.failed,
        )

    def stream(self, judge: ReplyJudge) -> GeminiStream:
        return GeminiStream(judge)

    def error(self, status: int, code: str, message: str) -> Rendered:
        return Rendered(status, json.dumps(error_of(status, code, message), ensure_ascii=False).encode())

    def error_event(self, code: str, message: str) -> bytes:
        return b"data: " + json.dumps(error_of(503, code, message), ensure_ascii=False).encode() + b"\r\n\r\n"

    def final_message(self, text: str, model: str, streamed: bool) -> Rendered:
        content = {"parts": [{"text": text}], "role": "model"}
        usage = {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}
        whole = {
            "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
            "usageMetadata": usage,
            "modelVersion": model,
            "responseId": "ironcage",
        }
        body = json.dumps(whole, ensure_ascii=False).encode()
        return Rendered(200, b"data: " + body + b"\r\n\r\n", "text/event-stream") if streamed else Rendered(200, body)

    def _read_array(self, body: bytes, judge: ReplyJudge) -> ReplyRead:
        """A stream that was collected whole: its client wants one JSON array."""
        reader = self.stream(judge)
        first, rest = reader.feed(body), reader.end()
        client = first.send + first.last + rest.send + rest.last if reader.edited else body
        shown = reader.client_reply() if reader.edited else None
        turn = reader.turn() if reader.refused else ()
        texts = read_json(body)[1]
        return ReplyRead(
            reader.reply(), client, texts, shown, tuple(reader.refused), reader.restored, turn, reader.failed
        )


class GeminiGenerateArray(GeminiGenerate):
    """The same where a stream is asked for without `alt=sse`."""

    stream_type = "application/json"

    def error_event(self, code: str, message: str) -> bytes:
        return json.dumps([error_of(503, code, message)], ensure_ascii=False).encode()

    def final_message(self, text: str, model: str, streamed: bool) -> Rendered:
        whole = super().final_message(text, model, streamed=False)
        return Rendered(200, b"[" + whole.body + b"]") if streamed else whole


def read_messages(body: bytes) -> tuple[Message, ...]:
    """All messages of a recorded request body, the system instruction first. Raises FormatError."""
    layout = read_layout(body, GeminiGenerate.list_key)
    request = _request(layout)
    system = request.get("systeminstruction")
    contents = [item.section.value() for item in layout.items]
    if not contents:
        contents = list_of(layout.value("contents"), "'contents'")
    said = () if system is None else (Message("system", message_of(system).parts),)
    return (*said, *(message_of(content) for content in contents))


def asks_for_array(path: str) -> bool:
    """Whether the stream asked for at `path` (with its query) is a JSON array."""
    place, _, query = path.partition("?")
    options = {unquote(option).lstrip("$") for option in query.split("&")}
    return place.endswith(":streamGenerateContent") and "alt=sse" not in options


def _request(layout: Layout) -> Fields:
    """The request's fields but `contents`; those of the request that countTokens wraps, where it does."""
    fields = fields_of(dict.fromkeys(layout.fields), "the request")
    if fields.keys_as_written.get("contents", "contents") != "contents":
        raise FormatError("'contents' must be spelled so")
    keys = {name: key for name, key in fields.keys_as_written.items() if name != "contents"}
    values = {name: layout.value(key) for name, key in keys.items()}
    wrapped = values.get(_WRAPPED)
    if wrapped is not None:
        if "contents" in fields or "tools" in keys:
            raise FormatError("a request stands beside the one that is wrapped")
        inner = fields_of(wrapped, "'generateContentRequest'")
        for content in list_of(inner.get("contents"), "'contents'"):
            message_of(content)
        return inner
    if not layout.is_listed:
        contents = list_of(layout.value("contents"), "'contents'")
        if not contents:
            raise FormatError("'contents' must be an array")
        message_of(contents[0])
    return Fields({key: values[name] for name, key in keys.items()}, keys)


def _narrowed_object(raw: bytes, names: frozenset[str]) -> bytes:
    found = members(raw)
    keys = {folded(key): key for key in found}
    here = [keys.get("tools", ""), keys.get("toolconfig", "")]
    was = [raw[found[key].start : found[key].end] if key else b"" for key in here]
    left = narrowed(was[0], was[1], names)
    drop = {key for key, sent in zip(here, left, strict=True) if key and not sent}
    edits = [
        Edit(found[key].start, found[key].end, sent)
        for key, sent in zip(here, left, strict=True)
        if key and sent and key not in drop
    ]
    return apply_edits(raw, edits + without_members(raw, found, drop))
