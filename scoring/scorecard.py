"""The scorecard: everything that a report shows, as data. `Scorecard.model_json_schema()` describes the JSON file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scoring.conduct import CandidateConduct, RunConduct
from scoring.decision.model import Decision
from scoring.efficiency import Weights
from scoring.estimates import Estimate
from scoring.faults import Fault
from scoring.fidelity.footing import Footing
from scoring.fidelity.model import FidelityCurve
from scoring.limits import LimitHit
from scoring.measures import Measures
from scoring.outcome import Outcome
from scoring.stepwise import StepwiseRow
from trajectory.runs import Approvals, Bakeoff, Candidate, Certificate, Fidelity, Frozen, Loss

Basis = Literal["as_scored", "all_counted", "all_undecided_passed"]
"""Denominators: decided runs without infrastructure faults; all runs, undecided ones as failed; the same, as passed."""
Counting = Literal["scored", "excluded", "unknown"]


class RunRow(Frozen):
    """`counting`: scored enters the success rate; excluded is infrastructure; unknown has no decided check.

    `fidelity` counts the tool results by what they stand on; a run's share of each is that count by their sum.
    """

    run: str
    trajectory: str
    candidate: str
    task: str
    trial: int
    outcome: Outcome
    fault: Fault | None
    limit_hit: LimitHit | None
    counting: Counting
    measures: Measures
    sub_agents: tuple[str, ...] = ()
    """Trajectories of its sub-agents."""
    fidelity: dict[Footing, int]
    model_answers: dict[Fidelity, int] = Field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    approvals: Approvals | None = None
    conduct: RunConduct
    certificate: Certificate
    duration_s: float

    @property
    def passed(self) -> bool:
        return self.outcome.label == "passed"

    @property
    def is_ranked(self) -> bool:
        """Enters means and rates: neither infrastructure nor judged by a world that was not faithful enough."""
        return self.counting != "excluded" and not self.outcome.is_below_min_fidelity


class PassK(Frozen):
    """pass^k (all of k trials passed) and pass@k (at least one did), over `tasks` with at least k scored trials."""

    k: int
    pass_hat_k: float | None
    pass_at_k: float | None
    tasks: int


class CandidateRow(Frozen):
    """All rates are of the runs with the bake-off's fingerprint. `excluded` and `unknown_runs` are not in `success`.

    Means and limit rates are over the runs that are neither excluded nor below the minimal fidelity. `fidelity` counts
    the tool results of all runs, `shares` says what part of them each footing has.
    `standard_error` is clustered by task, `naive_error` treats the runs as independent and is there to show the
    difference.
    """

    candidate: Candidate
    is_reference: bool
    runs: int
    tasks: int
    passed: int
    failed: int
    excluded: int
    unknown_runs: int
    success: Estimate
    success_all_counted: Estimate
    success_bounds: tuple[float, float] | None
    naive_error: float | None
    standard_error: float | None
    design_effect: float | None
    pass_k: tuple[PassK, ...]
    mean_peak_memory_mb: Estimate
    mean_tool_calls: Estimate
    mean_retries: Estimate
    mean_failed_attempts: Estimate
    mean_input_tokens: Estimate
    mean_output_tokens: Estimate
    mean_ttft_s: Estimate
    mean_model_call_s: Estimate
    mean_duration_s: Estimate
    oom_rate: Estimate
    timeout_rate: Estimate
    near_ceiling: Estimate
    efficiency: Estimate
    score: Estimate
    operations: int
    attempts: int
    faults: dict[str, int]
    violations: dict[str, int]
    fidelity: dict[Footing, int]
    shares: dict[Footing, Estimate]
    conduct: CandidateConduct
    runs_without_memory: tuple[str, ...]


class PairResult(Frozen):
    """Two candidates on the tasks that both have runs for.

    `only_a` and `only_b` are the discordant tasks, which decide the comparison; with several trials a task is
    discordant where the means differ. `noise_floor` is the difference that repeats of one and the same model stay
    below in 19 of 20 cases; None where no task was tried twice.
    """

    basis: Literal["as_scored", "all_counted"]
    tasks: int
    passed_a: float
    passed_b: float
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    difference: Estimate
    p_value: float | None
    p_holm: float | None
    test: str
    noise_floor: float | None = None


class Pair(Frozen):
    a: str
    b: str
    as_scored: PairResult
    all_counted: PairResult


class Place(Frozen):
    rank: int
    candidate: str
    passed: int
    runs: int
    rate: float


class Ranking(Frozen):
    """By success rate, equal rates share a rank. Candidates without a run under this basis are left out."""

    basis: Basis
    places: tuple[Place, ...]


class Caution(Frozen):
    """Something that a reader must know before quoting a number. `numbers` holds what the text says, unrounded."""

    kind: Literal[
        "ranking_flip",
        "difference_rests_on_faults",
        "fingerprint_differs",
        "runs_missing",
        "stopped_early",
        "duplicate_run",
        "unknown_outcomes",
        "below_min_fidelity",
        "infra_excluded",
        "memory_unknown",
        "fidelity_flip",
        "tool_results_missing",
        "tool_results_written",
        "approvals_unmatched",
        "passed_over_limit",
        "trajectory_missing",
        "sub_agents",
        "tasks_left_out",
    ]
    text: str
    candidates: tuple[str, ...] = ()
    numbers: dict[str, float] = Field(default_factory=dict)


class Formula(Frozen):
    """A formula as printed, then with the values of one candidate put in."""

    name: str
    formula: str
    candidate: str
    with_values: str


class RefusedRun(Frozen):
    run: str
    candidate: str
    task: str
    fingerprint: str


class Scorecard(Frozen):
    """`conclusions` says in plain sentences what can and what cannot be concluded; the first is the headline."""

    format: Literal["ironcage-scorecard/2"] = "ironcage-scorecard/2"
    bakeoff: Bakeoff
    weights: Weights
    conclusions: tuple[str, ...]
    cautions: tuple[Caution, ...]
    candidates: tuple[CandidateRow, ...]
    rankings: tuple[Ranking, ...]
    pairs: tuple[Pair, ...]
    runs: tuple[RunRow, ...]
    refused_runs: tuple[RefusedRun, ...]
    fidelity_curves: tuple[FidelityCurve, ...] = ()
    stepwise: tuple[StepwiseRow, ...] = ()
    formulas: tuple[Formula, ...]
    definitions: dict[str, str]
    decision: Decision | None = None
