"""The tables of a report as data, so that terminal, Markdown and HTML show the same words and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scoring.comparison import is_different
from scoring.estimates import Estimate
from scoring.scorecard import CandidateRow, Pair, Scorecard
from scoring.wording import UNKNOWN, footnote, interval_text, number, p_text, percent


@dataclass(frozen=True, slots=True)
class Cell:
    """`below` is a second, smaller line (an interval, a count), `note` what stands behind the number."""

    text: str
    below: str = ""
    note: str = ""

    @property
    def is_unknown(self) -> bool:
        return self.text == UNKNOWN


@dataclass(frozen=True, slots=True)
class Table:
    """The first column names what a row is about; the others hold numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a report: what it says, then a table of it. Lines that are code are set as they stand."""

    title: str
    lines: tuple[str, ...] = ()
    table: Table | None = None
    is_code: bool = False


def outcome_table(card: Scorecard) -> Table:
    columns = ("Candidate", "Score", "Success", "Passed", "All counted", "Bounds", "OOM", "Timeout")
    return Table("Outcome", columns, tuple(_outcome_row(row) for row in best_first(card)))


def cost_table(card: Scorecard) -> Table:
    columns = (
        "Candidate",
        "Efficiency",
        "Peak MB",
        "Tool calls",
        "Retries",
        "Tokens in",
        "Tokens out",
        "TTFT s",
        "Model call s",
        "Run s",
    )
    rows = tuple(
        (
            name_cell(row),
            estimate_cell(row.efficiency, 3),
            estimate_cell(row.mean_peak_memory_mb, 0),
            estimate_cell(row.mean_tool_calls, 2),
            estimate_cell(row.mean_retries, 2),
            estimate_cell(row.mean_input_tokens, 0),
            estimate_cell(row.mean_output_tokens, 0),
            estimate_cell(row.mean_ttft_s, 2),
            estimate_cell(row.mean_model_call_s, 2),
            estimate_cell(row.mean_duration_s, 1),
        )
        for row in best_first(card)
    )
    return Table("What a run costs (means)", columns, rows)


def pair_table(card: Scorecard) -> Table:
    columns = (
        "Pair",
        "Common tasks",
        "Passed",
        "Discordant",
        "Difference",
        "p",
        "p Holm",
        "All counted: discordant",
        "p",
        "p Holm",
    )
    pairs = sorted(card.pairs, key=lambda pair: (_or_one(pair.as_scored.p_value), _or_one(pair.all_counted.p_value)))
    return Table("Pairs on common tasks", columns, tuple(_pair_row(pair) for pair in pairs))


def pass_k_table(card: Scorecard) -> Table | None:
    """None where no task has a second trial: pass^1 is the success rate."""
    largest = max((len(row.pass_k) for row in card.candidates), default=0)
    if largest < 2:
        return None
    columns = (
        "Candidate",
        *(f"pass^{k}" for k in range(1, largest + 1)),
        *(f"pass@{k}" for k in range(2, largest + 1)),
    )
    rows = []
    for row in best_first(card):
        known = {item.k: item for item in row.pass_k}
        note = f"n = {row.pass_k[0].tasks} tasks; C(c, k) / C(n, k), mean over tasks; no interval" if row.pass_k else ""
        hats = [known[k].pass_hat_k if k in known else None for k in range(1, largest + 1)]
        ats = [known[k].pass_at_k if k in known else None for k in range(2, largest + 1)]
        rows.append((name_cell(row), *(Cell(number(value, 4), note=note) for value in (*hats, *ats))))
    return Table("Reliability over trials", columns, tuple(rows))


def error_table(card: Scorecard) -> Table:
    columns = (
        "Candidate",
        "Standard error",
        "Naive error",
        "Design effect",
        "Operations",
        "Attempts",
        "Failed attempts",
    )
    rows = tuple(
        (
            name_cell(row),
            Cell(_points(row.standard_error), note="points of success rate, clustered by task"),
            Cell(_points(row.naive_error), note="as if all runs were independent"),
            Cell(number(row.design_effect), note="(clustered / naive) squared"),
            Cell(str(row.operations), note="calls as the agent meant them, all runs"),
            Cell(str(row.attempts), note="exchanges made for them, all runs"),
            estimate_cell(row.mean_failed_attempts, 2),
        )
        for row in best_first(card)
    )
    return Table("Errors, and attempts against operations", columns, rows)


def count_table(title: str, what: str, counts: Sequence[tuple[CandidateRow, Mapping[str, int]]]) -> Table | None:
    """One column for each name that any candidate has; None if none has any."""
    names = sorted({name for _, found in counts for name in found})
    if not names:
        return None
    rows = tuple(
        (name_cell(row), *(Cell(str(found.get(name, "-")), note=f"{what}, all {row.runs} runs") for name in names))
        for row, found in counts
    )
    return Table(title, ("Candidate", *names), rows)


def count_tables(card: Scorecard) -> tuple[Table, ...]:
    rows = best_first(card)
    tables = (
        count_table("Faults", "runs", [(row, row.faults) for row in rows]),
        count_table("Policy violations", "refusals", [(row, row.violations) for row in rows]),
    )
    return tuple(table for table in tables if table is not None)


def best_first(card: Scorecard) -> tuple[CandidateRow, ...]:
    """By score where all are known, else by success rate; unknown ones last, ties in the order of the bake-off."""
    by_score = all(row.score.value is not None for row in card.candidates)

    def key(row: CandidateRow) -> float:
        value = row.score.value if by_score else row.success.value
        return float("-inf") if value is None else value

    return tuple(sorted(card.candidates, key=key, reverse=True))


def name_cell(row: CandidateRow) -> Cell:
    model = row.candidate.model if row.candidate.model != row.candidate.name else ""
    parameters = ", ".join(f"{name} {value}" for name, value in sorted(row.candidate.parameters.items()))
    wire = f"speaks {row.candidate.wire}" if row.candidate.wire else ""
    said = ("recorded production" if row.is_reference else "", model, wire, parameters)
    below = "; ".join(part for part in said if part)
    return Cell(row.candidate.name, below, f"upstream {row.candidate.upstream}, model {row.candidate.model}")


def estimate_cell(estimate: Estimate, digits: int, *, as_percent: bool = False) -> Cell:
    text = percent(estimate.value) if as_percent else number(estimate.value, digits)
    return Cell(text, interval_text(estimate, digits, as_percent=as_percent), footnote(estimate))


def _outcome_row(row: CandidateRow) -> tuple[Cell, ...]:
    scored = row.passed + row.failed
    left_out = [f"{n} {what}" for n, what in ((row.excluded, "infra"), (row.unknown_runs, "unknown")) if n]
    bounds = " to ".join(dict.fromkeys(f"{100 * bound:.1f}" for bound in row.success_bounds or ()))
    bounds_note = f"n = {row.runs}; success rate if all undecided runs had failed, and if all had passed"
    return (
        name_cell(row),
        estimate_cell(row.score, 3),
        estimate_cell(row.success, 1, as_percent=True),
        Cell(f"{row.passed} / {scored}", ", ".join(left_out), f"passed / scored runs, of {row.runs} in all"),
        estimate_cell(row.success_all_counted, 1, as_percent=True),
        Cell(f"{bounds} %" if bounds else UNKNOWN, note=bounds_note),
        _hit_cell(row.oom_rate),
        _hit_cell(row.timeout_rate),
    )


def _hit_cell(estimate: Estimate) -> Cell:
    cell = estimate_cell(estimate, 1, as_percent=True)
    return cell if estimate.high else replace(cell, below="no limit" if estimate.n else "")


def _pair_row(pair: Pair) -> tuple[Cell, ...]:
    scored, counted = pair.as_scored, pair.all_counted
    mark = "differs" if is_different(pair) else ""
    gap = scored.difference.value
    points = UNKNOWN if gap is None else f"{100 * gap:+.1f}"
    return (
        Cell(f"{pair.a} : {pair.b}", mark),
        Cell(str(scored.tasks), f"{counted.tasks} all counted", "tasks that both have a scored run for"),
        Cell(f"{scored.passed_a:.4g} : {scored.passed_b:.4g}", note="tasks passed, mean over trials"),
        Cell(_discordant(scored.only_a, scored.only_b), note=_decisive(pair)),
        Cell(
            points, interval_text(scored.difference, as_percent=True), f"{footnote(scored.difference)}; {_floor(pair)}"
        ),
        Cell(p_text(scored.p_value), note=f"n = {scored.tasks}; {scored.test}"),
        Cell(p_text(scored.p_holm), note="Holm over all pairs"),
        Cell(_discordant(counted.only_a, counted.only_b), note="infrastructure faults counted as failed"),
        Cell(p_text(counted.p_value), note=f"n = {counted.tasks}; {counted.test}"),
        Cell(p_text(counted.p_holm), note="Holm over all pairs"),
    )


def _floor(pair: Pair) -> str:
    floor = pair.as_scored.noise_floor
    return "noise floor unknown: no task tried twice" if floor is None else f"noise floor {100 * floor:.1f} points"


def _discordant(only_a: Sequence[str], only_b: Sequence[str]) -> str:
    return f"{len(only_a)} : {len(only_b)}"


def _decisive(pair: Pair) -> str:
    parts = [
        f"only {name}: {', '.join(tasks)}"
        for name, tasks in ((pair.a, pair.as_scored.only_a), (pair.b, pair.as_scored.only_b))
        if tasks
    ]
    return "; ".join(parts) or "no discordant task"


def _points(error: float | None) -> str:
    if error is None:
        return UNKNOWN
    return f"{100 * error:.1f}" if error > 0 else "no spread"


def _or_one(p: float | None) -> float:
    return 1.0 if p is None else p
