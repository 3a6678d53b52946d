from __future__ import annotations

from policies.verdict import AskPerson
from proxy.questions import Call, Questions
from tests.support.approving import ALLOWED, house
from tests.support.driving import Driven


def asks(arguments: str) -> AskPerson:
    return AskPerson("approvals", "Every call of pay waits for a person.", arguments, 300.0)


def test_a_decision_is_for_what_was_asked_about_and_for_nothing_else() -> None:
    operation = Driven(house()).exchange.operation
    questions, call = Questions(), Call(("pay",), "c1", is_proposal=True)
    questions.open(call, asks('{"amount":1}'), operation)
    (asked,) = questions.ask(operation, "attempt", 0.0)
    questions.close({asked.id: ALLOWED})
    others = [
        (call, asks('{"amount":1000000}')),
        (Call(("pay",), "c2", is_proposal=True), asks('{"amount":1}')),
        (Call(("pay", "mcp__bank__pay"), "c1", is_proposal=True), asks('{"amount":1}')),
    ]
    for other in others:
        assert questions.take(*other, operation).is_open
    assert questions.take(call, asks('{"amount":1}'), operation).refusal() is None
    assert questions.take(call, asks('{"amount":1}'), operation).is_open  # that one was taken
    questions.read_again()
    assert questions.take(call, asks('{"amount":1}'), operation).refusal() is None


def test_ids_of_questions_are_those_of_the_attempt_and_never_the_same() -> None:
    operation = Driven(house()).exchange.operation
    questions = Questions()
    questions.open(Call(("pay",), "c1"), asks("{}"), operation)
    first = questions.ask(operation, "attempt", 0.0)
    questions.close({})
    questions.open(Call(("pay",), "c2"), asks("{}"), operation)
    assert [one.id for one in (*first, *questions.ask(operation, "attempt", 0.0))] == ["attempt-1", "attempt-2"]
