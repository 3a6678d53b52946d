"""A decision as data: part of the scorecard, so that every form of the report shows the same."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scoring.estimates import Estimate
from trajectory.runs import Frozen

PresetName = Literal["cost-sensitive", "mission-critical", "rapid-prototyping", "strict-compliance"]
Gate = Literal["in", "open", "out"]
"""in: shown to fulfil what the preset asks for first; out: shown not to; open: these runs do not say."""


class Standing(Frozen):
    """One candidate under the preset's gate and objective. `because` says why it is in, open or out."""

    candidate: str
    gate: Gate
    because: str
    objective: Estimate


class Margin(Frozen):
    """By how much the leader leads `over` another contender, in units of the objective; above 0 is better."""

    over: str
    lead: Estimate
    p_value: float | None
    test: str
    is_shown: bool


class Flip(Frozen):
    """A change under which another candidate would lead. `numbers` holds what the text says, unrounded."""

    kind: Literal["weights", "undecided_runs", "failures", "uncapped"]
    text: str
    leader: str
    numbers: dict[str, float] = Field(default_factory=dict)


class Recommendation(Frozen):
    """`candidate` is None where the runs cannot carry a recommendation; `leader` is then who is ahead without proof."""

    candidate: str | None
    leader: str | None
    sentence: str
    reasons: tuple[str, ...]
    margins: tuple[Margin, ...]
    would_change: tuple[Flip, ...]


class UncappedRow(Frozen):
    """A candidate under the limits and without them, on the tasks that both have runs for."""

    candidate: str
    tasks: int
    constrained: Estimate
    uncapped: Estimate
    difference: Estimate
    p_holm: float | None
    is_bound_by_limits: bool


class Uncapped(Frozen):
    """`warnings` names what else differed between the two bake-offs than the limits."""

    bakeoff: str
    rows: tuple[UncappedRow, ...]
    warnings: tuple[str, ...]


class LeaderboardRow(Frozen):
    """A published figure, as context. `matches` names the candidates whose model it may be about."""

    model: str
    benchmark: str
    score_percent: float
    cost_usd: float | None
    published: str
    by: str
    disclosed: dict[str, str]
    undisclosed: tuple[str, ...]
    matches: tuple[str, ...] = ()


class Leaderboard(Frozen):
    """`unread` counts rows without a model or a figure."""

    source: str
    rows: tuple[LeaderboardRow, ...]
    unread: int


class SecurityAudit(Frozen):
    """What a candidate's runs did that a compliance officer asks for. Bytes by host: sent, received.

    `data_classes` counts values that were replaced by pseudonyms before they left; empty where redaction was off or
    found nothing. `offered_away` are tools that policy took out of what the model was offered.
    """

    candidate: str
    runs: int
    runs_recorded: int
    tools_used: dict[str, int]
    refusals: dict[str, int]
    refused_subjects: dict[str, int]
    offered_away: dict[str, int]
    data_classes: dict[str, int]
    egress: dict[str, tuple[int, int]]
    runs_with_violations: int
    violation_rate: Estimate


class Decision(Frozen):
    """`rule` says how the preset decides, `alpha` which risk of a wrong lead it accepts."""

    preset: PresetName
    rule: str
    alpha: float
    objective: str
    recommendation: Recommendation
    standings: tuple[Standing, ...]
    uncapped: Uncapped | None = None
    uncapped_note: str = ""
    leaderboard: Leaderboard | None = None
    security: tuple[SecurityAudit, ...] = ()
