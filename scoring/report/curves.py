"""The plot of how the context grows, as inline SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoring.report.canvas import INK, PAPER, SERIES, Canvas, canvas
from scoring.report.tables import best_first
from scoring.scorecard import CandidateRow, Scorecard
from scoring.wording import footnote, interval_text, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def context_plot(card: Scorecard) -> str:
    """Mean prompt tokens by model step, a line for each candidate. Empty if no provider counted two steps of a run."""
    rows = [row for row in best_first(card) if len(row.conduct.context.curve) > 1]
    if not rows:
        return ""
    with canvas("context", "Prompt tokens by model step", 13.4, 4.2) as drawing:
        (axis,) = drawing.row_of_axes(1)
        for at, row in enumerate(rows):
            _line(drawing, axis, row, SERIES[at % len(SERIES)])
        axis.set_xlabel("model step of the run")
        axis.set_ylabel("prompt tokens, mean")
        axis.set_ylim(bottom=0)
        axis.margins(x=0.02)
        axis.locator_params(axis="x", integer=True)
        axis.tick_params(length=0)
        axis.legend(
            ncols=min(4, len(rows)), loc="lower left", bbox_to_anchor=(0, 1), frameon=False, labelcolor=INK, borderpad=0
        )
    return drawing.svg


def _line(drawing: Canvas, axis: Axes, row: CandidateRow, colour: str) -> None:
    name, curve = row.candidate.name, row.conduct.context.curve
    steps = [point.step for point in curve]
    values = [point.prompt_tokens.value or 0.0 for point in curve]
    banded = [point for point in curve if point.prompt_tokens.low is not None]
    axis.fill_between(
        [point.step for point in banded],
        [point.prompt_tokens.low or 0.0 for point in banded],
        [point.prompt_tokens.high or 0.0 for point in banded],
        color=colour,
        alpha=0.12,
        linewidth=0,
    )
    style = (0, (4, 3)) if row.is_reference else "-"
    axis.plot(steps, values, color=colour, linewidth=2, linestyle=style, label=name)
    for point in curve:
        tokens = point.prompt_tokens
        text = f"{name}, step {point.step}: {number(tokens.value, 0)} {interval_text(tokens, 0)}\n{footnote(tokens)}"
        tip = drawing.tip(text)
        axis.plot([point.step], [tokens.value or 0.0], "o", markersize=5, color=colour, markeredgecolor=PAPER, gid=tip)
