"""What one exchange asks of policy, and the notes of every verdict that was not plain allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from policies.engine import Engine
from policies.quoting import listed, shown
from policies.redaction.restore import json_escape, restore
from policies.verdict import Allow, AskPerson, AwaitArguments, DropTools, Refuse, Verdict
from proxy.approvals import ApprovalAsked, Decision
from proxy.operation import Operation
from proxy.questions import Call, Question, Questions, unasked
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import Lookup
from trajectory.ending import answered
from trajectory.errors import ClientError
from trajectory.events import AttemptEnded, BytesMoved, CallProposed, Event, ModelAsked, ToolAsked
from trajectory.record import Attempt, VerdictNote


@dataclass(slots=True, eq=False)
class Judging:
    """Also the ReplyJudge (proxy.wire.format) of what reads the reply."""

    engine: Engine
    operation: Operation
    notes: list[VerdictNote] = field(default_factory=list)
    questions: Questions = field(default_factory=Questions)
    lookup: Lookup | None = None
    _granted: ModelAsked | None = None
    """What policy has let through, and may have reserved a budget for."""
    _was_sent: bool = False

    def asked(self) -> Verdict:
        """On the request. Tools that it may not offer are out of it, or it is refused, or waits for a person."""
        self.questions.read_again()
        noted = len(self.notes)
        waits: AskPerson | None = None
        for call in self.operation.brings():
            verdict = self._judged(call, self._made((call.name, *call.aliases), call.call_id))
            if isinstance(verdict, Refuse):
                return verdict
            waits = verdict if isinstance(verdict, AskPerson) else waits
        if waits is not None:
            del self.notes[noted:]
            return waits  # the request itself is judged with what is decided: only then may it reserve anything
        event = self.operation.ask()
        if isinstance(event, ToolAsked):
            return self._judged(event, self._made((event.tool, *event.aliases)))
        verdict = self.engine.judge(event)
        if isinstance(verdict, Allow | DropTools):
            self._granted = event
        return self._without_tools(verdict) if isinstance(verdict, DropTools) else verdict

    def sent(self, size: int) -> Refuse | None:
        """On the bytes that are about to go to the upstream."""
        refused = _refusal(self.engine.judge(BytesMoved(self.operation.memory.id, self._host, sent=size)))
        self._was_sent = refused is None
        return refused

    def settle(self, attempt: Attempt) -> None:
        """Once, whatever the end was: what the request had reserved is settled by what became of it."""
        event = AttemptEnded(attempt.trajectory, attempt.digest, attempt.end)
        if self._granted is not None and self.engine.reads_sizes:
            event = answered(self._granted, attempt, attempt.end, was_sent=self._was_sent)
        self.engine.settle(event)

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

    def question(self, name: str, call_id: str, arguments: str) -> Question | None:
        verdict = self.engine.judge(self._proposed(name, call_id, arguments))
        if not isinstance(verdict, AskPerson):
            return None
        return self.questions.open(Call((name,), call_id, is_proposal=True), verdict, self.operation)

    def call(self, name: str, call_id: str, arguments: str | ArrivingArguments) -> Refuse | None:
        event = self._proposed(name, call_id, arguments if isinstance(arguments, str) else None)
        verdict = self._judged(event, call := Call((name,), call_id, is_proposal=True))
        if isinstance(verdict, AwaitArguments):  # nobody held the call back until its arguments were there
            return self.doubted(name, "its arguments were not there when it was judged")
        if isinstance(verdict, AskPerson):
            verdict = unasked(call, verdict)
        return self._noted(name, verdict) if isinstance(verdict, Refuse) else None

    def _proposed(self, name: str, call_id: str, arguments: str | None) -> CallProposed:
        """Arguments are judged as the agent will get them, values in place of pseudonyms."""
        if arguments is not None and self.lookup is not None:
            arguments = restore(arguments, self.lookup, partial(json_escape, levels=1))
        return CallProposed(self.operation.memory.id, name, call_id, arguments)

    def _made(self, names: tuple[str, ...], call_id: str = "") -> Call:
        """A call that the request makes, or hands on."""
        route = self.operation.route
        return Call(names, call_id, place=f"{route.upstream} {route.place}", says_more=route.says_more)

    def _judged(self, event: Event, call: Call) -> Verdict:
        """With what people have decided; AskPerson where they have yet to."""
        verdict = self.engine.judge(event)
        if not isinstance(verdict, AskPerson):
            return verdict
        question = self.questions.take(call, verdict, self.operation)
        if question.is_open:
            return verdict
        if question.is_covered:
            self.notes.append(question.note())
        return question.refusal() or self.engine.judge(event, allowed=True)

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

    # --- what people decide ---

    def to_ask(self, attempt: str, at_s: float) -> tuple[ApprovalAsked, ...]:
        return self.questions.ask(self.operation, attempt, at_s)

    def decided(self, decisions: Mapping[str, Decision]) -> None:
        for question in self.questions.close(decisions):
            self.notes.append(question.note())
            if question.decision is not None and question.decision.outcome == "allowed":
                call, allowances = question.call, self.operation.memory.allowances
                allowances.allow(
                    call.names[0], call.place, question.asks, question.decision, is_proposal=call.is_proposal
                )

    def withdraw(self) -> None:
        """Nobody need decide any more."""
        self.notes += [question.note() for question in self.questions.close({})]

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
