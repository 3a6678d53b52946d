"""Who is recommended, why, and by how much; or what the runs lack for a recommendation."""

from __future__ import annotations

from collections.abc import Sequence

from scoring.decision.gates import Judged
from scoring.decision.margins import margins
from scoring.decision.model import Flip, Margin, Recommendation, Standing
from scoring.decision.presets import Objective, Preset
from scoring.estimates import Estimate, mean, unknown
from scoring.scorecard import CandidateRow, Scorecard
from scoring.wording import count, footnote, number, p_text, percent


def standings(card: Scorecard, judged: Judged, objective: Objective) -> tuple[Standing, ...]:
    """Best first by the objective; candidates that are out come last."""
    found = [
        Standing(candidate=name, gate=gate, because=because, objective=_estimate(card, name, objective))
        for name, (gate, because) in judged.items()
    ]
    return tuple(sorted(found, key=lambda one: (one.gate == "out", _place(one, objective))))


def objective_of(card: Scorecard, preset: Preset, judged: Judged) -> Objective:
    """The first objective of the preset that all runs of all contenders have; the last one if none is."""
    contenders = [name for name, (gate, _) in judged.items() if gate != "out"]
    runs = [run for run in card.runs if run.candidate in contenders and run.is_ranked]
    for objective in preset.objectives:
        if runs and all(objective.value(run) is not None for run in runs):
            return objective
    return preset.objectives[-1]


def recommend(
    card: Scorecard, preset: Preset, objective: Objective, ranked: Sequence[Standing], would_change: Sequence[Flip]
) -> Recommendation:
    contenders = [one for one in ranked if one.gate != "out"]
    if not contenders:
        return _none(None, _nobody(ranked), (), would_change)
    leader = contenders[0]
    others = [one.candidate for one in contenders[1:]]
    found = margins(card, leader.candidate, others, objective, preset.alpha)
    if leader.objective.value is None:
        sentence = f"No recommendation: the {objective.name} is unknown ({leader.objective.unknown_because})."
        return _none(leader.candidate, sentence, found, would_change)
    if len(card.candidates) < 2:
        sentence = "No recommendation: with one candidate there is nothing to choose from."
        return _none(leader.candidate, sentence, found, would_change)
    if leader.gate == "open":
        sentence = f"No recommendation: {leader.candidate} leads in {objective.name}, but is {leader.because}."
        return _none(leader.candidate, sentence, found, would_change)
    rivals = [margin for margin in found if not margin.is_shown]
    if rivals:
        return _none(leader.candidate, _tied(leader, rivals, objective), found, would_change)
    verb = "Keep" if _row(card, leader.candidate).is_reference else "Take"
    return Recommendation(
        candidate=leader.candidate,
        leader=leader.candidate,
        sentence=f"{verb} {leader.candidate}.",
        reasons=_reasons(leader, ranked, found, objective),
        margins=found,
        would_change=tuple(would_change),
    )


def lead_text(margin: Margin, objective: Objective) -> str:
    if margin.lead.value is None:
        return UNKNOWN_LEAD
    sign = "" if objective.is_success else " less"
    return f"{_amount(margin.lead.value, objective)} {objective.unit}{sign}"


UNKNOWN_LEAD = "an unknown lead"


def _estimate(card: Scorecard, name: str, objective: Objective) -> Estimate:
    if objective.is_success:
        return _row(card, name).success
    rows = [run for run in card.runs if run.candidate == name and run.is_ranked]
    values = [(value, run.task) for run in rows if (value := objective.value(run)) is not None]
    if len(values) < len(rows):
        return unknown(f"{len(rows) - len(values)} of {count(len(rows), 'run')} do not say", n=len(values))
    return mean([value for value, _ in values], [task for _, task in values])


def _place(one: Standing, objective: Objective) -> float:
    value = one.objective.value
    if value is None:
        return float("inf")
    return -value if objective.is_success else value


def _row(card: Scorecard, name: str) -> CandidateRow:
    return next(row for row in card.candidates if row.candidate.name == name)


def _nobody(ranked: Sequence[Standing]) -> str:
    if not ranked:
        return "No recommendation: no run could be scored."
    told = "; ".join(f"{one.candidate} {one.because}" for one in ranked)
    return f"No recommendation: no candidate fulfils what must hold first: {told}."


def _tied(leader: Standing, rivals: Sequence[Margin], objective: Objective) -> str:
    closest = max(rivals, key=lambda margin: margin.p_value if margin.p_value is not None else 2.0)
    said = "p unknown" if closest.p_value is None else f"p {p_text(closest.p_value)}"
    return (
        f"No recommendation: {leader.candidate} leads in {objective.name}, but its lead over "
        f"{_names([margin.over for margin in rivals])} is not shown (closest {closest.over}: "
        f"{lead_text(closest, objective)}, {said})."
    )


def _reasons(
    leader: Standing, ranked: Sequence[Standing], found: Sequence[Margin], objective: Objective
) -> tuple[str, ...]:
    value = leader.objective
    shown = percent(value.value) if objective.is_success else number(value.value, objective.digits)
    reasons = [f"{objective.name}: {shown} ({footnote(value)})", f"gate: {leader.because}"]
    reasons += [f"ahead of {m.over} by {lead_text(m, objective)} (p {p_text(m.p_value)}; {m.test})" for m in found]
    reasons += [f"{one.candidate} is out: {one.because}" for one in ranked if one.gate == "out"]
    return tuple(reasons)


def _none(leader: str | None, sentence: str, found: Sequence[Margin], flips: Sequence[Flip]) -> Recommendation:
    return Recommendation(
        candidate=None,
        leader=leader,
        sentence=sentence,
        reasons=(),
        margins=tuple(found),
        would_change=tuple(flips),
    )


def _amount(value: float, objective: Objective) -> str:
    return f"{100 * value:.1f}" if objective.is_success else f"{value:,.{objective.digits}f}"


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
