from __future__ import annotations

from typing import Any

import pytest

from tests.support.attempts import model_attempt
from trajectory.conversation import Reply, ToolCall, Usage
from trajectory.ending import answered
from trajectory.events import AttemptEnded, End, ModelAsked

SAID = Reply(
    "\u00e9\ud800", (ToolCall("c", "look", "{}"),), usage=Usage(5, 6), model="m-1"
)  # half a surrogate pair, too


def ended(end: End = "complete", *, answers: int = 1, was_sent: bool = True, **attempt: Any) -> AttemptEnded:
    asked = ModelAsked("t", "openai", "api.openai.com", "m", "d", 1, answers=answers)
    known = {"answer": SAID, "reply_bytes": 900, "first_byte_s": 0.1, "status": 200, "error": None, **attempt}
    return answered(asked, model_attempt(0, **known), end, was_sent=was_sent)


def test_what_was_counted_and_said_is_told() -> None:
    told = ended()
    assert (told.usage, told.model, told.is_free) == (Usage(5, 6), "m-1", False)
    assert (told.text_bytes, told.answer_bytes) == (11, 11)


@pytest.mark.parametrize(
    ("attempt", "is_free"),
    [
        ({}, False), ({"was_sent": False}, True), ({"end": "failed", "status": 429}, True), ({"end": "failed"}, False),
        ({"end": "failed", "first_byte_s": None, "status": 502, "error": "unreachable: no connection"}, True),
        ({"end": "failed", "first_byte_s": None, "status": 504, "error": "timeout: no byte"}, False),
        ({"end": "aborted", "first_byte_s": None, "status": None, "answer": None}, False),
    ],
)  # fmt: skip
def test_only_what_no_provider_can_bill_is_free(attempt: dict[str, Any], is_free: bool) -> None:
    assert ended(**attempt).is_free is is_free


@pytest.mark.parametrize(
    ("attempt", "most"),
    [
        ({"answers": 2}, 900), ({"answer": None}, 900), ({"answer": Reply()}, 900), ({"end": "cut"}, 900),
        ({"end": "failed"}, 900), ({"answer": Reply("so", reasoning_bytes=40)}, 42),
        ({"end": "cut", "answer": Reply()}, None), ({"end": "aborted", "answer": None}, None),
        ({"end": "failed", "first_byte_s": None}, None),
    ],
)  # fmt: skip
def test_what_was_not_read_is_bounded_or_unknown(attempt: dict[str, Any], most: int | None) -> None:
    assert ended(**attempt).answer_bytes == most
