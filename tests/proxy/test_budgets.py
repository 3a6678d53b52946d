"""What an exchange has reserved is settled once, whatever its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from policies.context import ContextLimit
from policies.engine import Engine
from policies.ledger import Ledger
from policies.memory_ledger import MemoryLedger
from policies.prices import PriceList
from policies.rule import Rule
from policies.spend import NANO, SpendBudget
from policies.tokens import FRAME_TOKENS
from policies.verdict import ALLOW, Refuse, Verdict
from proxy.arrivals import ClientLeft, ReplyBegan, ReplyEnded, ReplyPart, UpstreamFailed
from proxy.operation import Swap
from tests.support import driving
from tests.support.driving import DONE, JSON, STREAM, Driven, asking, completion, event, header_of
from trajectory.events import AttemptEnded, BytesMoved, Event, ModelAsked
from trajectory.prices import Rates

PER_TOKEN = 1 / 1e6
DOLLAR = Rates(1, 1, 1, 1)
USAGE: dict[str, Any] = {"usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}}
BODY = asking("hi", max_tokens=500)


class BytesRefused:
    """Lets every ask through, and no byte of it."""

    name: ClassVar[str] = "bytes"
    events: ClassVar[frozenset[type[Event]]] = frozenset({BytesMoved})

    def __init__(self) -> None:
        self.asked = 0

    def judge(self, event: Event, ledger: Ledger) -> Verdict:
        self.asked += 1
        return Refuse("egress_budget_exhausted", self.name, "no byte is left")


class House:
    def __init__(self, limit_usd: float = 1.0, *more: Rule, prices: dict[str, Rates] | None = None) -> None:
        self.rules = (*driving.rules(), SpendBudget(limit_usd, PriceList(prices or {"*": DOLLAR})), *more)
        self.ledger = MemoryLedger()
        self.hall = driving.hall()
        self.hall.engine = Engine(self.rules, self.ledger)

    @property
    def tokens(self) -> int:
        """Spent or reserved, at a millionth of a dollar each."""
        return round(self.ledger.total("spend:S") / NANO / PER_TOKEN)

    def asked(self, body: bytes = BODY) -> Driven:
        driven = Driven(self.hall)
        driven.ask(body)
        return driven


def whole(one: Driven) -> None:
    one.reply(completion("x" * 40, **USAGE))


def uncounted(one: Driven) -> None:
    one.reply(completion("x" * 40))


def error(one: Driven) -> None:
    one.reply(b'{"error": {"message": "overloaded"}}', status=529)


def streamed(one: Driven) -> None:
    one.flow(event({"content": "x" * 40}), event({}, "stop"), DONE)


def unreachable(one: Driven) -> None:
    one.give(UpstreamFailed("unreachable", "no connection", 0.1))


def timed_out(one: Driven) -> None:
    one.give(UpstreamFailed("timeout", "no byte", 0.1))


def left_before_the_reply(one: Driven) -> None:
    one.give(ClientLeft(0.1))


def left_in_the_stream(one: Driven) -> None:
    one.give(ReplyBegan(200, STREAM, 0.1), ReplyPart(event({"content": "x" * 9}), 0.2), ClientLeft(0.3))


def cut_in_the_stream(one: Driven) -> None:
    one.give(ReplyBegan(200, STREAM, 0.1), ReplyPart(event({"content": "x" * 9}), 0.2), ReplyEnded(0.3))


def silent_stream(one: Driven) -> None:
    one.give(ReplyBegan(200, STREAM, 0.1), ReplyPart(b": thinking\n\n", 0.2), ClientLeft(0.3))


def unreadable(one: Driven) -> None:
    one.give(ReplyBegan(200, JSON, 0.1, 3), ReplyPart(b"{[}", 0.2), ReplyEnded(0.3))


def broken(one: Driven) -> None:
    one.effects += one.exchange.broken(0.2)


@pytest.mark.parametrize(
    ("ends", "answer"),
    [
        (whole, None), (uncounted, 40), (error, -1), (streamed, 40), (unreachable, -1), (timed_out, 500),
        (left_before_the_reply, 500), (left_in_the_stream, len(event({"content": "x" * 9}))),
        (cut_in_the_stream, len(event({"content": "x" * 9}))), (silent_stream, 500), (unreadable, 3), (broken, 500),
    ],
)  # fmt: skip
def test_each_end_settles_what_was_reserved_once(ends: Callable[[Driven], None], answer: int | None) -> None:
    house = House()
    first = house.asked()
    reserved = house.tokens
    prompt = reserved - 500
    assert FRAME_TOKENS < prompt < FRAME_TOKENS + len(BODY)
    ends(first)
    settled = 120 if answer is None else 0 if answer < 0 else prompt + answer
    assert house.tokens == settled
    first.give(ClientLeft(9.0), ReplyEnded(9.0), UpstreamFailed("reset", "late news", 9.0))
    first.exchange.broken(9.0)
    assert house.tokens == settled


def test_of_several_answers_without_a_count_each_is_paid_for() -> None:
    house = House()
    one = house.asked(asking("hi", max_tokens=500, n=3))
    prompt = house.tokens - 1_500
    reply = completion("x" * 40)
    one.reply(reply)
    assert house.tokens == prompt + len(reply)


def test_what_is_refused_never_reaches_the_model_and_reserves_nothing() -> None:
    house = House(0.001)
    refused = house.asked()
    assert refused.forwarded is None
    assert header_of(refused.responded, "x-ironcage-refusal") == "spend_budget_exhausted"
    assert (refused.attempt.end, house.tokens) == ("refused", 0)


def test_a_request_that_may_not_go_out_gives_back_what_it_had_reserved() -> None:
    """Judged and granted, and then too large for the bytes that are left."""
    house = House()
    house.asked()
    granted = house.tokens
    refused = BytesRefused()
    house.hall.engine = Engine([*house.rules, refused], house.ledger)
    assert house.asked(asking("another", max_tokens=500)).forwarded is None
    assert (refused.asked, house.tokens) == (1, granted)


def test_requests_under_way_count_and_their_ends_make_room() -> None:
    house = House(0.004)
    first, second = house.asked(), house.asked()
    assert [one.forwarded is None for one in (first, second, house.asked())] == [False, False, True]
    whole(first)
    assert house.asked().forwarded is not None


def test_the_second_turn_is_measured_by_the_count_of_the_first() -> None:
    house = House()
    text = "x" * 40_000
    first = house.asked(asking(text, max_tokens=1))
    assert house.tokens > 40_000
    first.reply(completion("fine", usage={"prompt_tokens": 9_000, "completion_tokens": 1, "total_tokens": 9_001}))
    assert house.tokens == 9_001
    house.asked(asking(text, {"role": "assistant", "content": "fine"}, "go on", max_tokens=1))
    assert 9_000 + FRAME_TOKENS < house.tokens - 9_001 < 9_300 + FRAME_TOKENS


@pytest.mark.parametrize(
    ("fields", "answers"),
    [
        ({"max_tokens": 700}, 700), ({"max_tokens": 70, "max_completion_tokens": 700}, 700),
        ({"max_tokens": 700, "max_completion_tokens": 7}, 700), ({"max_tokens": 100, "n": 7}, 700),
        ({"max_tokens": "700"}, 700), ({"max_tokens": 700.0}, 700), ({}, 32_768), ({"max_tokens": -1}, 32_768),
        ({"max_tokens": 0}, 32_768), ({"max_tokens": True}, 32_768), ({"max_tokens": None}, 32_768),
        ({"max_tokens": "lots"}, 32_768), ({"max_tokens": [1]}, 32_768), ({"max_tokens": 700, "n": -3}, 700),
    ],
)  # fmt: skip
def test_an_answer_is_reserved_as_long_as_any_server_may_read_the_request(fields: dict[str, Any], answers: int) -> None:
    house = House()
    house.asked(asking("hi", **fields))
    assert answers + FRAME_TOKENS < house.tokens < answers + FRAME_TOKENS + 200


def test_numbers_beyond_all_bounds_are_refused_and_break_nothing() -> None:
    hostile: tuple[dict[str, Any], ...] = ({"max_tokens": 10**18}, {"max_tokens": 10**17, "n": 10**17}, {"n": 1_000})
    for fields in hostile:
        assert House().asked(asking("hi", **fields)).forwarded is None
    assert json.loads(House(0.0).asked().responded.body)["error"]["code"] == "spend_budget_exhausted"


def test_the_candidate_that_answers_in_a_replay_is_what_is_paid_for() -> None:
    house = House(prices={"m": Rates(0, 0, 0, 0), "gpt-4o": DOLLAR})
    house.hall.swaps["S"] = Swap("openai", "api.openai.com", "gpt-4o", max_tokens=7)
    house.asked()
    assert FRAME_TOKENS < house.tokens < FRAME_TOKENS + 7 + len(BODY)


def test_a_context_beyond_its_limit_is_refused_and_a_shorter_one_goes_on() -> None:
    house = House(1.0, ContextLimit(1_000))
    assert house.asked(asking("x" * 6_000)).forwarded is None
    assert house.tokens == 0
    assert house.asked().forwarded is not None


class Seen:
    """Reads no sizes."""

    name: ClassVar[str] = "seen"
    events: ClassVar[frozenset[type[Event]]] = frozenset({ModelAsked, AttemptEnded})

    def __init__(self) -> None:
        self.asked: list[ModelAsked] = []
        self.ended: list[AttemptEnded] = []

    def judge(self, event: Event, ledger: Ledger) -> Verdict:
        if isinstance(event, ModelAsked):
            self.asked.append(event)
        elif isinstance(event, AttemptEnded):
            self.ended.append(event)
        return ALLOW


@pytest.mark.parametrize("more", [(), (ContextLimit(10**6),)])
def test_prompts_and_answers_are_measured_where_a_rule_goes_by_them_and_nowhere_else(more: tuple[Rule, ...]) -> None:
    seen = Seen()
    house = driving.hall(seen, *more)
    for _ in range(2):
        one = Driven(house)
        one.ask(BODY)
        whole(one)
    assert [asked.prompt is not None for asked in seen.asked] == [bool(more)] * 2
    assert [ended.asked is not None for ended in seen.ended] == [bool(more)] * 2


@pytest.mark.parametrize(("model", "is_known"), [("m-1", True), ("m-2", False)])
def test_what_one_model_has_counted_bounds_nothing_for_another(model: str, is_known: bool) -> None:
    """Another one may have four times as many tokens in the same text."""
    house, said = House(), "word " * 2_000

    def asked(*messages: str | dict[str, str], model: str) -> Driven:
        body: dict[str, Any] = json.loads(asking(*messages, max_tokens=500))
        del body["model"]  # so that the conversation begins as before
        return house.asked(json.dumps({**body, "model": model}).encode())

    asked(said, model="m-1").reply(completion("x" * 40, **USAGE))
    spent = house.tokens
    asked(said, {"role": "assistant", "content": "x" * 40}, "go on", model=model)
    assert (house.tokens - spent < len(said)) is is_known
