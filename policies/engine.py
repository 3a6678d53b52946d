"""The engine: shows an event to the rules that care and makes one verdict of theirs. It never raises.

1. The first refusal wins; what other rules reserved for the refused operation is given back.
2. A rule that raises, or answers with something that is no verdict, refuses (policy_failed).
3. A ledger that cannot be reached refuses (ledger_unavailable).
4. Messages and logs of failures hold no value from the event: it may be a secret.
5. A person is asked only about what no rule refuses. Nothing stays reserved meanwhile: once a person has allowed a
   call it is judged anew, with `allowed`.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Sequence
from typing import TypeGuard, get_args

from policies.ledger import Ledger
from policies.rule import Rule
from policies.verdict import ALLOW, AWAIT_ARGUMENTS, Allow, AskPerson, AwaitArguments, DropTools, Refuse, Verdict
from trajectory.errors import StoreError
from trajectory.events import AttemptEnded, CallProposed, Event, ModelAsked, ToolAsked

logger = logging.getLogger(__name__)

EVENTS: tuple[type[Event], ...] = get_args(Event)
_ASKS = (ModelAsked, ToolAsked)


class Engine:
    """Judges events by `rules`, asked in their order. Safe to use from several threads if the ledger is."""

    def __init__(self, rules: Sequence[Rule], ledger: Ledger) -> None:
        self._ledger = ledger
        self._rules: dict[type[Event], tuple[Rule, ...]] = {
            kind: tuple(rule for rule in rules if kind in rule.events) for kind in EVENTS
        }
        self._reads_arguments = any(getattr(rule, "reads_arguments", False) for rule in rules)
        self._reads_sizes = any(getattr(rule, "reads_sizes", False) for rule in rules)
        self._unsettled: list[tuple[Rule, AttemptEnded]] = []

    @property
    def reads_arguments(self) -> bool:
        """Whether any rule judges calls by their arguments: others are never worth waiting for."""
        return self._reads_arguments

    @property
    def reads_sizes(self) -> bool:
        """Whether any rule goes by how large a prompt or an answer is: else neither is measured."""
        return self._reads_sizes

    def judge(self, event: Event, *, allowed: bool = False) -> Verdict:
        """What all rules together say of `event`, `allowed` by a person or not.

        Reserves budgets where the event may go on, so neither with a refusal nor where a person is to be asked.
        """
        rules = self._rules.get(type(event))
        if rules is None:
            return Refuse("policy_failed", "engine", "Policy cannot judge this kind of event, so it is refused.")
        if self._unsettled and isinstance(event, _ASKS) and not self._caught_up():
            return _unavailable("engine")
        if len(rules) == 1:  # the path of stream chunks: nothing to merge, nothing to give back
            verdict = _answer(rules[0], event, self._ledger)
            return ALLOW if allowed and isinstance(verdict, AskPerson) else verdict
        return self._judge_by_all(rules, event, allowed=allowed)

    def settle(self, event: AttemptEnded) -> None:
        """Tell the rules that an attempt is over. If the ledger cannot be reached now, it is told later.

        Until it has been told, new asks are refused: a failure that was never noted would be a free retry. Each rule
        is told once: what it gives back twice would be budget from nowhere.
        """
        self._tell((rule, event) for rule in self._rules[AttemptEnded])

    def _tell(self, endings: Iterable[tuple[Rule, AttemptEnded]]) -> None:
        for rule, event in endings:
            answer = _answer(rule, event, self._ledger)
            if isinstance(answer, Refuse) and answer.code == "ledger_unavailable":
                self._unsettled.append((rule, event))

    def _judge_by_all(self, rules: tuple[Rule, ...], event: Event, *, allowed: bool) -> Verdict:
        ledger = _Reservations(self._ledger)
        drops: list[DropTools] = []
        asks: list[AskPerson] = []
        awaited = False
        for rule in rules:
            verdict = _answer(rule, event, ledger)
            if verdict is ALLOW:
                continue
            if isinstance(verdict, Refuse):
                ledger.give_back()
                return verdict
            if isinstance(verdict, AwaitArguments):
                awaited = True
            elif isinstance(verdict, DropTools):
                drops.append(verdict)
            elif isinstance(verdict, AskPerson) and not allowed:
                asks.append(verdict)
        if awaited:
            return AWAIT_ARGUMENTS
        if asks:
            ledger.give_back()
            return _question(asks)
        return _merged(drops) if drops else ALLOW

    def _caught_up(self) -> bool:
        waiting, self._unsettled = self._unsettled, []
        self._tell(waiting)  # what fails again is back in the list
        return not self._unsettled


class _Reservations:
    """A ledger that remembers what one event reserved, so that a refusal can give it back."""

    __slots__ = ("_ledger", "_taken")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._taken: list[tuple[str, int]] = []

    def reserve(self, account: str, amount: int, limit: int) -> bool:
        granted = self._ledger.reserve(account, amount, limit)
        if granted:
            self._taken.append((account, amount))
        return granted

    def release(self, account: str, amount: int) -> None:
        self._ledger.release(account, amount)

    def total(self, account: str) -> int:
        return self._ledger.total(account)

    def note_end(self, trajectory: str, digest: str, failed: bool) -> None:
        self._ledger.note_end(trajectory, digest, failed)

    def failed_before(self, trajectory: str, digest: str) -> bool:
        return self._ledger.failed_before(trajectory, digest)

    def give_back(self) -> None:
        """Release all that was taken. Where that fails it stays taken: the safe side of a budget."""
        for account, amount in self._taken:
            try:
                self._ledger.release(account, amount)
            except Exception as error:  # the refusal stands whatever the ledger does
                _log_failure("engine", error)
        self._taken.clear()


def _answer(rule: Rule, event: Event, ledger: Ledger) -> Verdict:
    """The verdict of one rule; its failure is a refusal. One of the three broad `except`s of the house."""
    try:
        verdict: object = rule.judge(event, ledger)
    except StoreError as error:
        _log_failure(rule.name, error)
        return _unavailable(rule.name)
    except Exception as error:  # doubt refuses
        _log_failure(rule.name, error)
        return _failed(rule.name)
    if verdict is ALLOW:
        return ALLOW
    if _is_answer(verdict, event):
        return verdict
    logger.error("rule %s answered %s to %s", rule.name, type(verdict).__name__, type(event).__name__)
    return _failed(rule.name)


def _failed(rule: str) -> Refuse:
    message = f"The rule {rule} failed while it judged this, so it is refused. The proxy's log says where."
    return Refuse("policy_failed", rule, message)


def _unavailable(rule: str) -> Refuse:
    message = f"The ledger that the rule {rule} checks budgets against cannot be reached, so this is refused."
    return Refuse("ledger_unavailable", rule, message)


def _is_answer(verdict: object, event: Event) -> TypeGuard[Verdict]:
    """Whether this is a verdict, and one that can be given on such an event."""
    if isinstance(verdict, DropTools):
        return isinstance(event, ModelAsked)
    if isinstance(verdict, AwaitArguments):
        return isinstance(event, CallProposed) and event.arguments is None
    if isinstance(verdict, AskPerson):
        return isinstance(event, ToolAsked) or (isinstance(event, CallProposed) and event.arguments is not None)
    return isinstance(verdict, Allow | Refuse)


def _question(asks: Sequence[AskPerson]) -> AskPerson:
    """One question for all rules that ask: as urgent as the most urgent, and remembered only where all allow it."""
    if len(asks) == 1:
        return asks[0]
    return AskPerson(
        rule=", ".join(dict.fromkeys(ask.rule for ask in asks)),
        why=" ".join(dict.fromkeys(ask.why for ask in asks)),
        arguments=asks[0].arguments,
        timeout_s=min(ask.timeout_s for ask in asks),
        remembers=all(ask.remembers for ask in asks),
    )


def _merged(drops: Sequence[DropTools]) -> DropTools:
    if len(drops) == 1:
        return drops[0]
    return DropTools(
        rule=", ".join(dict.fromkeys(drop.rule for drop in drops)),
        names=frozenset().union(*(drop.names for drop in drops)),
        message=" ".join(dict.fromkeys(drop.message for drop in drops)),
    )


def _log_failure(rule: str, error: Exception) -> None:
    """The class of the error and where it was raised; not its text, which may quote what was judged."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("rule %s raised %s\n%s", rule, type(error).__name__, where)
