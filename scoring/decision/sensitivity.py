"""What would change who leads: the weights of the score, the undecided runs, a few failures more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from scoring.decision.model import Flip
from scoring.decision.presets import Objective
from scoring.efficiency import Weights, score
from scoring.scorecard import CandidateRow, Pair, Scorecard
from scoring.statistics import mcnemar_exact
from scoring.wording import count

_STEPS = 100
"""Success weights that are tried, 0.01 apart."""


def find_flips(card: Scorecard, leader: str, others: Sequence[str], objective: Objective, alpha: float) -> list[Flip]:
    """Of the `leader` against the `others` that may still be chosen."""
    flips = _weights(card, [leader, *others])
    if objective.is_success:
        rows = {row.candidate.name: row for row in card.candidates}
        flips += [flip for other in others if (flip := _undecided(rows[leader], rows[other]))]
        flips += [flip for other in others if (flip := _failures(card, leader, other, alpha))]
    return flips


def _weights(card: Scorecard, names: Sequence[str]) -> list[Flip]:
    """Where the leader by score changes as success counts from nothing to all; none if a score is unknown."""
    rows = [row for row in card.candidates if row.candidate.name in names]
    if len(rows) < 2 or any(row.score.value is None for row in rows):
        return []
    led = [(step / _STEPS, _leader(rows, _weighted(card.weights, step / _STEPS))) for step in range(_STEPS + 1)]
    spans = [(name, [w for w, _ in group]) for name, group in groupby(led, key=lambda pair: pair[1])]
    now = _leader(rows, card.weights)
    return [
        Flip(
            kind="weights",
            text=f"By score, {name} leads with a success weight from {span[0]:.2f} to {span[-1]:.2f} (efficiency the "
            f"rest, penalties as they are); with the weights used it is {now}.",
            leader=name,
            numbers={"from": span[0], "to": span[-1]},
        )
        for name, span in spans
        if name != now
    ]


def _weighted(weights: Weights, success: float) -> Weights:
    return weights.model_copy(update={"success_weight": success, "efficiency_weight": 1 - success})


def _leader(rows: Sequence[CandidateRow], weights: Weights) -> str:
    def value(row: CandidateRow) -> float:
        parts = [row.success.value, row.efficiency.value, row.oom_rate.value, row.timeout_rate.value]
        success, efficiency, oom, timeout = (part or 0.0 for part in parts)
        return score(success, efficiency, oom, timeout, weights)

    return max(rows, key=value).candidate.name


def _undecided(leader: CandidateRow, other: CandidateRow) -> Flip | None:
    """The fewest undecided runs that would put `other` ahead: the leader's as failed, then the other's as passed."""
    own, others = leader.excluded + leader.unknown_runs, other.excluded + other.unknown_runs
    for moved in range(1, own + others + 1):
        failed = min(moved, own)
        passed = moved - failed
        rate = leader.passed / (leader.passed + leader.failed + failed)
        rival = (other.passed + passed) / (other.passed + other.failed + passed)
        if rival > rate:
            a, b = leader.candidate.name, other.candidate.name
            parts = [f"{failed} of the {count(own, 'undecided run')} of {a} had failed"] if failed else []
            parts += [f"{passed} of the {count(others, 'undecided run')} of {b} had passed"] if passed else []
            return Flip(
                kind="undecided_runs",
                text=f"{b} would lead if {' and '.join(parts)}.",
                leader=b,
                numbers={"failed": float(failed), "passed": float(passed), "rate": rate, "rival_rate": rival},
            )
    return None


def _failures(card: Scorecard, leader: str, other: str, alpha: float) -> Flip | None:
    """How many passes fewer would bring the leader level; with one run a task also what would take away the proof."""
    rows = {row.candidate.name: row for row in card.candidates}
    ahead, behind = rows[leader], rows[other]
    scored = ahead.passed + ahead.failed
    if ahead.success.value is None or behind.success.value is None or not scored:
        return None
    level = math.floor((ahead.success.value - behind.success.value) * scored + 1e-9) + 1
    pair = next(pair for pair in card.pairs if {pair.a, pair.b} == {leader, other})
    unshown = _until_unshown(pair, leader, alpha)
    if level > ahead.passed:  # one that never passed cannot be fallen behind
        return None
    text = f"{other} would lead if {level} of the {ahead.passed} passed runs of {leader} had failed"
    numbers = {"level": float(level)}
    if unshown is not None:
        text += f"; with {unshown} the lead would no longer be shown"
        numbers["unshown"] = float(unshown)
    return Flip(kind="failures", text=f"{text}.", leader=other, numbers=numbers)


def _until_unshown(pair: Pair, leader: str, alpha: float) -> int | None:
    """Lost tasks of McNemar's test until p, corrected as it is now, reaches `alpha`; None if it is not shown now."""
    result = pair.as_scored
    won, lost = (len(result.only_a), len(result.only_b))
    if pair.b == leader:
        won, lost = lost, won
    if "McNemar" not in result.test or not result.p_value or not result.p_holm or result.p_holm >= alpha:
        return None
    correction = result.p_holm / result.p_value
    return next(k for k in range(1, won + 1) if mcnemar_exact(won - k, lost) * correction >= alpha)
