"""The calls of one exchange that people decide on. What nobody has decided on is refused.

A call is known again by all that its decision is about: its names, its id and its arguments. Of several that have the
same each needs a decision of its own.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from policies.quoting import shown
from policies.verdict import AskPerson, Code, Refuse
from proxy.approvals import ApprovalAsked, Decision
from proxy.masking import content_texts
from proxy.operation import Operation
from trajectory.record import VerdictNote

_MAX_REASON = 500  # characters
_NOBODY = "nobody could be asked"
_TWINS = "another call of the same reply has its id, and the agent may take the one for the other"


@dataclass(frozen=True, slots=True)
class Call:
    """`names` are all that it goes by, its own first. `is_proposal`: the agent has yet to make it.

    `place` is where it is made: upstream, method and path; `says_more` as in Route.
    """

    names: tuple[str, ...]
    id: str = ""
    is_proposal: bool = False
    place: str = ""
    says_more: bool = False


@dataclass(slots=True, eq=False)
class Question:
    """`is_open` until it is decided; closed without a decision, the call is refused for `doubt`.

    `tool`, `arguments`, `place` and `identity` are what a person gets to see of it, and what may be kept: masked.
    """

    call: Call
    asks: AskPerson
    is_open: bool = True
    is_covered: bool = False
    """By an earlier decision: nobody is asked."""
    decision: Decision | None = None
    doubt: str = _NOBODY
    tool: str = ""
    arguments: str = ""
    place: str = ""
    identity: str = ""
    is_taken: bool = False

    def show(self, operation: Operation) -> None:
        self.tool, self.arguments = operation.masked(self.call.names[0]), _json(operation.masked(self.asks.arguments))
        self.place = operation.masked(self.call.place) if self.call.place else ""
        said = f"{self.tool}\0{self.arguments}\0{self.place}".encode("utf-8", "surrogatepass")
        self.identity = hashlib.blake2b(said, digest_size=16).hexdigest()

    def refusal(self) -> Refuse | None:
        """None where a person has allowed it."""
        if self.decision is None:
            code: Code = "approval_denied" if self.doubt is _TWINS else "policy_failed"
            return self._refusal(code, f"and it was refused: {self.doubt}")
        if self.decision.outcome == "allowed":
            return None
        if self.decision.outcome == "timed_out":
            return self._refusal("approval_timed_out", f"and nobody did within {self.asks.timeout_s:g} s")
        said = " ".join(self.decision.reason.split())[:_MAX_REASON].rstrip(".")
        by = shown(self.decision.by) or "a person"
        return self._refusal("approval_denied", f"and {by} has denied it{': ' if said else ''}{said}")

    def note(self) -> VerdictNote:
        if self.decision is None:
            return VerdictNote("ask", self.asks.rule, "withdrawn", self.doubt, shown(self.tool), identity=self.identity)
        outcome, by = self.decision.outcome, self.decision.by
        said = "It was allowed before." if self.is_covered else self.decision.reason
        return VerdictNote("ask", self.asks.rule, outcome, said, shown(self.tool), by=by, identity=self.identity)

    def _refusal(self, code: Code, why: str) -> Refuse:
        name, rule = shown(self.call.names[0]), self.asks.rule
        message = f'The call of the tool "{name}" needs a person to allow it (policies.{rule}), {why}.'
        return Refuse(code, rule, message, name)


@dataclass(slots=True, eq=False)
class Questions:
    """In the order of their calls, which is the same each time that a request or a reply is read."""

    _all: list[Question] = field(default_factory=list)
    _asked: dict[str, Question] = field(default_factory=dict)
    """By the id that the shell knows it by."""

    def open(self, call: Call, asks: AskPerson, operation: Operation) -> Question:
        """A new one; what was allowed before is not open."""
        question = Question(call, asks)
        self._all.append(question)
        question.decision = operation.memory.allowances.covers(
            call.names, call.place, asks, is_proposal=call.is_proposal, says_more=call.says_more
        )
        if question.decision is not None:
            question.is_open, question.is_covered = False, True
            question.show(operation)
        return question

    def take(self, call: Call, asks: AskPerson, operation: Operation) -> Question:
        """The next question about just this call that has not been taken yet; a new one if there is none."""
        alike = (q for q in self._all if not q.is_taken and q.call == call and q.asks.arguments == asks.arguments)
        question = next(alike, None) or self.open(call, asks, operation)
        question.is_taken = True
        return question

    def read_again(self) -> None:
        """What was read is read once more, with what has been decided: each may be taken again."""
        for question in self._all:
            question.is_taken = False

    @property
    def are_open(self) -> bool:
        return any(question.is_open for question in self._all)

    def texts(self) -> tuple[tuple[str, str], ...]:
        """Texts with JSON keys that detection must see before they are shown to anybody."""
        waiting = [question for question in self._all if question.is_open]
        said = [(one.call.names[0], one.asks.arguments, one.call.place) for one in waiting]
        return tuple(content_texts(tuple(("", text) for texts in said for text in texts)))

    def ask(self, operation: Operation, attempt: str, at_s: float) -> tuple[ApprovalAsked, ...]:
        """What people are to be asked."""
        waiting = [question for question in self._all if question.is_open]
        ids = Counter(question.call.id for question in self._all)
        for question in waiting:
            if question.call.id and ids[question.call.id] > 1:
                question.is_open, question.doubt = False, _TWINS
                continue
            question.show(operation)
            self._asked[f"{attempt}-{len(self._asked) + 1}"] = question
        asked = [(id_, question) for id_, question in self._asked.items() if question.is_open]
        return tuple(_asked(id_, question, operation, at_s) for id_, question in asked)

    def close(self, decisions: Mapping[str, Decision]) -> list[Question]:
        """What is still open is decided now, or will not be any more. Returns what people were asked about."""
        closed = [question for question in self._asked.values() if question.is_open]
        for id_, question in self._asked.items():
            question.decision = question.decision or decisions.get(id_)
        for question in self._all:
            question.is_open = False
        return closed


def unasked(call: Call, asks: AskPerson) -> Refuse:
    """What becomes of a call as long as nobody has decided on it."""
    return Refuse("policy_failed", asks.rule, f'The call of the tool "{shown(call.names[0])}" waits for a person.')


def _asked(id_: str, question: Question, operation: Operation, at_s: float) -> ApprovalAsked:
    memory = operation.memory
    return ApprovalAsked(
        id=id_,
        session=memory.session,
        trajectory=memory.id,
        task=memory.task,
        agent=memory.agent,
        tool=question.tool,
        arguments=question.arguments,
        identity=question.identity,
        rule=question.asks.rule,
        why=question.asks.why,
        asked_at_s=at_s,
        timeout_s=question.asks.timeout_s,
        place=question.place,
    )


def _json(masked: str) -> str:
    """A pseudonym in the place of a number leaves no JSON: then the whole is shown as a text."""
    try:
        msgspec.json.decode(masked)
    except (ValueError, RecursionError):
        return msgspec.json.encode(masked).decode()
    return masked
