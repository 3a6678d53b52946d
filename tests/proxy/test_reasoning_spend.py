"""What a model thought is paid for, whether or not anybody counted it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from policies.engine import Engine
from policies.memory_ledger import MemoryLedger
from policies.prices import PriceList
from policies.spend import SpendBudget
from tests.support.driving import DONE, Driven, asking, completion, event, hall, rules
from trajectory.prices import Rates

FOR_THE_ANSWER = PriceList({"m*": Rates(0, 1, 0, 0)})  # a dollar for a million tokens
THOUGHT = "so hard " * 10
MESSAGES = "/anthropic/v1/messages"


def paying() -> tuple[Driven, Driven, MemoryLedger]:
    """An exchange of chat completions and one of messages, and what they cost together, in 1/1000 of a token."""
    ledger = MemoryLedger()
    made = replace(hall(), engine=Engine([*rules(), SpendBudget(1.0, FOR_THE_ANSWER)], ledger))
    return Driven(made), Driven(made, MESSAGES), ledger


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_thoughts_that_are_shown_are_paid_for_where_nobody_counts(key: str) -> None:
    chat, _, ledger = paying()
    chat.ask(asking(stream=True))
    chat.flow(*[event({key: THOUGHT})] * 50, event({"content": "ok"}, "stop"), DONE)
    assert ledger.total("spend:S") == pytest.approx((50 * len(THOUGHT) + 2) * 1000, rel=1e-6)
    whole, _, ledger = paying()
    whole.ask(asking())
    choice = json.loads(completion("ok"))["choices"][0]
    whole.reply(completion(choices=[{**choice, "message": {**choice["message"], key: THOUGHT}}]))
    assert ledger.total("spend:S") == pytest.approx((len(THOUGHT) + 2) * 1000, rel=1e-6)


def test_a_stream_that_ends_with_an_error_is_paid_for_like_one_that_breaks_off() -> None:
    def told(kind: str, **more: object) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()

    _, messages, ledger = paying()
    body = {"model": "m", "max_tokens": 3000, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    messages.ask(json.dumps(body).encode())
    thinks = told("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": THOUGHT})
    said = {"type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}
    messages.flow(
        told("message_start", message={"id": "a", "model": "m", **said}),
        told("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
        *[thinks] * 50,
        told("content_block_stop", index=0),
        told("content_block_start", index=1, content_block={"type": "text", "text": ""}),
        told("content_block_delta", index=1, delta={"type": "text_delta", "text": "ok"}),
        told("error", error={"type": "overloaded_error", "message": "busy"}),
    )
    assert messages.attempt.end == "failed" and ledger.total("spend:S") == 3000 * 1000
