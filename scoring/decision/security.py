"""What each candidate used, tried and sent, added up from its trajectories: the audit for strict compliance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from scoring.decision.gates import violations
from scoring.decision.model import SecurityAudit
from scoring.estimates import rate
from scoring.scorecard import RunRow, Scorecard
from trajectory.record import VerdictNote
from trajectory.trajectory import Step, Trajectory

_REDACTION = "redaction"
_MASKED = "masked"
_NO_TOOL = "tool_not_allowed"


@dataclass
class _Seen:
    tools: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    subjects: Counter[str] = field(default_factory=Counter)
    away: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)


def audit_security(card: Scorecard, trajectories: Mapping[str, Trajectory]) -> tuple[SecurityAudit, ...]:
    """One audit for each candidate, in the order of the scorecard; `trajectories` may load lazily."""
    return tuple(
        _audit(row.candidate.name, [run for run in card.runs if run.candidate == row.candidate.name], trajectories)
        for row in card.candidates
    )


def _audit(name: str, runs: Sequence[RunRow], trajectories: Mapping[str, Trajectory]) -> SecurityAudit:
    seen, recorded = _Seen(), []
    for run in runs:
        found = trajectories.get(run.trajectory)
        if found is not None:
            recorded.append(run)
            _see(seen, found)
            for sub_agent in run.sub_agents:
                if (found := trajectories.get(sub_agent)) is not None:
                    _see(seen, found)
    broke = [violations(run) > 0 for run in recorded]
    return SecurityAudit(
        candidate=name,
        runs=len(runs),
        runs_recorded=len(recorded),
        tools_used=_sorted(seen.tools),
        refusals=_sorted(seen.refusals),
        refused_subjects=_sorted(seen.subjects),
        offered_away=_sorted(seen.away),
        data_classes=_sorted(seen.classes),
        egress={host: (seen.sent[host], seen.received[host]) for host in sorted(seen.sent)},
        runs_with_violations=sum(broke),
        violation_rate=rate(broke, [run.task for run in recorded]),
    )


def _see(seen: _Seen, trajectory: Trajectory) -> None:
    proposed: Counter[str] = Counter()
    crossed: Counter[str] = Counter()
    for step in trajectory.steps:
        proposed.update(_proposed(step))
        if step.last.tool is not None and step.last.end != "refused":
            crossed[step.last.tool.name] += 1
        for attempt in step.attempts:
            if attempt.end != "refused":
                seen.sent[step.host] += attempt.request_bytes
                seen.received[step.host] += attempt.reply_bytes
            for note in attempt.verdicts:
                _note(seen, note)
    # a call that the model proposed and that crossed the proxy is one call, seen twice
    seen.tools.update(proposed | crossed)


def _proposed(step: Step) -> Iterator[str]:
    """Tools that the agent was told to call, without those that policy took out of the answer."""
    answer = step.last.answer
    if answer is None:
        return
    refused = Counter({note.subject: note.count for note in step.last.verdicts if note.action == "refuse"})
    for call in answer.calls:
        if refused[call.name] > 0:
            refused[call.name] -= 1
        else:
            yield call.name


def _note(seen: _Seen, note: VerdictNote) -> None:
    if note.action in ("refuse", "cut"):
        seen.refusals[note.code] += note.count
        if note.subject:
            seen.subjects[f"{note.code}: {note.subject}"] += note.count
    elif note.rule == _REDACTION and note.code == _MASKED:
        seen.classes.update(_classes(note.subject))
    elif note.code == _NO_TOOL:
        seen.away[note.subject] += 1


def _classes(subject: str) -> dict[str, int]:
    """`CARD:1 EMAIL:2` as counts; what is not of this form is left out."""
    pairs = (part.rpartition(":") for part in subject.split())
    return {kind: int(number) for kind, _, number in pairs if kind and number.isdecimal()}


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
