"""The report of a sweep: what each task needs of a resource, where success stops to change, which values to set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from scoring.noise.labels import Fit, Label
from scoring.noise.plateau import Step
from scoring.noise.runs import step_name
from scoring.noise.sweep import Sweep
from scoring.report.canvas import ACCENT, INK, MUTED, PAPER, TONES, Canvas, canvas
from scoring.report.tables import Cell, Table, estimate_cell
from scoring.report.versions import versions
from scoring.wording import UNKNOWN, footnote, interval_text, number, p_text, percent
from trajectory.runs import Frozen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIGNS: dict[Fit, str] = {
    "fits": "fits",
    "headroom-bound": "needs headroom",
    "grows without bound": "grows without bound",
    "model": "fails for another reason",
    "unknown": UNKNOWN,
}


class CandidateSweep(Frozen):
    candidate: str
    sweep: Sweep


class SweepReport(Frozen):
    """`carried` says how runs of a lower step stand for those of a higher one that were not made; empty if none do.
    `notes` say what a reader must know of how the runs were made.
    """

    format: Literal["ironcage-sweep-report/1"] = "ironcage-sweep-report/1"
    id: str
    sweeps: tuple[CandidateSweep, ...]
    carried: str = ""
    notes: tuple[str, ...] = ()


def sweep_tables(one: CandidateSweep) -> tuple[Table, Table]:
    return _steps(one.sweep), _labels(one.sweep)


def heading(one: CandidateSweep) -> str:
    return f"{one.candidate}: {one.sweep.resource.replace('_', ' ')} from {one.sweep.base:g} {one.sweep.unit}"


def render_sweep(report: SweepReport) -> str:
    """One HTML file, no network, no script."""
    environment = Environment(
        loader=PackageLoader("scoring.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = [
        (heading(one), one.sweep.conclusions, Markup(sweep_plot(one, f"sweep{at}")), sweep_tables(one))  # noqa: S704
        for at, one in enumerate(report.sweeps)
    ]
    return environment.get_template("sweep.html.j2").render(report=report, parts=parts, versions=versions())


def sweep_plot(one: CandidateSweep, name: str) -> str:
    """Success, and the share of runs at the limit, over the steps; the plateau shaded."""
    steps = one.sweep.steps
    with canvas(name, heading(one), 13.4, 3.6) as drawing:
        (axis,) = drawing.row_of_axes(1)
        _line(drawing, axis, steps, "success", TONES["passed"])
        _line(drawing, axis, steps, "at the limit", TONES["oom"])
        if one.sweep.plateau is not None:
            at = [step.multiplier for step in steps].index(one.sweep.plateau)
            axis.axvspan(at, len(steps) - 1, color=ACCENT, alpha=0.08, linewidth=0)
            axis.text(at, 104, " plateau", color=MUTED, fontsize=9, va="bottom")
        axis.set_xticks(range(len(steps)), [_name(step) for step in steps])
        axis.set_ylim(-4, 104)
        axis.set_ylabel("% of runs")
        axis.tick_params(length=0)
        axis.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1), frameon=False, labelcolor=INK, borderpad=0)
    return drawing.svg


def _line(drawing: Canvas, axis: Axes, steps: Sequence[Step], what: str, colour: str) -> None:
    estimates = [step.success if what == "success" else step.at_limit for step in steps]
    known = [(at, estimate) for at, estimate in enumerate(estimates) if estimate.value is not None]
    axis.plot(
        [at for at, _ in known], [100 * (one.value or 0.0) for _, one in known], color=colour, linewidth=2, label=what
    )
    for at, estimate in known:
        if estimate.low is not None and estimate.high is not None:
            axis.plot([at, at], [100 * estimate.low, 100 * estimate.high], color=colour, linewidth=5, alpha=0.25)
        text = f"{what} at {_name(steps[at])}: {percent(estimate.value)} {interval_text(estimate, as_percent=True)}"
        tip = drawing.tip(f"{text}\n{footnote(estimate)}")
        value = 100 * (estimate.value or 0.0)
        axis.plot([at], [value], "o", markersize=7, color=colour, markeredgecolor=PAPER, gid=tip)


def _steps(sweep: Sweep) -> Table:
    columns = ("Limit", "Success", "At the limit", "Runs", "Common tasks", "Difference to the top", "p equivalent")
    rows = tuple(
        (
            Cell(_name(step)),
            estimate_cell(step.success, 1, as_percent=True),
            estimate_cell(step.at_limit, 1, as_percent=True),
            Cell(str(step.runs)),
            Cell(str(step.common_tasks)),
            Cell("" if step.difference is None else f"{100 * step.difference:+.1f} points"),
            Cell("" if step.p_equivalent is None else p_text(step.p_equivalent)),
        )
        for step in sweep.steps
    )
    return Table("Step by step", columns, rows)


def _labels(sweep: Sweep) -> Table:
    columns = ("Task", "Verdict", "Fits from", f"Most used, {sweep.unit}", "Evidence")
    return Table("Task by task", columns, tuple(_label(label) for label in sweep.labels))


def _label(label: Label) -> tuple[Cell, ...]:
    fits_at = "never" if label.fit == "grows without bound" else UNKNOWN
    if label.fits_at is not None:
        fits_at = step_name(label.fits_at)
    elif label.fit == "headroom-bound":
        fits_at = "uncapped"
    return (
        Cell(label.task),
        Cell(SIGNS[label.fit]),
        Cell(fits_at),
        Cell(number(label.need, 0 if (label.need or 0) >= 10 else 2)),
        Cell(label.evidence),
    )


def _name(step: Step) -> str:
    return step_name(float("inf") if step.multiplier is None else step.multiplier)
