"""Judges the calls that stand within a call (`multi_tool_use.parallel`) like calls of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from policies.arguments.reading import UnclearError
from policies.ledger import Ledger
from policies.memory_ledger import MemoryLedger
from policies.quoting import shown
from policies.rule import Rule
from policies.tool_names import PARALLEL, calls_within, is_wrapper
from policies.verdict import ALLOW, AWAIT_ARGUMENTS, Refuse, Verdict
from trajectory.events import CallProposed, Event


class CallsWithin:
    """Refuses a wrapper unless each call within it passes all of `rules`. Its own name those judge by themselves."""

    name: ClassVar[str] = "calls_within"
    events: ClassVar[frozenset[type[Event]]] = frozenset({CallProposed})

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rule for rule in rules if CallProposed in rule.events)
        by_name = [rule.judge(CallProposed("", PARALLEL), MemoryLedger()) for rule in self._rules]
        self.reads_arguments = not any(isinstance(verdict, Refuse) for verdict in by_name)

    def judge(self, event: Event, ledger: Ledger) -> Verdict:
        if not isinstance(event, CallProposed) or not any(map(is_wrapper, (event.name, *event.aliases))):
            return ALLOW
        if event.arguments is None:
            return AWAIT_ARGUMENTS
        try:
            calls = calls_within(event.arguments)
        except UnclearError as error:
            return self._refusal(event.name, f"{error}, so they cannot be judged")
        for name, arguments in calls:
            if is_wrapper(name):
                return self._refusal(event.name, "a call within it holds calls again")
            verdict = self._judged(CallProposed(event.trajectory, name, event.call_id, arguments), ledger)
            if verdict is not ALLOW:
                return verdict
        return ALLOW

    def _judged(self, event: CallProposed, ledger: Ledger) -> Verdict:
        for rule in self._rules:
            verdict = rule.judge(event, ledger)
            if isinstance(verdict, Refuse):
                return verdict
            if verdict is not ALLOW:
                return self._refusal(event.name, "it cannot be decided on within another call")
        return ALLOW

    def _refusal(self, tool: str, why: str) -> Refuse:
        return Refuse(
            code="tool_arguments_refused",
            rule=self.name,
            message=f'The call of the tool "{shown(tool)}" was refused: {why}. Call each tool by itself.',
            subject=shown(tool),
        )
