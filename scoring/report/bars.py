"""Stacked horizontal bars, one for each candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scoring.report.canvas import INK, LINE, MUTED, PAPER, Canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of one candidate's stack; `text` stands in it, `tip` behind it. Nothing is drawn for a length of 0."""

    length: float
    text: str
    tip: str


@dataclass(frozen=True, slots=True)
class Layer:
    """One kind of piece: told apart by colour and hatch, not colour alone. `bars` has one for each candidate."""

    name: str
    colour: str
    hatch: str
    bars: tuple[Bar, ...]


def draw_stacks(drawing: Canvas, axis: Axes, names: Sequence[str], layers: Sequence[Layer]) -> None:
    """From the bottom up in the order of `names`, from left to right in that of `layers`."""
    reached = [0.0] * len(names)
    for layer in layers:
        for y, bar in enumerate(layer.bars):
            if bar.length:
                _draw(drawing, axis, layer, bar, (reached[y], y))
                reached[y] += bar.length
        axis.barh([0], [0], color=layer.colour, edgecolor=PAPER, hatch=layer.hatch, label=layer.name)
    axis.set_yticks(range(len(names)), list(names))
    axis.grid(axis="y", visible=False)
    axis.tick_params(length=0)
    axis.spines["left"].set_visible(False)
    axis.margins(x=0.01, y=0.03)
    axis.legend(
        ncols=len(layers), loc="lower left", bbox_to_anchor=(0, 1), frameon=False, labelcolor=MUTED, borderpad=0
    )


def _draw(drawing: Canvas, axis: Axes, layer: Layer, bar: Bar, at: tuple[float, int]) -> None:
    left, y = at
    tip = drawing.tip(bar.tip)
    axis.barh(y, bar.length, left=left, height=0.62, color=layer.colour, edgecolor=PAPER, hatch=layer.hatch, gid=tip)
    if bar.text:
        box = {"boxstyle": "round,pad=0.22", "facecolor": PAPER, "edgecolor": LINE, "linewidth": 0.6}
        axis.text(left + bar.length / 2, y, bar.text, ha="center", va="center", size=9, color=INK, bbox=box)
