"""Judges calls of tools by their arguments."""

from __future__ import annotations

from typing import ClassVar

from policies.arguments.argument import Argument
from policies.arguments.reading import UnclearError, read_arguments
from policies.arguments.settings import ArgumentSettings
from policies.ledger import Ledger
from policies.quoting import shown
from policies.tool_names import ToolEntry, names_of_path, readings
from policies.verdict import ALLOW, AWAIT_ARGUMENTS, Refuse, Verdict
from trajectory.events import CallProposed, Event, ToolAsked


class ToolArguments:
    """Refuses a call of a tool that `settings` names unless all values at each place named there meet its conditions.

    A name that ends in `*` stands for all tools that begin so; of several that match, all must be met. A tool is the
    one that is named by each of its `readings`. Doubt refuses: arguments that cannot be read in one way only, a value
    of another kind, an argument that is not there. What a refusal says quotes the conditions, never a value.
    """

    name: ClassVar[str] = "tool_arguments"
    events: ClassVar[frozenset[type[Event]]] = frozenset({CallProposed, ToolAsked})
    reads_arguments: ClassVar[bool] = True

    def __init__(self, settings: ArgumentSettings) -> None:
        self._entries = tuple(
            (ToolEntry.of(entry), [Argument(*one) for one in arguments.items()])
            for entry, arguments in settings.items()
        )

    def judge(self, event: Event, ledger: Ledger) -> Verdict:
        if isinstance(event, CallProposed):
            concerning = self._concerning(event.name, *event.aliases)
            if event.arguments is None:
                return AWAIT_ARGUMENTS if concerning else ALLOW
            return self._judged(event.name, event.arguments, concerning)
        if isinstance(event, ToolAsked) and event.upstream is not None:
            concerning = self._concerning(*names_of_path(event.tool), *event.aliases)
            if event.unread and concerning:
                return self._refusal(event.tool, event.unread, concerning)
            return self._judged(event.tool, event.arguments, concerning, may_be_query=True)
        return ALLOW

    def _concerning(self, *names: str) -> list[Argument]:
        read = readings(*names)
        return [argument for entry, arguments in self._entries if entry.concerns(read) for argument in arguments]

    def _judged(self, tool: str, text: str, concerning: list[Argument], *, may_be_query: bool = False) -> Verdict:
        if not concerning:
            return ALLOW
        try:
            given = read_arguments(text, may_be_query=may_be_query)
        except UnclearError as error:
            return self._refusal(tool, f"{error}, so they cannot be judged", concerning)
        for argument in concerning:
            problem = argument.problem(given)
            if problem:
                return self._refusal(tool, problem, [argument])
        return ALLOW

    def _refusal(self, tool: str, why: str, concerning: list[Argument]) -> Refuse:
        allowed = " ".join(dict.fromkeys(argument.allowed for argument in concerning))
        return Refuse(
            code="tool_arguments_refused",
            rule=self.name,
            message=(
                f'The call of the tool "{shown(tool)}" was refused by its arguments (policies.tools.arguments): {why}. '
                f"{allowed}"
            ),
            subject=shown(tool),
        )
