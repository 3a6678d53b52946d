from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import anthropic_sdk
from tests.support.anthropic_events import USAGE
from tests.support.anthropic_requests import WIRE
from tests.support.judging import TOKEN, VALUE, Judge, notice, restoring
from trajectory.conversation import Reply, ToolCall, Usage
from trajectory.errors import FormatError


def reply(*content: dict[str, Any], stop: str | None = "tool_use", **more: Any) -> bytes:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": list(content)}
    return json.dumps({**head, "stop_reason": stop, "stop_sequence": None, "usage": USAGE, **more}).encode()


def use(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": arguments}


SAID = {"type": "text", "text": "Let me see."}
WHOLE = reply({"type": "thinking", "thinking": TOKEN, "signature": "s"}, SAID, use("a", x=1), use("b"), use("c", z=3))


def test_a_reply_that_no_rule_concerns_is_the_upstreams_own_bytes() -> None:
    read = WIRE.read_reply(WHOLE, restoring())
    assert read.client is WHOLE
    assert read.client_reply is None
    assert read.reply == Reply(
        "Let me see.",
        (ToolCall("toolu_a", "a", '{"x": 1}'), ToolCall("toolu_b", "b", "{}"), ToolCall("toolu_c", "c", '{"z": 3}')),
        "tool_call",
        Usage(27, 1, 5, cache_write_tokens=2),
        "m-1",
        "msg_1",
    )


@pytest.mark.parametrize("refused", ["a", "b", "c", "ab", "bc", "ac", "abc"])
def test_a_refused_call_becomes_text_at_its_place(refused: str) -> None:
    read = WIRE.read_reply(WHOLE, Judge(refused))
    message = anthropic_sdk.parsed(read.client)
    left = [name for name in "abc" if name not in refused]
    for name, one in zip("abc", message.content[2:], strict=True):
        assert (one.type, one.text if name in refused else one.name) == (
            ("text", notice(name)) if name in refused else ("tool_use", name)
        )
    assert message.stop_reason == ("tool_use" if left else "end_turn")
    assert len(read.refused) == len(refused)
    assert len(read.reply.calls) == 3
    assert read.client_reply is not None
    assert [c.name for c in read.client_reply.calls] == left
    assert read.client_reply.finish == ("tool_call" if left else "end")
    # what was not concerned keeps its bytes
    assert read.client.startswith(WHOLE[: WHOLE.index(b'{"type": "tool_use"')])
    assert read.client.endswith(WHOLE[WHOLE.index(b'"stop_sequence"') :])


def test_values_come_back_where_a_person_or_a_tool_reads_them() -> None:
    cited = {"type": "char_location", "cited_text": TOKEN, "document_title": TOKEN, "encrypted_index": TOKEN}
    body = reply(
        {"type": "thinking", "thinking": TOKEN, "signature": TOKEN},
        {"type": "redacted_thinking", "data": TOKEN},
        {"type": "text", "text": f"to {TOKEN}", "citations": [cited]},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": TOKEN}},
        {"type": "compaction", "content": TOKEN},
        use("a", to=TOKEN, nested={TOKEN: [TOKEN]}),
    )
    read = WIRE.read_reply(body, restoring())
    message = anthropic_sdk.parsed(read.client)
    assert message.content[2].text == f"to {VALUE}"
    citation = message.content[2].citations[0]
    assert (citation.cited_text, citation.document_title, citation.encrypted_index) == (VALUE, VALUE, TOKEN)
    assert message.content[5].input == {"to": VALUE, "nested": {VALUE: [VALUE]}}
    assert (message.content[0].thinking, message.content[0].signature) == (TOKEN, TOKEN)
    assert (message.content[1].data, message.content[3].input, message.content[4].content) == (
        TOKEN, {"query": TOKEN}, TOKEN,
    )  # fmt: skip
    assert read.restored == 6
    assert read.client_reply is not None
    assert read.client_reply.text == f"to {VALUE}"


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"content":"text"}',
        b'{"content":[1]}',
        b'{"content":[{"type":"tool_use","name":"a","name":"b"}]}',
        b'{"content":[{"type":"tool_use"}]}',
        b'{"content":[]} trailing',
        b"\xff",
    ],
)
def test_a_reply_that_cannot_be_judged_is_refused(body: bytes) -> None:
    with pytest.raises(FormatError):
        WIRE.read_reply(body, Judge())
