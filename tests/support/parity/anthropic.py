"""Messages."""

from __future__ import annotations

import json

from tests.support import anthropic_events as messages
from tests.support.parity.format import Call, Json, ModelFormat, Understood, error_of, halves, offered


def _messages_ask(texts: list[str], tools: list[str], streamed: bool) -> Json:
    asked: Json = {
        "model": "m",
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": text} for text in texts],
    }
    if tools:
        asked["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in tools]
    return {**asked, "stream": True} if streamed else asked


def _messages_whole(texts: list[str], calls: list[Call]) -> Json:
    said: list[Json] = [{"type": "text", "text": "".join(texts)}] if texts else []
    made = [{"type": "tool_use", "id": c.id, "name": c.name, "input": json.loads(c.arguments)} for c in calls]
    reason = "tool_use" if calls else "end_turn"
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1"}
    return {**head, "content": said + made, "stop_reason": reason, "stop_sequence": None, "usage": messages.USAGE}


def _messages_events(texts: list[str], calls: list[Call]) -> list[bytes]:
    stream = messages.begun()
    if texts:
        stream += messages.text(0, *(piece for text in texts for piece in halves(text)))
    for index, call in enumerate(calls, start=bool(texts)):
        stream += messages.call(index, call.name, "", *call.pieces)
    stream += messages.ended("tool_use" if calls else "end_turn")
    return [event + b"\n\n" for event in stream.split(b"\n\n") if event]


def _messages_read(value: Json) -> Understood:
    if "content" not in value:
        return Understood(error=error_of(value))
    text = "".join(block["text"] for block in value["content"] if block["type"] == "text")
    calls = [block for block in value["content"] if block["type"] == "tool_use"]
    return Understood(text, tuple((call["name"], call["input"]) for call in calls))


def _messages_gather(events: list[Json]) -> Understood:
    blocks: list[Json] = []
    pieces: dict[int, str] = {}
    for event in events:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks), "a gap in the indices"
            blocks.append(event["content_block"])
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], blocks[event["index"]]
            if block["type"] == "text":
                block["text"] += delta["text"]
            else:
                pieces[event["index"]] = pieces.get(event["index"], "") + delta["partial_json"]
    for index, said in pieces.items():
        blocks[index]["input"] = json.loads(said)
    told = _messages_read({"content": blocks})
    return Understood(told.text, told.calls, "".join(map(error_of, events)))


MESSAGES = ModelFormat(
    "Messages", "/v1/messages", "/v1/messages",
    _messages_ask, _messages_whole, _messages_events, _messages_read, _messages_gather, offered,
    refusal_status=403,
)  # fmt: skip
