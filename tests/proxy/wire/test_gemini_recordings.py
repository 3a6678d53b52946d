"""What Google really sent, through the readers: identical bytes, and what the official SDK reads out of them."""

from __future__ import annotations

import json

import pytest

from proxy.wire.gemini import GeminiGenerate
from proxy.wire.layout import read_layout
from tests.support.cassettes import Recorded, exchanges, streams
from tests.support.chunks import cut
from tests.support.genai_sdk import chunks, parsed, text_and_calls
from tests.support.judging import Judge, restoring, streamed
from trajectory.conversation import Reply

WIRE = GeminiGenerate()


def agrees(reply: Reply, replies: list) -> None:
    text, calls = text_and_calls(replies)
    assert reply.text == text
    assert [(c.id, c.name, json.loads(c.arguments)) for c in reply.calls] == [(i, n, a or {}) for i, n, a in calls]
    usage = replies[-1].usage_metadata
    if usage is not None and reply.usage is not None:
        sums = (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)
        assert reply.usage.input_tokens == sums
        assert (reply.usage.output_tokens or 0) == (usage.candidates_token_count or 0) + (
            usage.thoughts_token_count or 0
        )
    assert reply.model == replies[-1].model_version


def replies(path_end: str) -> list[bytes]:
    """Those that the cassettes hold as parsed JSON are written the way Google writes them."""
    found = [one for one in exchanges(path_end) if one.status == 200]
    return [one.reply or json.dumps(one.reply_json, indent=2, ensure_ascii=False).encode() for one in found]


def requests(path_end: str) -> list[tuple[Recorded, bytes]]:
    return [(one, one.request or json.dumps(one.request_json).encode()) for one in exchanges(path_end)]


def test_recorded_streams_pass_unchanged_and_read_as_the_sdk_reads_them() -> None:
    found = streams(":streamGenerateContent")
    assert len(found) > 20
    for _, stream in found:
        for judge in (Judge(), restoring()):
            reader = WIRE.stream(judge)
            assert streamed(reader, cut(stream, [7, 100, 1001, 5003])) == stream
            assert not reader.edited
        agrees(reader.reply(), chunks(stream))
        assert reader.reply().finish in ("end", "tool_call", "error")


def test_recorded_replies_pass_unchanged_and_read_as_the_sdk_reads_them() -> None:
    found = replies(":generateContent")
    assert len(found) > 150
    for body in found:
        read = WIRE.read_reply(body, restoring())
        assert read.client is body
        agrees(read.reply, [parsed(body)])


@pytest.mark.parametrize("method", [":generateContent", ":streamGenerateContent", ":countTokens"])
def test_recorded_requests_are_understood_and_leave_as_they_came(method: str) -> None:
    for one, body in requests(method):
        layout = read_layout(body, WIRE.list_key)
        asked = WIRE.read_request(layout, one.path)
        assert asked.model == one.path.rpartition("/")[2].partition(":")[0]
        assert asked.streamed == (method == ":streamGenerateContent")
        WIRE.drop_tools(layout, frozenset({"no such tool"}))
        assert b"".join(span.data for span in layout.assembled()) == body
