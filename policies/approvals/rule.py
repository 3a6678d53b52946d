"""Leaves calls of tools to a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from policies.approvals.settings import ApprovalSettings, ApprovedTool
from policies.arguments.argument import Argument
from policies.arguments.canonical import canonical
from policies.arguments.reading import UnclearError, read_arguments
from policies.ledger import Ledger
from policies.quoting import shown
from policies.tool_names import ToolEntry, names_of_path, readings
from policies.verdict import ALLOW, AWAIT_ARGUMENTS, AskPerson, Refuse, Verdict
from trajectory.events import CallProposed, Event, ToolAsked


class Approvals:
    """Asks a person about each call of a tool that `settings` names, unless its arguments meet the conditions there.

    Of several entries for one tool each may ask. Arguments that cannot be read in one way only are refused: a person
    who is shown one reading would have allowed another.
    """

    name: ClassVar[str] = "approvals"
    events: ClassVar[frozenset[type[Event]]] = frozenset({CallProposed, ToolAsked})
    reads_arguments: ClassVar[bool] = True

    def __init__(self, settings: ApprovalSettings) -> None:
        self._entries = tuple(_Entry.of(*entry) for entry in settings.tools.items())
        self._timeout_s = settings.timeout_s
        self._remembers = settings.remember == "trajectory"

    def judge(self, event: Event, ledger: Ledger) -> Verdict:
        if isinstance(event, CallProposed):
            entries = self._concerning(event.name, *event.aliases)
            if event.arguments is None:
                return AWAIT_ARGUMENTS if entries else ALLOW
            return self._judged(event.name, event.arguments, entries)
        if isinstance(event, ToolAsked) and event.upstream is not None:
            entries = self._concerning(*names_of_path(event.tool), *event.aliases)
            if event.unread and entries:
                return self._unclear(event.tool, event.unread)
            return self._judged(event.tool, event.arguments, entries, may_be_query=True)
        return ALLOW

    def _concerning(self, *names: str) -> list[_Entry]:
        read = readings(*names)
        return [entry for entry in self._entries if entry.tool.concerns(read)]

    def _judged(self, tool: str, text: str, entries: Sequence[_Entry], *, may_be_query: bool = False) -> Verdict:
        if not entries:
            return ALLOW
        try:
            given = read_arguments(text, may_be_query=may_be_query)
            arguments = canonical(given)
        except UnclearError as error:
            return self._unclear(tool, str(error))
        why = " ".join(dict.fromkeys(why for entry in entries if (why := entry.why(given))))
        return AskPerson(self.name, why, arguments, self._timeout_s, self._remembers) if why else ALLOW

    def _unclear(self, tool: str, why: str) -> Refuse:
        return Refuse(
            code="tool_arguments_refused",
            rule=self.name,
            message=(
                f'The call of the tool "{shown(tool)}" may have to wait for somebody (policies.approvals), and no '
                f"person can be asked about these arguments: {why}. Send one JSON object."
            ),
            subject=shown(tool),
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    tool: ToolEntry
    name: str
    unless: tuple[Argument, ...]

    @classmethod
    def of(cls, name: str, asked: ApprovedTool) -> Self:
        return cls(ToolEntry.of(name), name, tuple(Argument(*one) for one in asked.unless.items()))

    def why(self, given: dict[str, Any]) -> str:
        """Why a person is asked; empty where nobody need be."""
        if not self.unless:
            return f"Every call of {shown(self.name)} waits for a person."
        for argument in self.unless:
            if problem := argument.problem(given):
                return f"{problem[0].upper()}{problem[1:]}. Without a person, {argument.allowed}"
        return ""
