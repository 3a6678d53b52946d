"""What other constraints would have said of recorded trajectories: their events, judged again by the same engine.

Each event is judged as it was recorded. After the first new refusal a real agent would have gone another way, so what
follows it is a hint, not a prediction. Memory, CPU and wall time are the cage's: they are not judged here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ironcage.recorded_asks import recorded_ask
from policies.building import build_rules
from policies.constraints import Constraints
from policies.engine import Engine
from policies.memory_ledger import MemoryLedger
from policies.settings import PolicySettings
from policies.verdict import DropTools, Refuse, Verdict
from proxy.wire.mcp import full_name
from trajectory.ending import answered
from trajectory.events import AttemptEnded, BytesMoved, CallProposed, End, ModelAsked, ToolAsked
from trajectory.steps import views_in_order
from trajectory.trajectory import AttemptView, OutcomeLabel, Step, Trajectory

JUDGED = (
    "tool_not_allowed",
    "tool_arguments_refused",
    "egress_host_refused",
    "egress_budget_exhausted",
    "retry_budget_exhausted",
    "spend_budget_exhausted",
    "context_budget_exhausted",
)
"""Codes of the rules that constraints make; refusals for other reasons would be the same."""
NEVER_JUDGED = frozenset({"route_refused", "unreadable_body"})
"""Refused before any rule was asked, whatever the constraints are."""


@dataclass(frozen=True, slots=True)
class Change:
    """A refusal that was and would not be, or the other way round. `step` counts from 0, as `trajectories show`."""

    step: int
    attempt: str
    code: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Rejudged:
    trajectory: str
    task: str | None
    label: OutcomeLabel | None
    refused: tuple[Change, ...]
    """Would be refused, and was not."""
    passed: tuple[Change, ...]
    """Was refused, and would not be."""
    no_longer_offered: tuple[str, ...]

    @property
    def breaks_a_pass(self) -> bool:
        return self.label == "passed" and bool(self.refused)


def rejudge(
    trajectory: Trajectory, constraints: Constraints, policies: PolicySettings, configured_hosts: Collection[str]
) -> Rejudged:
    """Hosts that were upstreams when it was recorded count as configured. Raises OperatorError as build_rules does."""
    recorded_hosts = [step.host for step in trajectory.steps if step.kind in ("model", "tool")]
    hosts = list(dict.fromkeys([*configured_hosts, *recorded_hosts]))
    engine = Engine(build_rules(constraints, policies, hosts), MemoryLedger())
    refused: list[Change] = []
    passed: list[Change] = []
    dropped: dict[str, None] = {}
    for step, view in views_in_order(trajectory.steps):
        if any(note.code in NEVER_JUDGED for note in view.verdicts):
            continue
        now, offered_less = _judged(engine, trajectory, step, view)
        was = _was(step, view)
        known = {(change.code, change.subject) for change in was}
        refused += [change for change in now if (change.code, change.subject) not in known]
        again = {(change.code, change.subject) for change in now}
        passed += [change for change in was if (change.code, change.subject) not in again]
        dropped |= dict.fromkeys(sorted(offered_less - _dropped_then(view)))
    return Rejudged(trajectory.id, trajectory.task, trajectory.label, tuple(refused), tuple(passed), tuple(dropped))


def _judged(
    engine: Engine, trajectory: Trajectory, step: Step, view: AttemptView
) -> tuple[list[Change], frozenset[str]]:
    """The refusals of one attempt, and the tools that would not be offered; people are taken to allow all calls."""
    asked = _asked(trajectory, step, view)
    verdict = engine.judge(asked, allowed=True)
    granted = asked if isinstance(asked, ModelAsked) and not isinstance(verdict, Refuse) else None
    dropped = verdict.names if isinstance(verdict, DropTools) else frozenset()
    was_sent = False
    if not isinstance(verdict, Refuse):
        verdict = engine.judge(BytesMoved(trajectory.id, step.host, sent=view.request_bytes))
        was_sent = not isinstance(verdict, Refuse)
    changes = _replied(engine, trajectory.id, step, view) if was_sent else []
    if isinstance(verdict, Refuse):
        changes = [_change(step, view, verdict)]
    is_cut = not was_sent or any(change.code == "egress_budget_exhausted" for change in changes)
    # an attempt that was refused then, and would go through, is taken to end well: how it would have is not known
    end: End = "refused" if is_cut else "complete" if view.end == "refused" else view.end
    ended = AttemptEnded(trajectory.id, step.digest, end)
    engine.settle(ended if granted is None else answered(granted, view, end, was_sent=was_sent))
    return changes, dropped


def _replied(engine: Engine, trajectory: str, step: Step, view: AttemptView) -> list[Change]:
    verdicts: list[Verdict] = [engine.judge(BytesMoved(trajectory, step.host, received=view.reply_bytes))]
    if view.answer is not None and not isinstance(verdicts[0], Refuse):
        # arguments as they were written down: with pseudonyms, where values were masked
        calls = [CallProposed(trajectory, call.name, call.id, call.arguments) for call in view.answer.calls]
        verdicts += [engine.judge(call, allowed=True) for call in calls]
    return list(dict.fromkeys(_change(step, view, verdict) for verdict in verdicts if isinstance(verdict, Refuse)))


def _asked(trajectory: Trajectory, step: Step, view: AttemptView) -> ModelAsked | ToolAsked:
    if step.kind == "model":
        return recorded_ask(trajectory, step, view)
    tool = view.tool
    return ToolAsked(
        trajectory=trajectory.id,
        upstream=step.upstream if step.kind == "tool" else None,
        host=step.host,
        tool=tool.name if tool is not None else "",
        digest=step.digest,
        body_bytes=view.request_bytes,
        arguments=tool.arguments if tool is not None else "",
        aliases=(full_name(step.upstream, tool.name),) if tool is not None and step.wire == "mcp" else (),
    )


def _was(step: Step, view: AttemptView) -> list[Change]:
    return [
        Change(step.index, view.id, note.code, note.subject, note.message)
        for note in view.verdicts
        if note.action in ("refuse", "cut") and note.code in JUDGED
    ]


def _dropped_then(view: AttemptView) -> frozenset[str]:
    names = [n for note in view.verdicts if note.code == "tool_not_allowed" for n in note.subject.split(", ")]
    return frozenset(names)


def _change(step: Step, view: AttemptView, verdict: Refuse) -> Change:
    return Change(step.index, view.id, verdict.code, verdict.subject, verdict.message)
