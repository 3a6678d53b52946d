"""Whether production does what the bake-off promised: the same measures before and after, each with a test.

Where all tasks of production were in the bake-off, tasks are paired; else the two sets are compared as they are, and
what differs may be the tasks. Trials of one task count once, as their mean.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scoring.attempts import attempts_of
from scoring.estimates import Estimate, mean, rate, task_means
from scoring.faults import classify
from scoring.measures import measure
from scoring.outcome import decide
from scoring.paths import path_of
from scoring.statistics import Interval, fisher_exact, holm, paired_difference, unpaired_difference
from trajectory.runs import Frozen, Run
from trajectory.trajectory import Trajectory

ALPHA = 0.05
SUCCESS = "success rate"
MAX_TOOLS = 20
"""Tools whose calls are compared one by one, the most used ones first."""

Status = Literal["drifted", "holds", "improved", "open", "unknown"]
"""drifted: shown to be worse, by more than the threshold; holds: shown to be within it; improved: shown to be better;
open: these runs do not say."""


class Thresholds(Frozen):
    """`success_drop` in shares (0.05 is 5 points); `increase` relative to the bake-off (0.2 is a fifth more)."""

    success_drop: float = 0.05
    increase: float = 0.20


class Measured(Frozen):
    """One measure. `difference` is after minus before, in its own units; for tools either direction is drift."""

    name: str
    before: Estimate
    after: Estimate
    difference: Estimate
    threshold: float
    p_value: float | None
    p_holm: float | None
    status: Status


class Drift(Frozen):
    """`format` names the JSON shape. `is_paired` says that tasks were compared with themselves."""

    format: Literal["ironcage-drift/1"] = "ironcage-drift/1"
    bakeoff: str
    candidate: str
    runs_before: int
    runs_after: int
    is_paired: bool
    thresholds: Thresholds
    measures: tuple[Measured, ...]
    cautions: tuple[str, ...]
    conclusion: str

    @property
    def has_drifted(self) -> bool:
        return any(one.status == "drifted" for one in self.measures)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a comparison needs of one run. `passed` is None where nobody decided, or infrastructure broke the run."""

    task: str
    passed: bool | None
    values: Mapping[str, float | None]
    tools: Mapping[str, int]


def sample_of(run: Run, trajectory: Trajectory | None) -> Sample:
    outcome = decide(run)
    fault = classify(run, outcome, trajectory)
    is_open = not outcome.is_scored or outcome.label == "unknown" or (fault is not None and fault.excuses_candidate)
    found = measure(run, trajectory)
    retrying = attempts_of(trajectory) if trajectory else None
    return Sample(
        task=run.task,
        passed=None if is_open else outcome.label == "passed",
        values={
            "retries per run": found.retries,
            "failed attempts per run": found.failed_attempts,
            "tool calls per run": found.tool_calls,
            "tokens in per run": found.input_tokens,
            "tokens out per run": found.output_tokens,
            "USD per run at list prices": retrying.cost_usd if retrying else None,
            "seconds per model call": found.model_call_s,
            "seconds to the first byte": found.ttft_s,
        },
        tools=Counter(call.tool for call in path_of(run, trajectory).calls) if trajectory else {},
    )


def find_drift(
    before: Sequence[Sample], after: Sequence[Sample], thresholds: Thresholds, *, bakeoff: str, candidate: str
) -> Drift:
    is_paired = bool(after) and {one.task for one in after} <= {one.task for one in before}
    found = [_success(before, after, thresholds, is_paired=is_paired)]
    found += [
        _value(name, _values(before, name), _values(after, name), thresholds, is_paired=is_paired)
        for name in (before[0].values if before else {})
    ]
    found += [
        _value(f"calls of {tool}", _calls(before, tool), _calls(after, tool), thresholds, is_paired=is_paired)
        for tool in _tools([*before, *after])
    ]
    adjusted = holm([one.p_value for one in found])
    measures = tuple(
        one.model_copy(update={"p_holm": p, "status": _status(one, p)}) for one, p in zip(found, adjusted, strict=True)
    )
    return Drift(
        bakeoff=bakeoff,
        candidate=candidate,
        runs_before=len(before),
        runs_after=len(after),
        is_paired=is_paired,
        thresholds=thresholds,
        measures=measures,
        cautions=tuple(_cautions(before, after)),
        conclusion=_conclusion(measures),
    )


_Known = tuple[list[float], list[str]]


def _values(samples: Sequence[Sample], name: str) -> _Known:
    known = [(float(value), one.task) for one in samples if (value := one.values.get(name)) is not None]
    return [value for value, _ in known], [task for _, task in known]


def _calls(samples: Sequence[Sample], tool: str) -> _Known:
    return [float(one.tools.get(tool, 0)) for one in samples], [one.task for one in samples]


def _success(before: Sequence[Sample], after: Sequence[Sample], thresholds: Thresholds, *, is_paired: bool) -> Measured:
    sides = [[(one.passed, one.task) for one in side if one.passed is not None] for side in (before, after)]
    rates = [rate([passed for passed, _ in side], [task for _, task in side]) for side in sides]
    known: list[_Known] = [([float(p) for p, _ in side], [task for _, task in side]) for side in sides]
    difference, p_value = _difference(known[0], known[1], is_paired=is_paired, most=1.0)
    is_single = all(len(set(tasks)) == len(tasks) for _, tasks in known)
    if is_single and not is_paired and all(tasks for _, tasks in known):
        (a, _), (b, _) = known
        p_value = fisher_exact(int(sum(a)), len(a), int(sum(b)), len(b))
    return Measured(
        name=SUCCESS,
        before=rates[0],
        after=rates[1],
        difference=difference,
        threshold=thresholds.success_drop,
        p_value=p_value,
        p_holm=None,
        status="unknown",
    )


def _value(name: str, before: _Known, after: _Known, thresholds: Thresholds, *, is_paired: bool) -> Measured:
    was = mean(*before)
    difference, p_value = _difference(before, after, is_paired=is_paired)
    return Measured(
        name=name,
        before=was,
        after=mean(*after),
        difference=difference,
        threshold=thresholds.increase * (was.value or 0.0),
        p_value=p_value,
        p_holm=None,
        status="unknown",
    )


def _difference(
    before: _Known, after: _Known, *, is_paired: bool, most: float = math.inf
) -> tuple[Estimate, float | None]:
    old, new = task_means(*before), task_means(*after)
    tasks = [task for task in new if task in old]
    found = (
        paired_difference([new[task] for task in tasks], [old[task] for task in tasks])
        if is_paired
        else unpaired_difference(list(new.values()), list(old.values()))
    )
    if found is None:
        return Estimate(value=None, n=0, method="none", unknown_because="a side has no run that says"), None
    low, high = found.interval.cut_at(most) if found.interval else (None, None)
    method = "paired over tasks, 95 % t interval" if is_paired else "task means, 95 % interval by Welch's t"
    n = len(tasks) if is_paired else len(old) + len(new)
    p_value = 1.0 if is_paired and found.p_value is None and found.mean == 0 and len(tasks) > 1 else found.p_value
    return Estimate(value=found.mean, n=n, low=low, high=high, method=method), p_value


def _tools(samples: Sequence[Sample]) -> list[str]:
    total: Counter[str] = Counter()
    for one in samples:
        total.update(one.tools)
    return [tool for tool, _ in total.most_common(MAX_TOOLS)]


def _status(one: Measured, p_holm: float | None) -> Status:
    if one.difference.value is None or p_holm is None:
        return "unknown"
    low, high = one.difference.low, one.difference.high
    worse, span = one.difference.value, Interval(low, high) if low is not None and high is not None else None
    if one.name == SUCCESS:
        worse, span = -worse, Interval(-span.high, -span.low) if span else None
    if one.name.startswith("calls of "):
        worst = max(abs(span.low), abs(span.high)) if span else abs(worse)
        worse = abs(worse)
    else:
        worst = span.high if span else worse
    if p_holm < ALPHA and worse > one.threshold:
        return "drifted"
    if p_holm < ALPHA and worse < 0:
        return "improved"
    return "holds" if worst <= one.threshold else "open"


def _cautions(before: Sequence[Sample], after: Sequence[Sample]) -> list[str]:
    tasks = {one.task for one in before}
    new = sum(one.task not in tasks for one in after)
    unlabelled = sum(one.passed is None for one in after)
    said = []
    if new:
        said.append(f"{new} of {len(after)} production runs are of tasks that the bake-off did not have: what differs "
                    "may be the tasks")  # fmt: skip
    if unlabelled:
        said.append(f"{unlabelled} of {len(after)} production runs have no decided outcome and are not in the success "
                    "rate")  # fmt: skip
    return said


def _conclusion(measures: Sequence[Measured]) -> str:
    drifted = [one.name for one in measures if one.status == "drifted"]
    undecided = [one.name for one in measures if one.status in ("open", "unknown")]
    if drifted:
        return f"Production has drifted from the bake-off: {', '.join(drifted)}."
    if undecided:
        return f"No drift is shown; these runs cannot exclude it for {', '.join(undecided)}."
    return "Production does what the bake-off promised, within the thresholds."
