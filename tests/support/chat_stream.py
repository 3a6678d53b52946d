"""What the tests in tests/proxy/wire/test_openai_chat_stream.py and test_openai_chat_stream_edits.py share."""

from __future__ import annotations

import json
from typing import Any

from proxy.wire.openai_chat_stream import ChatStream
from tests.support.judging import TOKEN, Judge, streamed
from trajectory.conversation import Reply

DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any] | None, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    whole = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m-1", "choices": [choice], **more}
    return b"data: " + json.dumps(whole, ensure_ascii=False).encode() + b"\n\n"


def call(index: int | None, name: str | None = None, arguments: str | None = None, call_id: str | None = None) -> Any:
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    made: dict[str, Any] = {"function": function}
    if index is not None:
        made["index"] = index
    if call_id is not None:
        made |= {"id": call_id, "type": "function"}
    return made


def calling(*calls: dict[str, Any], **more: Any) -> bytes:
    return chunk({"tool_calls": list(calls)}, **more)


def read(stream: bytes, judge: Judge | None = None) -> tuple[bytes, Reply, Reply, ChatStream]:
    reader = ChatStream(judge or Judge())
    out = streamed(reader, [stream])
    return out, reader.reply(), reader.client_reply(), reader


PARALLEL = (
    chunk({"role": "assistant", "content": None})
    + calling(call(0, "a", "", "c0"))
    + calling(call(0, arguments='{"x":'))
    + calling(call(0, arguments="1}"))
    + calling(call(1, "b", "", "c1"))
    + calling(call(1, arguments='{"y":2}'))
    + calling(call(2, "c", '{"z":3}', "c2"))
    + chunk({}, "tool_calls")
    + DONE
)
AT_ONCE = (
    chunk({"role": "assistant", "content": "Let me see."})
    + calling(call(0, "a", '{"x":1}', "c0"), call(1, "b", '{"y":2}', "c1"), call(2, "c", '{"z":3}', "c2"))
    + chunk({}, "tool_calls")
    + DONE
)
WITHOUT_INDEX = (
    calling(call(None, "a", "{}", "c0"), call(None, "b", "{}", "c1")) + calling(call(None, "c", "{}", "c2"))
    + chunk({}, "tool_calls") + DONE
)  # fmt: skip
RESTORED = (
    chunk({"role": "assistant", "content": "Write to "})
    + b"".join(chunk({"content": c}) for c in f"{TOKEN}, {TOKEN}P")
    + b"".join(calling(call(0, "a" if i == 0 else None, c, "c0" if i == 0 else None))
               for i, c in enumerate(json.dumps({"to": TOKEN, "cc": [TOKEN]})))
    + chunk({}, "tool_calls")
    + DONE
)  # fmt: skip
