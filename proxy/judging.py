"""What one exchange asks of policy, and the notes of every verdict that was not plain allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from policies.engine import Engine
from policies.quoting import listed, shown
from policies.redaction.restore import json_escape, restore
from policies.verdict import Allow, AwaitArguments, DropTools, Refuse, Verdict
from proxy.operation import Operation
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import Lookup
from trajectory.errors import ClientError
from trajectory.events import BytesMoved, CallProposed
from trajectory.record import VerdictNote


@dataclass(slots=True, eq=False)
class Judging:
    """Also the ReplyJudge (proxy.wire.format) of what reads the reply."""

    engine: Engine
    operation: Operation
    notes: list[VerdictNote] = field(default_factory=list)
    lookup: Lookup | None = None

    def asked(self) -> Verdict:
        """On the request. Tools that it may not offer are out of it, or it is refused."""
        for call in self.operation.brings():
            verdict = self.engine.judge(call)
            if isinstance(verdict, Refuse):
                return verdict
        verdict = self.engine.judge(self.operation.ask())
        return self._without_tools(verdict) if isinstance(verdict, DropTools) else verdict

    def sent(self, size: int) -> Refuse | None:
        """On the bytes that are about to go to the upstream."""
        return _refusal(self.engine.judge(BytesMoved(self.operation.memory.id, self._host, sent=size)))

    def received(self, size: int) -> Refuse | None:
        """On the bytes that are about to go to the agent."""
        return _refusal(self.engine.judge(BytesMoved(self.operation.memory.id, self._host, received=size)))

    @property
    def reads_arguments(self) -> bool:
        return self.engine.reads_arguments

    def awaits_arguments(self, name: str) -> bool:
        return isinstance(self.engine.judge(CallProposed(self.operation.memory.id, name)), AwaitArguments)

    def passes(self, name: str) -> bool:
        return isinstance(self.engine.judge(CallProposed(self.operation.memory.id, name)), Allow)

    def call(self, name: str, call_id: str, arguments: str | ArrivingArguments) -> Refuse | None:
        """Arguments are judged as the agent will get them, values in place of pseudonyms."""
        known = arguments if isinstance(arguments, str) else None
        if known is not None and self.lookup is not None:
            known = restore(known, self.lookup, partial(json_escape, levels=1))
        verdict = self.engine.judge(CallProposed(self.operation.memory.id, name, call_id, known))
        if isinstance(verdict, AwaitArguments):  # nobody held the call back until its arguments were there
            return self.doubted(name, "its arguments were not there when it was judged")
        return self._noted(name, verdict) if isinstance(verdict, Refuse) else None

    def doubted(self, name: str, why: str) -> Refuse:
        message = f'The call of the tool "{shown(name)}" was refused by its arguments: {why}.'
        return self._noted(name, Refuse("tool_arguments_refused", "tool_arguments", message, shown(name)))

    def _noted(self, name: str, refused: Refuse) -> Refuse:
        self.note("refuse", refused.rule, refused.code, refused.message, refused.subject or name)
        return refused

    def offered(self, tools: Sequence[tuple[str, ...]]) -> frozenset[str]:
        verdicts: dict[str, Refuse] = {}
        for name, *aliases in tools:
            verdict = self.engine.judge(CallProposed(self.operation.memory.id, name, aliases=tuple(aliases)))
            if isinstance(verdict, Refuse):
                verdicts[name] = verdict
        if verdicts:
            first = next(iter(verdicts.values()))
            message = "Tools that may not be called were taken out of the upstream's list."
            self.note("rewrite", first.rule, first.code, message, listed(sorted(verdicts)), len(verdicts))
        return frozenset(verdicts)

    def note(self, action: str, rule: str, code: str, message: str, subject: str = "", count: int = 1) -> None:
        self.notes.append(VerdictNote(action, rule, code, message, subject, count))  # type: ignore[arg-type]

    def note_counts(self, code: str, did: str, counts: dict[str, int]) -> None:
        kinds = " ".join(f"{kind}:{count}" for kind, count in sorted(counts.items()))
        self.note("rewrite", "redaction", code, did, kinds, sum(counts.values()))

    @property
    def _host(self) -> str:
        return self.operation.route.host

    def _without_tools(self, verdict: DropTools) -> Verdict:
        names = listed(sorted(verdict.names))
        try:
            self.operation.apply(verdict)
        except ClientError as e:  # the request may not be edited
            return Refuse("tool_not_allowed", verdict.rule, f"{told(e)} They are: {names}.", names)
        self.note("rewrite", verdict.rule, "tool_not_allowed", verdict.message, names, len(verdict.names))
        return verdict


def told(error: ClientError) -> str:
    """What a client is told of an error that is its own."""
    return f"{error}. {error.hint}." if error.hint else f"{error}."


def _refusal(verdict: Verdict) -> Refuse | None:
    return verdict if isinstance(verdict, Refuse) else None
