"""Which calls wait for a person, and what the person is shown of them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policies.approvals.rule import Approvals
from policies.approvals.settings import ApprovalSettings
from policies.arguments.canonical import canonical
from policies.arguments.reading import read_arguments
from policies.calls_within import CallsWithin
from policies.engine import Engine
from policies.memory_ledger import MemoryLedger
from policies.verdict import ALLOW, AWAIT_ARGUMENTS, AskPerson, Refuse, Verdict
from trajectory.events import CallProposed, ToolAsked

TOOLS: dict[str, Any] = {"pay": {"unless": {"amount": {"max": 100}}}, "delete_*": {}}


def rule(**settings: Any) -> Approvals:
    return Approvals(ApprovalSettings.model_validate({"tools": TOOLS, **settings}))


def proposed(name: str, arguments: str | None = "{}") -> Verdict:
    return rule().judge(CallProposed("t", name, "c", arguments), MemoryLedger())


def made(tool: str, arguments: str = "{}", **more: Any) -> Verdict:
    return rule().judge(ToolAsked("t", "bank", "h", tool, "d", 9, arguments, **more), MemoryLedger())


@pytest.mark.parametrize(
    "name",
    ["delete_all", "functions.delete_all", "Delete_All", "default_api:delete_all", "tools/delete_all", "delete.all"],
)
def test_a_call_by_any_name_that_an_agent_takes_for_the_tool_waits(name: str) -> None:
    verdict = proposed(name, '{"b": 1, "a": [1.10]}')
    assert verdict == AskPerson("approvals", "Every call of delete_* waits for a person.", '{"a":[1.10],"b":1}', 300.0)
    assert isinstance(made(name), AskPerson) and proposed(name, None) is AWAIT_ARGUMENTS


@pytest.mark.parametrize("path", ["pay", "v1/pay", "pay/7", "v1/pay/7/now", "PAY/7"])
def test_a_call_of_a_path_waits_wherever_the_name_stands_in_it(path: str) -> None:
    assert isinstance(made(path, '{"amount": 900}'), AskPerson)
    assert made("payments/7", '{"amount": 900}') is ALLOW


def test_a_call_by_the_name_that_several_servers_need_waits() -> None:
    assert isinstance(made("x", aliases=("mcp__bank__x", "delete_it")), AskPerson)


@pytest.mark.parametrize("name", ["read", "undelete_all", "payments", ""])
def test_any_other_call_does_not(name: str) -> None:
    assert proposed(name) is ALLOW and proposed(name, None) is ALLOW and made(name, "\0") is ALLOW


def test_a_call_that_meets_the_conditions_passes() -> None:
    assert proposed("pay", '{"amount": 100}') is ALLOW and made("pay", "amount=100") is ALLOW


@pytest.mark.parametrize("amount", ["100.01", "1e9", '"1"', "null", "[1]", "true", '1, "AMOUNT": 1000'])
def test_one_that_does_not_or_may_not_waits_and_says_why(amount: str) -> None:
    verdict = proposed("pay", f'{{"amount": {amount}}}')
    assert isinstance(verdict, AskPerson)
    assert verdict.why.endswith('Without a person, "amount" must be a number, at most 100.')


@pytest.mark.parametrize(
    "arguments", ["", "[]", "{", '{"amount": 1} {"amount": 900}', '{"x": 1, "x": 2}', '{"x": "\\ud800"}', '{"x": NaN}']
)
def test_nobody_is_asked_about_what_can_be_read_in_two_ways(arguments: str) -> None:
    verdict = proposed("delete_all", arguments)
    if not arguments:
        assert isinstance(verdict, AskPerson) and verdict.arguments == "{}"
        return
    assert isinstance(verdict, Refuse) and verdict.code == "tool_arguments_refused"
    assert "no person can be asked" in verdict.message


def test_nobody_is_asked_about_what_the_tool_may_get_otherwise() -> None:
    verdict = made("delete_all", unread="they stand in a body and in a query")
    assert isinstance(verdict, Refuse) and "body and in a query" in verdict.message


def test_a_host_that_is_no_tool_is_left_to_the_egress_rule() -> None:
    event = ToolAsked("t", None, "h", "delete_all", "d", 9)
    assert rule().judge(event, MemoryLedger()) is ALLOW


def test_a_call_within_a_call_is_refused_not_asked_about() -> None:
    approvals = rule()
    engine = Engine([approvals, CallsWithin([approvals])], MemoryLedger())
    within = '{"tool_uses": [{"recipient_name": "functions.delete_all", "parameters": {}}]}'
    verdict = engine.judge(CallProposed("t", "multi_tool_use.parallel", "c", within))
    assert isinstance(verdict, Refuse) and "Call each tool by itself" in verdict.message


def test_several_entries_ask_with_all_their_reasons() -> None:
    asks = ApprovalSettings.model_validate({"tools": {"pay*": {}, **TOOLS}, "timeout_s": 5, "remember": "trajectory"})
    verdict = Approvals(asks).judge(CallProposed("t", "pay", "c", '{"amount": 900}'), MemoryLedger())
    assert isinstance(verdict, AskPerson) and (verdict.timeout_s, verdict.remembers) == (5.0, True)
    assert "Every call of pay*" in verdict.why and '"amount" is out of bounds' in verdict.why


@pytest.mark.parametrize(
    "wrong", [{"tools": {}}, {"tools": {"a*b": {}}}, {"timeout_s": 0}, {"remember": "ever"}, {"on_timeout": "allow"}]
)
def test_settings_that_say_nothing_clear_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule(**wrong)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(), values, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_keys_and_white_space_make_no_difference_and_nothing_else_is_lost(given_: Any, order: Any) -> None:
    try:
        shown = canonical(given_)
    except ValueError:  # lone surrogates
        return
    assert read_arguments(shown) == json.loads(shown, parse_float=Decimal) == given_
    keys = list(given_)
    order.shuffle(keys)
    assert canonical({key: given_[key] for key in keys}) == shown
