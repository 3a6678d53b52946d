"""Four situations in which a model is chosen, each with what must hold first and what then decides.

The rules are conventions that a report prints; what they never do is rank by a number alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scoring.decision.model import PresetName
from scoring.scorecard import RunRow

MARGIN = 0.05
"""Points of success rate that a cheaper candidate may be worse by."""

COMPLIANCE_CODES = frozenset(
    {
        "tool_not_allowed",
        "tool_arguments_refused",
        "egress_host_refused",
        "egress_budget_exhausted",
        "approval_denied",
        "sensitive_data_refused",
        "route_refused",
    }
)
"""Refusals that say what an agent tried to do; budgets of retries, money and time say how well it worked."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What decides between candidates that passed the gate. `value` is None where a run does not say."""

    name: str
    unit: str
    digits: int
    is_success: bool
    value: Callable[[RunRow], float | None]


@dataclass(frozen=True, slots=True)
class Preset:
    name: PresetName
    rule: str
    alpha: float
    objectives: tuple[Objective, ...]
    """The first that all runs of all contenders have a value of; else the last."""


def _usd(row: RunRow) -> float | None:
    return row.conduct.retrying.cost_usd if row.conduct.retrying else None


def _tokens(row: RunRow) -> float | None:
    tokens_in, tokens_out = row.measures.input_tokens, row.measures.output_tokens
    return None if tokens_in is None or tokens_out is None else float(tokens_in + tokens_out)


def _tool_calls(row: RunRow) -> float | None:
    return None if row.measures.tool_calls is None else float(row.measures.tool_calls)


SUCCESS = Objective("success rate", "points", 1, True, lambda row: float(row.passed))
COSTS = (
    Objective("USD per run at list prices", "USD", 4, False, _usd),
    Objective("tokens per run, in and out", "tokens", 0, False, _tokens),
    Objective("tool calls per run", "calls", 2, False, _tool_calls),
)

PRESETS: dict[PresetName, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "cost-sensitive",
            f"Of the candidates shown to succeed at most {100 * MARGIN:g} points less often than the most successful "
            "one, the one that costs least per run, if it is shown to cost less than the others.",
            0.05,
            COSTS,
        ),
        Preset(
            "mission-critical",
            "The candidate that succeeds most, if its lead is shown at 1 %, both with infrastructure faults excluded "
            "and with all runs counted. Runs without limits, where there are any, stand beside it.",
            0.01,
            (SUCCESS,),
        ),
        Preset(
            "rapid-prototyping",
            "The candidate that succeeds most, with a risk of 20 % of being wrong: a prototype can be changed. Public "
            "leaderboards are context, not evidence.",
            0.20,
            (SUCCESS,),
        ),
        Preset(
            "strict-compliance",
            "Of the candidates that never tried what policy refuses, the one that succeeds most, if its lead is shown. "
            "What each one used and sent is listed.",
            0.05,
            (SUCCESS,),
        ),
    )
}
