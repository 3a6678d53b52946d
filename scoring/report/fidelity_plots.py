"""The plots of what tool results rest on, as inline SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from scoring.estimates import Estimate
from scoring.fidelity.footing import Footing, Trust
from scoring.fidelity.model import FidelityCurve, FidelityPoint
from scoring.report.bars import Bar, Layer, draw_stacks
from scoring.report.canvas import ACCENT, INK, PAPER, SERIES, TONES, Canvas, canvas
from scoring.report.fidelity import curves_best_first, footings_met
from scoring.report.tables import best_first
from scoring.scorecard import CandidateRow, Scorecard
from scoring.wording import footnote, interval_text, number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 13.4
_SMALLEST_NAMED = 0.05
"""Share of a bar below which there is no room for its number."""
_TITLES: Mapping[Trust, str] = {
    "recorded": "exact or canonical",
    "pooled": "… or pooled",
    "simulated": "… or simulated",
    "faithful": "… or live",
}
_LOOKS: Mapping[Footing, tuple[str, str]] = {
    "exact": (TONES["passed"], ""),
    "canonical": (TONES["passed"], "//"),
    "pooled": (ACCENT, "\\\\"),
    "simulated": (TONES["policy"], "xx"),
    "live": (TONES["timeout"], ".."),
    "stale": (TONES["infra"], "--"),
    "written": (TONES["oom"], "++"),
    "missing": (TONES["model"], "||"),
}


def fidelity_plot(card: Scorecard) -> str:
    """Shares of all tool results, a bar for each candidate that got any. Empty if none did."""
    rows = [row for row in best_first(card)[::-1] if row.fidelity]
    if not rows:
        return ""
    with canvas("fidelity", "What tool results rest on", _WIDTH, 1.2 + 0.42 * len(rows)) as drawing:
        (axis,) = drawing.row_of_axes(1)
        layers = [Layer(footing, *_LOOKS[footing], _bars(rows, footing)) for footing in footings_met(card)]
        draw_stacks(drawing, axis, [row.candidate.name for row in rows], layers)
        axis.set_xlim(0, 100)
        axis.set_xlabel("% of tool results")
    return drawing.svg


def success_by_share_plot(card: Scorecard) -> str:
    return _curves_plot(card, "by-share", "Success by share of tool results", lambda point: point.success, scale=100)


def score_by_share_plot(card: Scorecard) -> str:
    return _curves_plot(card, "score-by-share", "Score by share of tool results", lambda point: point.score, scale=1)


def _bars(rows: list[CandidateRow], footing: Footing) -> tuple[Bar, ...]:
    return tuple(_bar(row, footing) for row in rows)


def _bar(row: CandidateRow, footing: Footing) -> Bar:
    if footing not in row.shares:
        return Bar(0.0, "", "")
    estimate, results = row.shares[footing], sum(row.fidelity.values())
    share = estimate.value or 0.0
    tip = f"{row.candidate.name}: {row.fidelity[footing]} of {results} tool results {footing}\n{footnote(estimate)}"
    return Bar(100 * share, f"{100 * share:.0f}" if share >= _SMALLEST_NAMED else "", tip)


def _curves_plot(
    card: Scorecard, name: str, title: str, measure: Callable[[FidelityPoint], Estimate], *, scale: int
) -> str:
    """One panel for each level of trust. Empty where nothing is known."""
    curves = [curve for curve in curves_best_first(card) if any(measure(p).value is not None for p in curve.points)]
    trusts = list(dict.fromkeys(curve.trust for curve in curves))
    if not trusts:
        return ""
    names = list(dict.fromkeys(curve.candidate for curve in curves))
    with canvas(name, title, _WIDTH, 4.4) as drawing:
        axes = drawing.row_of_axes(len(trusts))
        for axis, trust in zip(axes, trusts, strict=True):
            for curve in (curve for curve in curves if curve.trust == trust):
                _curve(drawing, axis, curve, measure, SERIES[names.index(curve.candidate) % len(SERIES)], scale)
            axis.set_title(_TITLES[trust], loc="left", color=INK, size=10)
            axis.set_xlabel("at least so many % of a run's results")
            axis.set_xlim(-3, 103)
            axis.tick_params(length=0)
        _level(axes, (0, 100) if scale == 100 else None)
        axes[0].set_ylabel("success rate, %" if scale == 100 else "score")
        handles, labels = axes[0].get_legend_handles_labels()
        drawing.figure.legend(
            handles, labels, ncols=min(4, len(names)), loc="outside upper left", frameon=False, labelcolor=INK
        )
    return drawing.svg


def _level(axes: Sequence[Axes], span: tuple[float, float] | None) -> None:
    """The same heights in all panels: `span`, or what any of them reaches."""
    reached = [bound for axis in axes for bound in axis.get_ylim()]
    low, high = span or (min(reached), max(reached))
    for axis in axes:
        axis.set_ylim(low - 0.03 * (high - low), high + 0.03 * (high - low))


def _curve(
    drawing: Canvas,
    axis: Axes,
    curve: FidelityCurve,
    measure: Callable[[FidelityPoint], Estimate],
    colour: str,
    scale: int,
) -> None:
    """A line through the known points, each with its interval; an unknown point ends it."""
    known = [(point, measure(point)) for point in curve.points if measure(point).value is not None]
    x = [100 * point.at_least for point, _ in known]
    axis.plot(x, [scale * (one.value or 0.0) for _, one in known], color=colour, linewidth=2, label=curve.candidate)
    banded = [(at, one) for at, (_, one) in zip(x, known, strict=True) if one.low is not None and one.high is not None]
    axis.fill_between(
        [at for at, _ in banded],
        [scale * (one.low or 0.0) for _, one in banded],
        [scale * (one.high or 0.0) for _, one in banded],
        color=colour,
        alpha=0.1,
        linewidth=0,
    )
    for at, (point, one) in zip(x, known, strict=True):
        said = percent(one.value) if scale == 100 else number(one.value, 3)
        interval, passed = interval_text(one, 3, as_percent=scale == 100), f"{point.passed} of {point.scored} passed"
        gid = drawing.tip(f"{curve.candidate}, at least {at:g} %: {said} {interval}, {passed}\n{footnote(one)}")
        axis.plot([at], [scale * (one.value or 0.0)], "o", markersize=5, color=colour, markeredgecolor=PAPER, gid=gid)
