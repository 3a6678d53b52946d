"""What production did since a bake-off, held against what the bake-off measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ironcage.scorecards import trajectories_of
from replay.checks import label_result
from replay.production import recorded_certificate
from replay.recorded import is_sub_agent, sub_agents_of
from replay.task import RecordedLabel
from scoring.drift import Drift, Thresholds, find_drift, sample_of
from scoring.measures import with_sub_agents
from trajectory.errors import OperatorError
from trajectory.runs import Bakeoff, Candidate, Run
from trajectory.store import Store
from trajectory.trajectory import REPLAYED, OutcomeLabel, Trajectory, TrajectorySummary

_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Production:
    """Which recorded trajectories are meant: all but replays that began at `since` (Unix seconds) or later."""

    since: float
    agent: str | None = None
    model: str | None = None
    label: OutcomeLabel | None = None

    def holds(self, one: TrajectorySummary) -> bool:
        return (
            one.source not in REPLAYED
            and one.started_at >= self.since
            and self.agent in (None, one.agent)
            and (self.model is None or self.model in one.models)
            and self.label in (None, one.label)
        )


def drift_of(store: Store, bakeoff: Bakeoff, candidate: str | None, what: Production, thresholds: Thresholds) -> Drift:
    chosen = _candidate(bakeoff, candidate)
    recorded = trajectories_of(store, bakeoff)
    runs = [run for run in store.runs(bakeoff.id) if run.candidate.name == chosen.name]
    if not runs:
        raise OperatorError(f"bake-off {bakeoff.id} has no run of {chosen.name}", hint="finish the bake-off first")
    before = [sample_of(run, _whole(recorded.get(run.trajectory), run.sub_agents, recorded)) for run in runs]
    after = [sample_of(_run(one, chosen), one) for one in _production(store, what)]
    if not after:
        raise OperatorError(
            "no recorded trajectory is of this time, agent, model and label",
            hint="`ironcage trajectories list` shows what there is",
        )
    return find_drift(before, after, thresholds, bakeoff=bakeoff.id, candidate=chosen.name)


def _candidate(bakeoff: Bakeoff, name: str | None) -> Candidate:
    names = [one.name for one in bakeoff.candidates]
    found = [one for one in bakeoff.candidates if name in (None, one.name)]
    if len(found) != 1:
        said = f"there is no candidate {name!r}" if name else "several candidates ran"
        raise OperatorError(f"{said} in bake-off {bakeoff.id}", hint=f"name one with --candidate: {', '.join(names)}")
    return found[0]


def _production(store: Store, what: Production) -> Iterator[Trajectory]:
    """One at a time: a month of production does not fit into memory. Sub-agents are part of their main agent's run,
    unless it is one of them that is meant.
    """
    for summary in store.find(limit=_MOST):
        if not what.holds(summary) or (what.agent is None and is_sub_agent(store, summary)):
            continue
        main = store.trajectory(summary.id)
        yield with_sub_agents(main, [store.trajectory(one) for one in sub_agents_of(store, main)])


def _whole(main: Trajectory | None, sub_agents: Sequence[str], recorded: Mapping[str, Trajectory]) -> Trajectory | None:
    found = [recorded.get(one) for one in sub_agents]
    return None if main is None else with_sub_agents(main, [one for one in found if one is not None])


def _run(recorded: Trajectory, candidate: Candidate) -> Run:
    """A trajectory as a run, so that both sides are measured alike. Without a task it is a task of its own."""
    certificate = recorded_certificate(recorded)
    label = RecordedLabel(label=recorded.label, evidence=recorded.label_evidence) if recorded.label else None
    return Run(
        id=recorded.id,
        bakeoff="",
        task=recorded.task or recorded.id,
        candidate=candidate,
        trial=0,
        seed=0,
        fingerprint="",
        mode="agent",
        status="finished",
        started_at=recorded.started_at,
        duration_s=certificate.wall_s or 0.0,
        trajectory=recorded.id,
        certificate=certificate,
        checks=(label_result(label),) if label else (),
    )
