"""The decision of a report as tables and paragraphs; the forms of the report only set them."""

from __future__ import annotations

from collections.abc import Mapping

from scoring.decision.model import Decision, Leaderboard, SecurityAudit, Uncapped
from scoring.decision.validation import uncapped_text
from scoring.report.tables import Cell, Part, Table, estimate_cell
from scoring.wording import footnote, p_text

MAX_LEADERBOARD_ROWS = 15
"""Rows of a leaderboard that a page shows, those about the candidates first; the JSON has all."""
MARKETING = (
    "Public figures are marketing metrics: others ran them, on machines, with limits and retries that the rows do not "
    "say. They are context for a choice and decide nothing here."
)


def decision_parts(decision: Decision) -> tuple[Part, ...]:
    advice = decision.recommendation
    heading = f"{advice.sentence} What was asked for: {decision.rule[0].lower()}{decision.rule[1:]}"
    parts = [
        Part(f"Decision: {decision.preset}", (heading, *(f"Because {reason}" for reason in advice.reasons))),
        Part("Standings", (), _standings(decision)),
    ]
    if advice.margins:
        parts.append(Part(f"Lead of {advice.leader}", (), _margins(decision)))
    flips = tuple(flip.text for flip in advice.would_change)
    parts.append(Part("What would change it", flips or ("Nothing that was tried: see the report's cautions.",)))
    if decision.uncapped is not None:
        parts.append(_uncapped(decision.uncapped))
    elif decision.uncapped_note:
        parts.append(Part("Without limits", (decision.uncapped_note,)))
    if decision.security:
        parts.append(Part("Security audit", (), _security(decision.security)))
    if decision.leaderboard is not None:
        parts.append(_leaderboard(decision.leaderboard))
    return tuple(parts)


def _standings(decision: Decision) -> Table:
    is_share = decision.objective == "success rate"
    rows = tuple(
        (
            Cell(one.candidate),
            Cell(one.gate, one.because),
            estimate_cell(one.objective, 1, as_percent=is_share),
        )
        for one in decision.standings
    )
    return Table("Standings", ("Candidate", "Gate", decision.objective.capitalize()), rows)


def _margins(decision: Decision) -> Table:
    is_share = decision.objective == "success rate"
    rows = tuple(
        (
            Cell(f"over {margin.over}"),
            estimate_cell(margin.lead, 1, as_percent=is_share),
            Cell(p_text(margin.p_value), note=f"n = {margin.lead.n}; {margin.test}"),
            Cell("yes" if margin.is_shown else "no", note=f"p below {decision.alpha:g}, above the noise floor"),
        )
        for margin in decision.recommendation.margins
    )
    return Table(f"Lead of {decision.recommendation.leader}", ("Lead", "By", "p Holm", "Shown"), rows)


def _uncapped(uncapped: Uncapped) -> Part:
    rows = tuple(
        (
            Cell(row.candidate),
            estimate_cell(row.constrained, 1, as_percent=True),
            estimate_cell(row.uncapped, 1, as_percent=True),
            estimate_cell(row.difference, 1, as_percent=True),
            Cell(p_text(row.p_holm), note=f"n = {row.tasks} common tasks; Holm over the candidates"),
        )
        for row in uncapped.rows
    )
    columns = ("Candidate", "Under the limits", "Without", "Difference", "p Holm")
    lines = (*(f"Caution: {warning}." for warning in uncapped.warnings), *map(uncapped_text, uncapped.rows))
    return Part(f"Without limits (bake-off {uncapped.bakeoff})", lines, Table("Without limits", columns, rows))


def _security(audits: tuple[SecurityAudit, ...]) -> Table:
    columns = ("Candidate", "Runs with violations", "Tools used", "Refusals", "Data classes masked", "Egress")
    rows = tuple(
        (
            Cell(audit.candidate, f"{audit.runs_recorded} of {audit.runs} runs recorded"),
            Cell(
                str(audit.runs_with_violations),
                estimate_cell(audit.violation_rate, 1, as_percent=True).below,
                footnote(audit.violation_rate),
            ),
            Cell(_counts(audit.tools_used), _below("not offered", audit.offered_away)),
            Cell(_counts(audit.refusals), _below("", audit.refused_subjects)),
            Cell(_counts(audit.data_classes), note="values replaced by pseudonyms before they left"),
            Cell("; ".join(_traffic(host, *bytes_) for host, bytes_ in audit.egress.items()) or "none"),
        )
        for audit in audits
    )
    return Table("Security audit", columns, rows)


def _leaderboard(board: Leaderboard) -> Part:
    never = [what for what in board.rows[0].undisclosed if all(what in row.undisclosed for row in board.rows)]
    rows = tuple(
        (
            Cell(row.model, "; ".join(part for part in (row.by, row.published) if part)),
            Cell(row.benchmark),
            Cell(f"{row.score_percent:.1f} %", note="as published; no interval"),
            Cell("unknown" if row.cost_usd is None else f"{row.cost_usd:.2f}"),
            Cell(", ".join(row.matches) or "-"),
            Cell(", ".join(what for what in row.undisclosed if what not in never) or "-"),
        )
        for row in board.rows[:MAX_LEADERBOARD_ROWS]
    )
    columns = ("Published model", "Benchmark", "Figure", "Cost USD", "Candidate here", "Also undisclosed")
    left = len(board.rows) - len(rows)
    lines = [MARKETING, f"From {board.source}: {len(board.rows)} figures, {board.unread} rows without one."]
    if never:
        lines.append(f"Undisclosed in every row: {', '.join(never)}.")
    if left:
        lines.append(f"{left} more are in the JSON form of this report.")
    return Part("Marketing metrics", tuple(lines), Table("Marketing metrics", columns, rows))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items()) or "none recorded"


def _below(what: str, counts: Mapping[str, int]) -> str:
    return f"{what} {_counts(counts)}".strip() if counts else ""


def _traffic(host: str, sent: int, received: int) -> str:
    return f"{host} {sent / 2**20:.2f} MB out, {received / 2**20:.2f} MB in"
