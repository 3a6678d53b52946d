"""A scorecard with a decision for one preset."""

from __future__ import annotations

from collections.abc import Mapping

from scoring.decision.gates import judge
from scoring.decision.model import Decision, Flip, Leaderboard, PresetName, Uncapped
from scoring.decision.presets import PRESETS
from scoring.decision.recommend import objective_of, recommend, standings
from scoring.decision.security import audit_security
from scoring.decision.sensitivity import find_flips
from scoring.decision.validation import beside_uncapped, uncapped_flip
from scoring.scorecard import Scorecard
from trajectory.trajectory import Trajectory

NO_UNCAPPED = (
    "No bake-off without limits was given: how much the limits themselves cost is not known. Run the same tasks with a "
    "constraints file that sets none, and name that bake-off."
)


def decide(
    card: Scorecard,
    preset: PresetName,
    *,
    trajectories: Mapping[str, Trajectory],
    uncapped: Scorecard | None = None,
    leaderboard: Leaderboard | None = None,
) -> Scorecard:
    """`card` with its decision; `trajectories` may load lazily, and are only asked for where the preset audits them."""
    chosen = PRESETS[preset]
    judged = judge(card, preset)
    objective = objective_of(card, chosen, judged)
    ranked = standings(card, judged, objective)
    contenders = [one.candidate for one in ranked if one.gate != "out"]
    beside = beside_uncapped(card, uncapped) if uncapped is not None else None
    flips: list[Flip] = []
    if contenders:
        flips = find_flips(card, contenders[0], contenders[1:], objective, chosen.alpha)
        flips += _uncapped(beside, contenders[0])
    decision = Decision(
        preset=preset,
        rule=chosen.rule,
        alpha=chosen.alpha,
        objective=objective.name,
        recommendation=recommend(card, chosen, objective, ranked, flips),
        standings=ranked,
        uncapped=beside,
        uncapped_note=NO_UNCAPPED if preset == "mission-critical" and beside is None else "",
        leaderboard=leaderboard,
        security=audit_security(card, trajectories) if preset == "strict-compliance" else (),
    )
    return card.model_copy(update={"decision": decision})


def _uncapped(beside: Uncapped | None, leader: str) -> list[Flip]:
    flip = uncapped_flip(beside, leader) if beside is not None else None
    return [flip] if flip is not None else []
