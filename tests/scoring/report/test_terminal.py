from __future__ import annotations

from io import StringIO

from rich.console import Console

from scoring.report.terminal import print_report
from scoring.score import score
from tests.support.scored_datasets import sweep
from tests.support.scored_runs import table
from trajectory.runs import Bakeoff, Run


def printed(plan: Bakeoff, runs: list[Run], trajectories: dict[str, object] | None = None) -> str:
    out = StringIO()
    print_report(score(plan, runs, trajectories or {}), Console(file=out, width=200))  # type: ignore[arg-type]
    return out.getvalue()


def test_the_table_leads_and_the_warning_follows() -> None:
    text = printed(*sweep())
    assert "15 / 20" in text
    assert (
        "! The ranking flips on how 5 undecided runs (5 infra.empty_completion) of claude-fable-5 are counted" in text
    )
    assert text.index("Outcome") < text.index("None of the 21 pairs") < text.index("! The ranking flips")


def test_names_are_never_read_as_markup() -> None:
    assert "[red]x" in printed(*table({"[red]x": {"t1": [True]}}))


def test_unknown_scores_are_printed_as_unknown() -> None:
    row = next(line for line in printed(*sweep()).splitlines() if line.startswith("claude-opus-5"))
    assert "unknown" in row
