"""Each wire format by an example: a reply with text, a call of the tool `good` and one of the tool `evil`.

`calls` is a client that takes whatever could be meant as a call: what it finds in the output of a proxy that lets only
`good` pass is all that any client can find there, or more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from proxy.wire.choose import wire_at
from proxy.wire.eventstream import FrameReader, encoded
from proxy.wire.format import StreamReader, Wire
from proxy.wire.mcp import read_message
from proxy.wire.mcp_reply import McpReply
from proxy.wire.sse import data_of, with_data
from tests.support import anthropic_events, chat_stream, responses
from tests.support.judging import TOKEN, VALUE, Judge
from trajectory.errors import FormatError

GOOD, EVIL = "good", "evil"
SECRET = "an argument of evil"
ARGUMENTS = json.dumps({"x": SECRET})
_JSON = json.JSONDecoder()


class OnlyGood(Judge):
    """Refuses every tool but `good`, in words that name none; puts values back."""

    def __init__(self) -> None:
        super().__init__(_AllBut(GOOD), {TOKEN: VALUE})

    def offered(self, tools: Iterable[tuple[str, ...]]) -> frozenset[str]:
        return frozenset(names[0] for names in tools if GOOD not in names)


class _AllBut(frozenset[str]):
    def __new__(cls, name: str) -> _AllBut:
        return super().__new__(cls, (name,))

    def __contains__(self, name: object) -> bool:
        return not super().__contains__(name)


@dataclass(frozen=True)
class Framing:
    """How a stream holds its payloads, which are JSON."""

    payload: Callable[[bytes], bytes]
    with_payload: Callable[[bytes, bytes], bytes]


@dataclass(frozen=True, repr=False)
class Spoken:
    name: str
    path: str
    frames: tuple[bytes, ...]
    whole: bytes
    request: bytes
    names: Callable[[Any], Iterator[object]]
    """Of one JSON object of a reply: what stands where a client looks for the names of calls, if not None."""
    framing: Framing
    stream_type: str = "text/event-stream"

    @property
    def wire(self) -> Wire:
        return wire_at(self.name, self.path)

    def reader(self, judge: Judge | None = None) -> StreamReader:
        """Lets only `good` pass, unless `judge` says otherwise."""
        return self.wire.stream(judge or OnlyGood())

    def read_whole(self, body: bytes) -> bytes:
        return self.wire.read_reply(body, OnlyGood()).client

    def calls(self, out: bytes) -> list[object]:
        return [name for value in values(out, self.stream_type) for name in self.names(value) if name is not None]

    def __repr__(self) -> str:
        return self.name + (" array" if self.stream_type == "application/json" else "")


class Mcp(Spoken):
    """Its calls are requests; what its replies can bring is tools."""

    def reader(self, judge: Judge | None = None) -> Any:
        return McpReply(read_message(self.request), _offered)

    def read_whole(self, body: bytes) -> bytes:
        return McpReply(read_message(self.request), _offered).whole(body)


def _offered(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names) - {GOOD}


def values(out: bytes, kind: str) -> Iterator[Any]:
    """Every JSON object that stands where a client looks for one, however damaged the stream is around it."""
    if out.lstrip()[:1] in (b"{", b"["):
        yield from _objects(out.decode("utf-8", "replace"))
    elif kind.endswith("eventstream"):
        yield from _payloads(out)
    else:
        for line in out.decode("utf-8", "replace").splitlines():
            yield from _objects(line.partition("data:")[2])


def _objects(text: str) -> Iterator[Any]:
    at = text.find("{")
    while at >= 0:
        try:
            value, end = _JSON.raw_decode(text, at)
            yield value
        except (ValueError, RecursionError):
            end = at + 1
        at = text.find("{", end)


def _payloads(out: bytes) -> Iterator[Any]:
    try:
        frames = FrameReader().feed(out)
    except FormatError:
        return
    for frame in frames:
        try:
            yield json.loads(frame.payload)
        except (ValueError, RecursionError):
            continue


def at(value: Any, *keys: str) -> list[dict[str, Any]]:
    """The objects below `keys`; below one that ends in `*`, those of a list."""
    found = [value] if isinstance(value, dict) else []
    for key in keys:
        inner = [one.get(key.rstrip("*")) for one in found]
        if key.endswith("*"):
            inner = [item for listed in inner if isinstance(listed, list) for item in listed]
        found = [one for one in inner if isinstance(one, dict)]
    return found


def _chat(value: Any) -> Iterator[object]:
    for turn in (*at(value, "choices*", "delta"), *at(value, "choices*", "message")):
        calls = (*at(turn, "tool_calls*", "function"), *at(turn, "tool_calls*", "custom"), *at(turn, "function_call"))
        yield from (call.get("name") for call in calls)


def _responses(value: Any) -> Iterator[object]:
    for item in (*at(value, "item"), *at(value, "response", "output*"), *at(value, "output*")):
        if str(item.get("type")).endswith("_call"):
            yield item.get("name")


def _messages(value: Any) -> Iterator[object]:
    for block in (*at(value, "content_block"), *at(value, "message", "content*"), *at(value, "content*")):
        if str(block.get("type")).endswith("tool_use"):
            yield block.get("name")


def _gemini(value: Any) -> Iterator[object]:
    for part in at(value, "candidates*", "content", "parts*"):
        yield from (call.get("name") for call in (*at(part, "functionCall"), *at(part, "function_call")))


def _interactions(value: Any) -> Iterator[object]:
    started = at(value, "step") if "event_type" in value else []
    steps = (*started, *at(value, "interaction", "steps*"), *at(value, "steps*"), *at(value, "outputs*"))
    yield from (step.get("name") for step in steps if step.get("type") == "function_call")


def _converse(value: Any) -> Iterator[object]:
    for use in (*at(value, "start", "toolUse"), *at(value, "output", "message", "content*", "toolUse")):
        yield use.get("name")


def _ollama(value: Any) -> Iterator[object]:
    yield from (call.get("name") for call in at(value, "message", "tool_calls*", "function"))


def _mcp(value: Any) -> Iterator[object]:
    sampled = at(value, "params", "tools*") if value.get("method") == "sampling/createMessage" else []
    yield from (tool.get("name") for tool in (*at(value, "result", "tools*"), *sampled))


def _sse(*told: dict[str, Any]) -> tuple[bytes, ...]:
    return tuple(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in told)


def _named(*told: tuple[str, dict[str, Any]]) -> tuple[bytes, ...]:
    return tuple(f"event: {kind}\ndata: {json.dumps({'event_type': kind, **one})}\n\n".encode() for kind, one in told)


def _cut(stream: bytes) -> tuple[bytes, ...]:
    return tuple(re.findall(rb".*?\n\n", stream, re.DOTALL))


def _body(value: Any) -> bytes:
    return json.dumps(value).encode()


SSE = Framing(data_of, with_data)
LINES = Framing(bytes.strip, lambda _, payload: payload.replace(b"\n", b" ") + b"\n")
ARRAY = Framing(lambda frame: frame[1:], lambda frame, payload: frame[:1] + payload)
BINARY = Framing(
    lambda frame: FrameReader().feed(frame)[0].payload,
    lambda frame, payload: encoded(FrameReader().feed(frame)[0].headers, payload),
)

_USER = [{"role": "user", "content": "hi"}]
_FUNCTIONS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in (GOOD, EVIL)]
_CHAT = (
    chat_stream.chunk({"role": "assistant", "content": f"See {TOKEN}."}),
    chat_stream.calling(chat_stream.call(0, EVIL, "", "c0")),
    chat_stream.calling(chat_stream.call(0, arguments=ARGUMENTS)),
    chat_stream.calling(chat_stream.call(1, GOOD, json.dumps({"to": TOKEN}), "c1")),
    chat_stream.chunk({}, "tool_calls"),
    chat_stream.DONE,
)
_CALLS = [
    {"id": f"c{name}", "type": "function", "function": {"name": name, "arguments": ARGUMENTS}} for name in (EVIL, GOOD)
]
_CHOICE = {"index": 0, "message": {"role": "assistant", "content": TOKEN, "tool_calls": _CALLS}}
_ITEMS = (responses.message(f"See {TOKEN}."), responses.function(EVIL, ARGUMENTS), responses.function(GOOD, "{}"))
_BLOCKS = [
    {"type": "text", "text": TOKEN},
    {"type": "tool_use", "id": "t1", "name": EVIL, "input": {"x": SECRET}},
    {"type": "tool_use", "id": "t2", "name": GOOD, "input": {"to": TOKEN}},
]
_MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": _BLOCKS}
_PARTS = [
    {"text": f"See {TOKEN}."},
    {"functionCall": {"name": EVIL, "id": "f1", "args": {"x": SECRET}}},
    {"functionCall": {"name": GOOD, "id": "f2", "args": {"to": TOKEN}}},
]
_CANDIDATES = [
    {"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}], "modelVersion": "g"}
    for part in _PARTS
] + [{"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}]}]
_GEMINI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}],
           "tools": [{"functionDeclarations": [{"name": GOOD}, {"name": EVIL}]}]}  # fmt: skip
_STEPS = [
    {"type": "model_output", "content": [{"type": "text", "text": TOKEN}]},
    {"type": "function_call", "id": "s1", "name": EVIL, "arguments": {"x": SECRET}},
    {"type": "function_call", "id": "s2", "name": GOOD, "arguments": {"to": TOKEN}},
]
_INTERACTION = {"id": "i1", "status": "requires_action", "model": "g"}
_LISTING = {"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": EVIL, "d": SECRET}, {"name": GOOD}]}}
_SAMPLING = {"jsonrpc": "2.0", "id": 9, "method": "sampling/createMessage", "params": {"tools": [{"name": EVIL}]}}


def _bedrock(*told: tuple[str, dict[str, Any]]) -> tuple[bytes, ...]:
    return tuple(encoded({":event-type": kind, ":message-type": "event"}, _body(one)) for kind, one in told)


FORMATS: tuple[Spoken, ...] = (
    Spoken(
        "openai.chat", "/v1/chat/completions", _CHAT,
        _body({"id": "c", "model": "m", "choices": [{**_CHOICE, "finish_reason": "tool_calls"}]}),
        _body({"model": "m", "messages": _USER, "tools": _FUNCTIONS}), _chat, SSE,
    ),
    Spoken(
        "openai.responses", "/v1/responses", _cut(responses.stream(*_ITEMS, piece=9)), responses.body(*_ITEMS),
        _body({"model": "m", "input": _USER, "tools": [{"type": "function", "name": n} for n in (GOOD, EVIL)]}),
        _responses, SSE,
    ),
    Spoken(
        "anthropic.messages", "/v1/messages",
        _cut(
            anthropic_events.begun()
            + anthropic_events.text(0, "See ", TOKEN)
            + anthropic_events.call(1, EVIL, ARGUMENTS)
            + anthropic_events.call(2, GOOD, '{"to":', f'"{TOKEN}"}}')
            + anthropic_events.ended()
        ),
        _body({**_MESSAGE, "stop_reason": "tool_use"}),
        _body({"model": "m", "max_tokens": 9, "messages": _USER, "tools": [{"name": n} for n in (GOOD, EVIL)]}),
        _messages, SSE,
    ),
    Spoken(
        "gemini.generate", "/v1/models/g:streamGenerateContent?alt=sse", _sse(*_CANDIDATES),
        _body({"candidates": [{"content": {"parts": _PARTS}, "finishReason": "STOP"}]}), _body(_GEMINI), _gemini, SSE,
    ),
    Spoken(
        "gemini.generate", "/v1/models/g:streamGenerateContent",
        (*((b"[" if not n else b",") + _body(one) for n, one in enumerate(_CANDIDATES)), b"]"),
        _body({"candidates": [{"content": {"parts": _PARTS}, "finishReason": "STOP"}]}), _body(_GEMINI), _gemini,
        ARRAY, "application/json",
    ),
    Spoken(
        "gemini.interactions", "/v1/interactions",
        (
            *_named(
                ("interaction.created", {"interaction": {**_INTERACTION, "status": "in_progress"}}),
                ("step.start", {"index": 0, "step": {"type": "model_output"}}),
                ("step.delta", {"index": 0, "delta": {"type": "text", "text": TOKEN}}),
                ("step.stop", {"index": 0}),
                ("step.start", {"index": 1, "step": {**_STEPS[1], "arguments": {}}}),
                ("step.delta", {"index": 1, "delta": {"type": "arguments_delta", "arguments": ARGUMENTS}}),
                ("step.stop", {"index": 1}),
                ("step.start", {"index": 2, "step": _STEPS[2]}),
                ("step.stop", {"index": 2}),
                ("interaction.completed", {"interaction": {**_INTERACTION, "steps": _STEPS}}),
            ),
            b"event: done\ndata: [DONE]\n\n",
        ),
        _body({**_INTERACTION, "steps": _STEPS}),
        _body({"model": "g", "input": "hi", "tools": [{"type": "function", "name": n} for n in (GOOD, EVIL)]}),
        _interactions, SSE,
    ),
    Spoken(
        "bedrock.converse", "/model/m/converse-stream",
        _bedrock(
            ("messageStart", {"role": "assistant"}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "See."}}),
            ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "1", "name": GOOD}}}),
            ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{}"}}}),
            ("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "2", "name": EVIL}}}),
            ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": ARGUMENTS}}}),
            ("messageStop", {"stopReason": "tool_use"}),
            ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 1}}),
        ),
        _body({"output": {"message": {"content": [{"text": "See."}, {"toolUse": {"name": GOOD, "input": {}}}]}}}),
        _body({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}), _converse, BINARY,
        "application/vnd.amazon.eventstream",
    ),
    Spoken(
        "ollama.chat", "/api/chat",
        tuple(
            _body({"model": "q", "message": {"role": "assistant", **said}, "done": done}) + b"\n"
            for said, done in (
                ({"content": TOKEN}, False),
                ({"tool_calls": [{"function": {"name": EVIL, "arguments": {"x": SECRET}}}]}, False),
                ({"tool_calls": [{"function": {"name": GOOD, "arguments": {"to": TOKEN}}}]}, False),
                ({"content": ""}, True),
            )
        ),
        _body({"model": "q", "done": True, "message": {"content": TOKEN, "tool_calls": [
            {"function": {"name": name, "arguments": {"x": TOKEN}}} for name in (EVIL, GOOD)]}}),
        _body({"model": "q", "messages": _USER, "tools": _FUNCTIONS}), _ollama, LINES, "application/x-ndjson",
    ),
    Mcp(
        "mcp", "/mcp", (b": ping\n\n", *_sse(_SAMPLING, _LISTING)), _body(_LISTING),
        _body({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}), _mcp, SSE,
    ),
)  # fmt: skip
