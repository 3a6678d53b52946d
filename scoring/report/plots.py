"""The plots of the HTML report, each returned as inline SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from scoring.estimates import Estimate
from scoring.report.bars import Bar, Layer, draw_stacks
from scoring.report.canvas import ACCENT, INK, MUTED, PAPER, TONES, Canvas, canvas
from scoring.report.tables import best_first
from scoring.report.tones import HATCHES, NAMES, Tone, tones_of
from scoring.scorecard import CandidateRow, Scorecard
from scoring.wording import footnote, interval_text, number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 13.4


def interval_plot(card: Scorecard) -> str:
    """Success, and the score where it is known, with 95 % intervals; hollow marks count every run."""
    rows = best_first(card)[::-1]
    scores = any(row.score.value is not None for row in rows)
    with canvas("intervals", "Success and score with intervals", _WIDTH, 1.1 + 0.42 * len(rows)) as drawing:
        axes = drawing.row_of_axes(2 if scores else 1)
        _success_axis(drawing, axes[0], rows)
        if scores:
            _score_axis(drawing, axes[1], rows)
        for axis in axes[1:]:
            axis.set_yticklabels([])
    return drawing.svg


def frontier_plot(card: Scorecard) -> str:
    """Success against tool calls, and against tokens where any are known. Empty if neither is."""
    wanted: tuple[tuple[str, Callable[[CandidateRow], Estimate]], ...] = (
        ("mean tool calls per run", lambda row: row.mean_tool_calls),
        ("mean tokens per run, in and out", _tokens),
    )
    shown = [(label, cost) for label, cost in wanted if any(cost(row).value is not None for row in card.candidates)]
    if not shown or all(row.success.value is None for row in card.candidates):
        return ""
    with canvas("frontier", "Success against cost", _WIDTH, 4.6) as drawing:
        for axis, (label, cost) in zip(drawing.row_of_axes(len(shown)), shown, strict=True):
            _scatter(drawing, axis, card.candidates, cost, label)
    return drawing.svg


def fault_plot(card: Scorecard) -> str:
    """How the runs of each candidate ended, by fault class."""
    rows = best_first(card)[::-1]
    ends = tones_of(card)
    tones = [tone for tone in NAMES if any(ends[row.candidate.name][tone] for row in rows)]
    layers = [Layer(NAMES[tone], TONES[tone], HATCHES[tone], _ends(rows, ends, tone)) for tone in tones]
    with canvas("faults", "How the runs ended", _WIDTH, 1.2 + 0.42 * len(rows)) as drawing:
        (axis,) = drawing.row_of_axes(1)
        draw_stacks(drawing, axis, [row.candidate.name for row in rows], layers)
        axis.set_xlabel("runs")
        axis.locator_params(axis="x", integer=True)
    return drawing.svg


def _success_axis(drawing: Canvas, axis: Axes, rows: Sequence[CandidateRow]) -> None:
    for y, row in enumerate(rows):
        if row.success_bounds and row.success_bounds[0] < row.success_bounds[1]:
            low, high = (100 * bound for bound in row.success_bounds)
            text = f"{row.candidate.name}: {low:.1f} to {high:.1f} % whichever way its undecided runs are counted"
            axis.plot([low, high], [y - 0.24] * 2, color=TONES["infra"], linewidth=2, gid=drawing.tip(text))
            axis.plot([low], [y - 0.24], "o", markersize=6, color=PAPER, markeredgecolor=TONES["infra"])
        _point(drawing, axis, y, row.candidate.name, row.success, scale=100, text=percent(row.success.value))
    axis.set_xlim(-2, 102)
    axis.set_xlabel("success rate, %")
    _name_rows(axis, rows)


def _score_axis(drawing: Canvas, axis: Axes, rows: Sequence[CandidateRow]) -> None:
    for y, row in enumerate(rows):
        _point(drawing, axis, y, row.candidate.name, row.score, scale=1, text=number(row.score.value, 3))
    axis.set_xlabel("score")
    _name_rows(axis, rows)


def _name_rows(axis: Axes, rows: Sequence[CandidateRow]) -> None:
    axis.set_yticks(range(len(rows)), [row.candidate.name for row in rows])
    axis.set_ylim(-0.6, len(rows) - 0.4)
    axis.grid(axis="y", visible=False)
    axis.tick_params(length=0)
    axis.spines["left"].set_visible(False)


def _point(drawing: Canvas, axis: Axes, y: int, name: str, estimate: Estimate, *, scale: float, text: str) -> None:
    if estimate.value is None:
        axis.text(0.02, y, "unknown", transform=axis.get_yaxis_transform(), va="center", color=MUTED, style="italic")
        return
    if estimate.low is not None and estimate.high is not None:
        axis.plot([scale * estimate.low, scale * estimate.high], [y, y], color=ACCENT, linewidth=5, alpha=0.28)
    tip = drawing.tip(f"{name}: {text} {interval_text(estimate, 3)}\n{footnote(estimate)}")
    axis.plot([scale * estimate.value], [y], "o", markersize=9, color=ACCENT, markeredgecolor=PAPER, gid=tip)
    axis.annotate(text, (scale * estimate.value, y), (0, 8), textcoords="offset points", ha="center", color=INK, size=9)


def _scatter(
    drawing: Canvas, axis: Axes, rows: Sequence[CandidateRow], cost: Callable[[CandidateRow], Estimate], label: str
) -> None:
    points = [(row, cost(row)) for row in rows if row.success.value is not None and cost(row).value is not None]
    _frontier(axis, [(estimate.value or 0.0, row.success.value or 0.0) for row, estimate in points])
    for row, x in points:
        _cross(axis, x, row.success)
        tip = drawing.tip(f"{row.candidate.name}: success {percent(row.success.value)}, {label} {number(x.value)}")
        xy = (x.value or 0.0, 100 * (row.success.value or 0.0))
        axis.plot([xy[0]], [xy[1]], "o", markersize=9, color=ACCENT, markeredgecolor=PAPER, gid=tip, zorder=4)
    _label(axis, points)
    lowest = min((100 * (row.success.low or 0.0) for row, _ in points), default=0.0)
    axis.set_ylim(max(-2.0, lowest - 6), 106)
    axis.set_xlim(left=0)
    axis.margins(x=0.12)
    axis.set_xlabel(label)
    axis.set_ylabel("success rate, %")
    axis.tick_params(length=0)


def _label(axis: Axes, points: Sequence[tuple[CandidateRow, Estimate]]) -> None:
    """Names beside their points; of points at nearly the same height and place names step away from the nearer edge."""
    placed: list[tuple[float, float]] = []
    reach = max((x.value or 0.0 for _, x in points), default=1.0) or 1.0
    for row, x in sorted(points, key=lambda point: -(point[0].success.value or 0.0)):
        at, height = (x.value or 0.0) / reach, 100 * (row.success.value or 0.0)
        text_at, step = height + 1.5, 4.5 if height < 50 else -4.5
        while any(abs(text_at - other) < 4.5 and abs(at - place) < 0.3 for place, other in placed):
            text_at += step
        placed.append((at, text_at))
        axis.annotate(
            row.candidate.name, (x.value or 0.0, text_at), (9, 0), textcoords="offset points", color=INK, size=9
        )


def _cross(axis: Axes, x: Estimate, y: Estimate) -> None:
    if x.low is not None and x.high is not None:
        axis.plot([x.low, x.high], [100 * (y.value or 0.0)] * 2, color=ACCENT, alpha=0.25, linewidth=1.6)
    if y.low is not None and y.high is not None:
        axis.plot([x.value or 0.0] * 2, [100 * y.low, 100 * y.high], color=ACCENT, alpha=0.25, linewidth=1.6)


def _frontier(axis: Axes, points: Sequence[tuple[float, float]]) -> None:
    """The candidates that no other beats in both: cheaper and at least as successful."""
    best, steps = -1.0, []
    for cost, success in sorted(points, key=lambda point: (point[0], -point[1])):
        if success > best:
            best = success
            steps.append((cost, 100 * success))
    if len(steps) > 1:
        axis.plot(
            [cost for cost, _ in steps],
            [success for _, success in steps],
            drawstyle="steps-post",
            linestyle=(0, (3, 3)),
            linewidth=1.2,
            color=MUTED,
        )


def _ends(rows: Sequence[CandidateRow], ends: Mapping[str, Mapping[Tone, int]], tone: Tone) -> tuple[Bar, ...]:
    return tuple(_end(row, ends[row.candidate.name].get(tone, 0), tone) for row in rows)


def _end(row: CandidateRow, runs: int, tone: Tone) -> Bar:
    faults = ", ".join(f"{name} {n}" for name, n in row.faults.items())
    tip = f"{row.candidate.name}: {runs} of {row.runs} runs {NAMES[tone]}\nfaults: {faults or 'none'}"
    return Bar(runs, str(runs), tip)


def _tokens(row: CandidateRow) -> Estimate:
    """Input and output together; without an interval, since the two are not independent."""
    tokens_in, tokens_out = row.mean_input_tokens, row.mean_output_tokens
    if tokens_in.value is None or tokens_out.value is None:
        return tokens_in if tokens_in.value is None else tokens_out
    return Estimate(value=tokens_in.value + tokens_out.value, n=min(tokens_in.n, tokens_out.n), method="sum of means")
