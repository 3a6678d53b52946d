"""Pseudonyms in chat completions where they are seldom: lists of content, refusals, arguments that are objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.openai_chat_stream import ChatStream
from tests.support import openai_sdk
from tests.support.chat_stream import DONE, call, calling, chunk, read
from tests.support.judging import TOKEN, VALUE, Judge, notice, restoring, streamed

PARTS = [{"type": "thinking", "thinking": [{"type": "text", "text": TOKEN}]}, {"type": "text", "text": f"to {TOKEN}"}]


def deltas(stream: bytes) -> list[dict[str, Any]]:
    frames = [json.loads(line[6:]) for line in stream.split(b"\n\n") if line.startswith(b"data: {")]
    return [choice["delta"] for frame in frames for choice in frame["choices"]]


def bytewise(stream: bytes) -> bytes:
    return streamed(ChatStream(restoring()), [stream[at : at + 1] for at in range(len(stream))])


def test_values_are_put_back_in_a_list_of_content_and_not_in_its_reasoning() -> None:
    out, reply, shown, reader = read(chunk({"content": PARTS}) + chunk({}, "stop") + DONE, restoring())
    assert deltas(out)[0]["content"] == [PARTS[0], {"type": "text", "text": f"to {VALUE}"}]
    assert (reply.text, shown.text, reader.restored) == (f"to {TOKEN}", f"to {VALUE}", 1)


def test_a_whole_reply_s_reasoning_keeps_its_pseudonyms() -> None:
    body = json.dumps({"choices": [{"message": {"content": PARTS}, "finish_reason": "stop"}]}).encode()
    got = OpenAIChat().read_reply(body, restoring())
    assert json.loads(got.client)["choices"][0]["message"]["content"][0] == PARTS[0]
    assert got.client_reply is not None and (got.client_reply.text, got.restored) == (f"to {VALUE}", 1)
    unknown = body.replace(TOKEN.encode(), b"PII_EMAIL_ZZZZZZZZZZ")
    assert OpenAIChat().read_reply(unknown, restoring()).client is unknown


@pytest.mark.parametrize("at", range(1, len(TOKEN)))
def test_a_pseudonym_in_a_refusal_is_restored_wherever_it_is_cut(at: int) -> None:
    stream = (
        chunk({"content": "", "refusal": f"No, {TOKEN[:at]}"}) + chunk({"refusal": f"{TOKEN[at:]} P"})
        + chunk({}, "stop") + DONE
    )  # fmt: skip
    out, reply, shown, reader = read(stream, restoring())
    assert openai_sdk.accumulated(out).choices[0].message.refusal == f"No, {VALUE} P" == shown.text
    assert (reply.text, reader.restored) == (f"No, {TOKEN} P", 1)
    assert bytewise(stream) == out


def test_what_is_held_of_one_text_comes_before_the_next_one() -> None:
    said: list[dict[str, Any]] = [
        {"content": "a P"},
        {"refusal": "b PI"},
        {"content": PARTS[1:]},
        {"content": "c P", "refusal": "d PII"},
    ]
    out, _, shown, _ = read(b"".join(map(chunk, said)) + chunk({}, "stop") + DONE, restoring())
    assert deltas(out) == [
        {"content": "a "}, {"content": "P"}, {"refusal": "b "}, {"refusal": "PI"},
        {"content": [{"type": "text", "text": f"to {VALUE}"}]}, {"content": "c P", "refusal": "d "},
        {"refusal": "PII"}, {},
    ]  # fmt: skip
    assert shown.text == f"a Pb PIto {VALUE}c Pd PII"


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_values_are_put_back_in_arguments_that_are_an_object(kind: str) -> None:
    key = "input" if kind == "custom" else "arguments"
    told = {"index": 0, "id": "c", kind: {"name": "a", key: {"to": [TOKEN], "n": 1.50}}}
    out, reply, shown, reader = read(calling(told) + chunk({}, "tool_calls") + DONE, restoring())
    assert deltas(out)[0]["tool_calls"][0][kind][key] == {"to": [VALUE], "n": 1.50}
    assert json.loads(shown.calls[0].arguments) == {"to": [VALUE], "n": 1.50}
    assert json.loads(reply.calls[0].arguments)["to"] == [TOKEN] and reader.restored == 1


def test_a_refused_call_beside_a_list_of_content_becomes_a_part_of_it() -> None:
    delta = {"content": PARTS[1:], "tool_calls": [call(0, "bad", "{}", "c0")]}
    out, _, shown, _ = read(
        chunk(delta) + chunk({"content": PARTS[1:]}) + chunk({}, "tool_calls") + DONE, restoring(["bad"])
    )
    texts = [part["text"] for one in deltas(out) for part in one.get("content") or () if isinstance(part, dict)]
    assert texts == [f"to {VALUE}", f"\n\n{notice('bad')}", f"to {VALUE}"]
    assert shown.text == f"to {VALUE}\n\n{notice('bad')}\n\nto {VALUE}"


def test_a_list_and_a_refusal_without_pseudonyms_pass_byte_for_byte() -> None:
    said: list[dict[str, Any]] = [{"content": [{"type": "text", "text": "P"}]}, {"refusal": "no"}, {"content": []}]
    stream = b"".join(map(chunk, said)) + chunk({}, "stop") + DONE
    for judge in (restoring(), Judge()):
        out, reply, _, reader = read(stream, judge)
        assert (out, reply.text, reader.edited) == (stream, "Pno", False)


def test_what_is_held_of_arguments_is_not_lost_where_the_end_brings_none() -> None:
    stream = calling(call(0, "a", '"P', "c0")) + chunk({"tool_calls": [call(0, "")]}, "tool_calls") + DONE
    out, _, shown, _ = read(stream, restoring())
    assert "".join(c["function"].get("arguments", "") for d in deltas(out) for c in d["tool_calls"]) == '"P'
    assert shown.calls[0].arguments == '"P'
