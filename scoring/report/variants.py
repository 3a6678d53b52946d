"""The report of prompt variants: success by model and prompt, what each of the two does, and what they do together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from scoring.estimates import Estimate
from scoring.report.canvas import INK, LINE, MUTED, PAPER, SERIES, Canvas, canvas
from scoring.report.tables import Cell, Table, estimate_cell
from scoring.report.versions import versions
from scoring.variants import Effect, Variants
from scoring.wording import count, footnote, interval_text, p_text, percent
from trajectory.runs import Frozen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 13.4
_FACTOR_COLOURS = {"model": SERIES[0], "prompt": SERIES[1], "interaction": SERIES[3]}


class PromptChange(Frozen):
    what: str
    before: str
    after: str


class PromptVariant(Frozen):
    """`source` says how it is made; `prompts` counts different recorded prompts among the tasks; `changes` are those
    of all of them, each once. `bakeoff` holds its runs.
    """

    name: str
    bakeoff: str
    source: str
    prompts: int
    changes: tuple[PromptChange, ...] = ()


class VariantsReport(Frozen):
    """`excluded` runs ended by infrastructure, `undecided` ones have no decided check: neither is in any number.

    `measure` is what is counted as a success; `notes` say what a reader must know of how the runs were made.
    """

    format: Literal["ironcage-variants-report/1"] = "ironcage-variants-report/1"
    id: str
    variants: tuple[PromptVariant, ...]
    read: Variants
    excluded: int
    undecided: int
    measure: str = "success"
    notes: tuple[str, ...] = ()

    @property
    def left_out(self) -> str:
        """A sentence on what the numbers leave out; empty if nothing."""
        said = []
        if self.excluded:
            said.append(f"{count(self.excluded, 'run')} ended by infrastructure")
        if self.undecided:
            said.append(f"{count(self.undecided, 'run')} without a decided check")
        if self.read.tasks_left_out:
            said.append(f"{count(self.read.tasks_left_out, 'task')} that some cell has no run of")
        return f"Left out: {', '.join(said)}." if said else ""


def variant_tables(report: VariantsReport) -> tuple[Table, ...]:
    return _success(report), _effects(report.read), _prompts(report.variants)


def render_variants(report: VariantsReport) -> str:
    """One HTML file, no network, no script."""
    environment = Environment(
        loader=PackageLoader("scoring.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    plot = Markup(variants_plot(report.read, report.measure))  # noqa: S704 (our own SVG, its texts escaped)
    template = environment.get_template("variants.html.j2")
    return template.render(report=report, plot=plot, tables=variant_tables(report), versions=versions())


def variants_plot(read: Variants, measure: str = "success") -> str:
    """Success (or what else is measured) of each model under each prompt, and each effect, all with their intervals."""
    effects = [effect for effect in read.effects if effect.difference.value is not None]
    height = max(3.6, 1.4 + 0.36 * len(effects))
    title = f"{measure.capitalize()} by model and prompt, and their effects"
    with canvas("variants", title, _WIDTH, height) as drawing:
        axes = drawing.row_of_axes(2 if effects else 1)
        _success_axis(drawing, axes[0], read)
        axes[0].set_ylabel(f"{measure}, %")
        if effects:
            _effect_axis(drawing, axes[1], effects[::-1])
    return drawing.svg


def _success_axis(drawing: Canvas, axis: Axes, read: Variants) -> None:
    step = min(0.12, 0.6 / max(1, len(read.models)))
    for at, model in enumerate(read.models):
        colour = SERIES[at % len(SERIES)]
        shift = step * (at - (len(read.models) - 1) / 2)
        cells = [cell for cell in read.cells if cell.model == model and cell.success.value is not None]
        places = [read.prompts.index(cell.prompt) + shift for cell in cells]
        values = [100 * (cell.success.value or 0.0) for cell in cells]
        axis.plot(places, values, color=colour, linewidth=1.5, alpha=0.6, label=model)
        for x, cell in zip(places, cells, strict=True):
            known = cell.success
            if known.low is not None and known.high is not None:
                axis.plot([x, x], [100 * known.low, 100 * known.high], color=colour, linewidth=5, alpha=0.28)
            text = f"{model} under {cell.prompt}: {percent(known.value)} {interval_text(known, as_percent=True)}"
            tip = drawing.tip(f"{text}\n{footnote(known)}")
            axis.plot(
                [x], [100 * (known.value or 0.0)], "o", markersize=8, color=colour, markeredgecolor=PAPER, gid=tip
            )
    axis.set_xticks(range(len(read.prompts)), list(read.prompts))
    axis.set_xlim(-0.5, len(read.prompts) - 0.5)
    axis.set_ylim(-4, 104)
    axis.grid(axis="x", visible=False)
    axis.tick_params(length=0)
    axis.legend(
        ncols=min(4, len(read.models)), loc="lower left", bbox_to_anchor=(0, 1), frameon=False, labelcolor=INK,
        borderpad=0,
    )  # fmt: skip


def _effect_axis(drawing: Canvas, axis: Axes, effects: Sequence[Effect]) -> None:
    axis.axvline(0, color=LINE, linewidth=1.5)
    for y, effect in enumerate(effects):
        known, colour = effect.difference, _FACTOR_COLOURS[effect.factor]
        if known.low is not None and known.high is not None:
            axis.plot([100 * known.low, 100 * known.high], [y, y], color=colour, linewidth=5, alpha=0.28)
        text = f"{effect.factor}, {_between(effect)}: {_points(known)} {interval_text(known, as_percent=True)}"
        tip = drawing.tip(f"{text}, p {p_text(effect.p_holm)} after Holm\n{footnote(known)}")
        fill = colour if effect.is_shown else PAPER
        axis.plot([100 * (known.value or 0.0)], [y], "o", markersize=8, color=fill, markeredgecolor=colour, gid=tip)
    axis.set_yticks(range(len(effects)), [_label(effect) for effect in effects])
    axis.set_ylim(-0.6, len(effects) - 0.4)
    axis.set_xlabel("points (filled: p < 0.05)", color=MUTED)
    axis.grid(axis="y", visible=False)
    axis.tick_params(length=0)
    axis.spines["left"].set_visible(False)


def _label(effect: Effect) -> str:
    said = f"{effect.factor}: {effect.a} - {effect.b}"
    return f"{said}, {effect.models[0]} - {effect.models[1]}" if effect.models else said


def _success(report: VariantsReport) -> Table:
    """A row for each model, a column for each prompt."""
    read = report.read
    found = {(cell.model, cell.prompt): cell.success for cell in read.cells}
    rows = tuple(
        (Cell(model), *(estimate_cell(found[model, prompt], 1, as_percent=True) for prompt in read.prompts))
        for model in read.models
    )
    return Table(f"{report.measure.capitalize()} by model and prompt", ("Model", *read.prompts), rows)


def _effects(read: Variants) -> Table:
    columns = ("Effect", "Between", "Difference, points", "p", "p Holm", "Shown")
    rows = tuple(
        (
            Cell(effect.factor),
            Cell(_between(effect)),
            Cell(
                _points(effect.difference),
                interval_text(effect.difference, as_percent=True),
                footnote(effect.difference),
            ),
            Cell(p_text(effect.p_value), note=f"n = {effect.difference.n} tasks; paired t over task means"),
            Cell(p_text(effect.p_holm), note="Holm within the factor"),
            Cell("yes" if effect.is_shown else "no"),
        )
        for effect in read.effects
    )
    return Table("What the model does, what the prompt does, what they do together", columns, rows)


def _prompts(variants: Sequence[PromptVariant]) -> Table:
    columns = ("Prompt", "Made by", "Prompts", "Changes", "Bake-off")
    rows = tuple(
        (Cell(one.name), Cell(one.source), Cell(str(one.prompts)), Cell(str(len(one.changes))), Cell(one.bakeoff))
        for one in variants
    )
    return Table("The prompts", columns, rows)


def _between(effect: Effect) -> str:
    said = f"{effect.a} against {effect.b}"
    return f"{said}, for {effect.models[0]} more than for {effect.models[1]}" if effect.models else said


def _points(estimate: Estimate) -> str:
    return "unknown" if estimate.value is None else f"{100 * estimate.value:+.1f}"
