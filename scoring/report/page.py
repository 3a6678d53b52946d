"""The HTML report: one file, no network, no script, light and dark."""

from __future__ import annotations

from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from scoring.cautions import URGENT
from scoring.report.certificates import certificate_lines
from scoring.report.curves import context_plot
from scoring.report.dataset import dataset_lines
from scoring.report.decision import decision_parts
from scoring.report.fidelity import fidelity_tables
from scoring.report.fidelity_plots import fidelity_plot, score_by_share_plot, success_by_share_plot
from scoring.report.grid import grid_blocks
from scoring.report.losses import loss_tables
from scoring.report.plots import fault_plot, frontier_plot, interval_plot
from scoring.report.quality import quality_tables, side_by_side
from scoring.report.stepwise import stepwise_tables
from scoring.report.tables import (
    best_first,
    cost_table,
    count_tables,
    error_table,
    outcome_table,
    pair_table,
    pass_k_table,
)
from scoring.report.tones import NAMES, SIGNS
from scoring.report.versions import versions
from scoring.scorecard import Scorecard

MAX_URGENT = 5
"""Cautions that stand at the top; more than these stand below the first table."""
MAX_FAULTS = 400
"""Runs that the page lists with their evidence; the JSON file has all."""


def render_html(card: Scorecard) -> str:
    environment = Environment(
        loader=PackageLoader("scoring.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    faulty = [row for row in card.runs if row.fault is not None]
    urgent = [caution for caution in card.cautions if caution.kind in URGENT][:MAX_URGENT]
    return environment.get_template(
        "report.html.j2"
    ).render(
        card=card,
        created=_date(card.bakeoff.created_at),
        best=best_first(card),
        urgent=urgent,
        decision=decision_parts(card.decision) if card.decision else (),
        remarks=[caution for caution in card.cautions if caution not in urgent],
        outcome=outcome_table(card),
        cost=cost_table(card),
        reliability=pass_k_table(card),
        counts=(*stepwise_tables(card), *count_tables(card)),
        losses=loss_tables(card),
        fidelity=fidelity_tables(card),
        fidelity_bars=Markup(fidelity_plot(card)),  # noqa: S704
        success_by_share=Markup(success_by_share_plot(card)),  # noqa: S704
        score_by_share=Markup(score_by_share_plot(card)),  # noqa: S704
        quality=quality_tables(card),
        context_curves=Markup(context_plot(card)),  # noqa: S704 -- our own SVG; texts in it are escaped where it is made
        partings=side_by_side(card),
        pairs=pair_table(card) if card.pairs else None,
        errors=error_table(card),
        intervals=Markup(interval_plot(card)),  # noqa: S704
        frontier=Markup(frontier_plot(card)),  # noqa: S704
        fault_bars=Markup(fault_plot(card)),  # noqa: S704
        blocks=grid_blocks(card),
        signs=[(tone, SIGNS[tone], name) for tone, name in NAMES.items()],
        faulty=faulty[:MAX_FAULTS],
        faulty_left_out=max(0, len(faulty) - MAX_FAULTS),
        formulas=list(dict.fromkeys(formula.formula for formula in card.formulas)),
        certificates=(*dataset_lines(card), *certificate_lines(card)),
        versions=versions(),
    )


def _date(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
