"""From the runs of a bake-off and their trajectories to its scorecard. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from scoring.candidates import summarize
from scoring.cautions import find_cautions
from scoring.comparison import compare_pairs, flipped, rank
from scoring.conduct import DEFINITIONS as CONDUCT_DEFINITIONS
from scoring.conduct import Background, conduct_of
from scoring.context import Conversations
from scoring.efficiency import Weights
from scoring.faults import classify, stopped_early
from scoring.fidelity.curves import fidelity_curves
from scoring.fidelity.footing import footings
from scoring.limits import limit_hit
from scoring.measures import measure, with_sub_agents
from scoring.outcome import decide
from scoring.packages import needed_packages
from scoring.paths import Path
from scoring.scorecard import CandidateRow, Caution, Counting, RefusedRun, RunRow, Scorecard
from scoring.stepwise import stepwise_rows
from scoring.wording import DEFINITIONS, conclusions, formulas, stepwise_conclusions
from trajectory.runs import Bakeoff, Candidate, Run
from trajectory.trajectory import Trajectory

_NOTHING: Mapping[str, Any] = {}


def score(
    bakeoff: Bakeoff,
    runs: Sequence[Run],
    trajectories: Mapping[str, Trajectory],
    weights: Weights | None = None,
    *,
    references: Mapping[str, Path] = _NOTHING,
    conversations: Mapping[str, Conversations] = _NOTHING,
) -> Scorecard:
    """Score every run whose fingerprint is the bake-off's; the others are listed and left out.

    `trajectories` is asked for one trajectory at a time, by id, and may load lazily. `weights` default to those of
    the bake-off. A second run of the same candidate, task and trial is left out too: the first result stands.
    `references` are the reference paths by task; `conversations` the messages of each request by trajectory, which may
    load lazily and lack any.
    """
    weights = weights or Weights.of(bakeoff)
    same = [run for run in runs if run.fingerprint == bakeoff.fingerprint]
    refused = tuple(
        RefusedRun(run=run.id, candidate=run.candidate.name, task=run.task, fingerprint=run.fingerprint)
        for run in runs
        if run.fingerprint != bakeoff.fingerprint
    )
    first, repeated = _first_of_each(same)
    background = Background(references, bakeoff.tool_kinds, conversations)
    rows = tuple(
        score_run(run, trajectories.get(run.trajectory), background, _found(run.sub_agents, trajectories))
        for run in first
    )
    candidates = _candidates(bakeoff, first, rows, weights)
    rankings, steps = rank(candidates), stepwise_rows(first)
    names = [row.candidate.name for row in candidates]
    pairs, curves = compare_pairs(rows, names), fidelity_curves(rows, names, weights)
    cautions = find_cautions(
        bakeoff, candidates=candidates, rows=rows, rankings=rankings, pairs=pairs, curves=curves, refused=refused
    )
    return Scorecard(
        bakeoff=bakeoff,
        weights=weights,
        conclusions=stepwise_conclusions(steps) if steps else conclusions(candidates, pairs, flipped(rankings)),
        cautions=_of_steps(cautions) + _repeats(repeated) if steps else cautions + _repeats(repeated),
        candidates=candidates,
        rankings=rankings,
        pairs=pairs,
        runs=rows,
        refused_runs=refused,
        fidelity_curves=curves,
        stepwise=steps,
        formulas=formulas(candidates, weights),
        definitions=DEFINITIONS | CONDUCT_DEFINITIONS,
    )


def score_run(
    run: Run, trajectory: Trajectory | None, background: Background, sub_agents: Sequence[Trajectory] = ()
) -> RunRow:
    """What sub-agents asked for and used counts as the run's own; its path and its context are the main agent's."""
    outcome = decide(run)
    whole = None if trajectory is None else with_sub_agents(trajectory, sub_agents)
    conduct = conduct_of(run, trajectory, background, whole)
    fault = stopped_early(classify(run, outcome, trajectory), conduct.quality.divergence if conduct.quality else None)
    counting: Counting = "scored"
    if not outcome.is_scored or (fault is not None and fault.excuses_candidate):
        counting = "excluded"
    elif outcome.label == "unknown":
        counting = "unknown"
    return RunRow(
        run=run.id,
        trajectory=run.trajectory,
        candidate=run.candidate.name,
        task=run.task,
        trial=run.trial,
        outcome=outcome,
        fault=fault,
        limit_hit=limit_hit(run.certificate),
        counting=counting,
        measures=measure(run, whole),
        sub_agents=run.sub_agents,
        fidelity=footings(run.served),
        model_answers=run.model_answers,
        losses=run.losses,
        approvals=run.approvals,
        conduct=conduct,
        certificate=run.certificate,
        duration_s=run.duration_s,
    )


def _found(ids: Sequence[str], trajectories: Mapping[str, Trajectory]) -> list[Trajectory]:
    return [found for one in ids if (found := trajectories.get(one)) is not None]


def _of_steps(cautions: tuple[Caution, ...]) -> tuple[Caution, ...]:
    """Without those about an end and a process, which stepwise runs have not by their nature."""
    return tuple(caution for caution in cautions if caution.kind not in ("unknown_outcomes", "memory_unknown"))


def _first_of_each(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    seen: set[tuple[str, str, int]] = set()
    first: list[Run] = []
    repeated: list[Run] = []
    for run in sorted(runs, key=lambda run: (run.started_at, run.id)):
        key = (run.candidate.name, run.task, run.trial)
        (repeated if key in seen else first).append(run)
        seen.add(key)
    return first, repeated


def _candidates(
    bakeoff: Bakeoff, runs: Sequence[Run], rows: Sequence[RunRow], weights: Weights
) -> tuple[CandidateRow, ...]:
    """In the order of the bake-off; one that only its runs name (recorded production) comes first."""
    planned = {candidate.name: candidate for candidate in bakeoff.candidates}
    named: dict[str, Candidate] = {run.candidate.name: run.candidate for run in runs}
    by_name: defaultdict[str, list[RunRow]] = defaultdict(list)
    for row in rows:
        by_name[row.candidate].append(row)
    looked_at = [(row, (row.task, row.conduct.packages)) for row in rows if row.conduct.packages is not None]
    needed = needed_packages(
        reference=[found for row, found in looked_at if row.candidate == bakeoff.reference],
        passed=[found for row, found in looked_at if row.passed],
    )
    ordered = [*(c for name, c in named.items() if name not in planned), *bakeoff.candidates]
    return tuple(
        summarize(
            candidate,
            by_name[candidate.name],
            weights,
            needed,
            is_reference=candidate.name == bakeoff.reference,
        )
        for candidate in ordered
    )


def _repeats(repeated: Sequence[Run]) -> tuple[Caution, ...]:
    if not repeated:
        return ()
    text = (
        f"{len(repeated)} repeated runs of the same candidate, task and trial left out; the first result stands: "
        + ", ".join(run.id for run in repeated[:10])
    )
    names = tuple(sorted({run.candidate.name for run in repeated}))
    return (Caution(kind="duplicate_run", text=text, candidates=names, numbers={"runs": float(len(repeated))}),)
