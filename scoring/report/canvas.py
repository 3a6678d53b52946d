"""Matplotlib figures as inline SVG that follows the colours and fonts of the page, light or dark.

Figures are drawn in stand-in colours which the SVG text then trades for CSS variables. Output depends on nothing
but the data: no dates, fixed ids. Matplotlib is slow to import and loads with the first figure.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, PAPER = "#010101", "#020202", "#030303", "#040404"
ACCENT = "#050505"
TONES: Mapping[str, str] = {
    "passed": "#060606",
    "model": "#070707",
    "policy": "#080808",
    "timeout": "#090909",
    "oom": "#0a0a0a",
    "infra": "#0b0b0b",
    "unknown": "#0c0c0c",
    "agent": "#0d0d0d",
}
"""Stand-in colour of each way that a run can end."""
SERIES = (ACCENT, *(TONES[tone] for tone in ("model", "passed", "policy", "timeout", "oom", "infra")))
"""Colours of series that are told apart by their names, such as models."""

_VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", PAPER: "--paper", ACCENT: "--accent"} | {
    colour: f"--{tone}" for tone, colour in TONES.items()
}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.color": LINE,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "hatch.color": PAPER,
    "hatch.linewidth": 0.9,
    "patch.edgecolor": PAPER,
}


@dataclass
class Canvas:
    """One figure under way. `tip` gives the next artist an id under which its tooltip is put into the SVG."""

    figure: Figure
    tips: list[str] = field(default_factory=list)
    svg: str = ""

    def tip(self, text: str) -> str:
        self.tips.append(text)
        return f"tip{len(self.tips)}"

    def row_of_axes(self, count: int) -> list[Axes]:
        axes = self.figure.subplots(1, count, squeeze=False)
        return list(axes[0])


@contextmanager
def canvas(name: str, title: str, width: float, height: float) -> Iterator[Canvas]:
    """Draw inside, then read `svg`. `name` keeps ids apart within a page; `title` is read to people who do not see it.

    Width and height in inches at 72 CSS pixels each.
    """
    import matplotlib as mpl  # noqa: PLC0415 -- slow to import, see above
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({**mpl.rcParamsDefault, **_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        drawing = Canvas(figure)
        yield drawing
        buffer = io.StringIO()
        FigureCanvasSVG(figure)
        with warnings.catch_warnings():
            # The page draws the text in its own fonts; matplotlib only measures it, and may lack a name's script.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        drawing.svg = _inline(buffer.getvalue(), name, title, drawing.tips)


def _inline(svg: str, name: str, title: str, tips: list[str]) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', _opening(title), svg, count=1)
    for i, text in enumerate(tips, start=1):
        svg = svg.replace(f'<g id="tip{i}">', f'<g id="tip{i}"><title>{html.escape(text)}</title>')
    svg = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg


def _opening(title: str) -> str:
    return (
        rf'<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="\1" role="img" aria-label="{html.escape(title)}">'
    )
