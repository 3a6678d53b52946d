from __future__ import annotations

import re

from scoring.report.fidelity import fidelity_tables
from scoring.report.markdown import render_markdown
from scoring.report.page import render_html
from scoring.score import score
from scoring.scorecard import Scorecard
from tests.support.scored_runs import bakeoff, run, table
from trajectory.runs import Fidelity, Served

TASKS = [f"t{i}" for i in range(12)]


def made() -> Scorecard:
    """`taped` rests on the tape alone; of `loose` half of the runs rest on it, the others on a simulator."""
    taped: tuple[Fidelity, ...] = ("exact", "canonical")
    loose: tuple[Fidelity, ...] = ("exact", "simulated", "missing", "missing")
    runs = [
        run(trial == 0 or name == "loose", name=name, task=task, trial=trial, served=_served(kinds))
        for name in ("taped", "loose")
        for task in TASKS
        for trial, kinds in enumerate((taped, taped if name == "taped" else loose))
    ]
    return score(bakeoff(["taped", "loose"], TASKS, 2), runs, {})


def _served(kinds: tuple[Fidelity, ...]) -> tuple[Served, ...]:
    return tuple(Served(tool="t", arguments="{}", fidelity=kind) for kind in kinds)


def test_shares_and_points_are_told_with_n_interval_and_method() -> None:
    shares, recorded, simulated = fidelity_tables(made())[:3]
    assert shares.columns == ("Candidate", "Tool results", "Exact", "Canonical", "Simulated", "Missing")
    cells = {row[0].text: [cell.text for cell in row[1:]] for row in shares.rows}
    assert cells == {
        "loose": ["72", "33.3 %", "16.7 %", "16.7 %", "33.3 %"],
        "taped": ["48", "50.0 %", "50.0 %", "-", "-"],
    }
    assert recorded.title == "Success where results are exact or canonical"
    assert simulated.title == "Success where results are exact, canonical, pooled or simulated"
    (loose,) = (row for row in recorded.rows if row[0].text == "loose")
    assert [cell.below.splitlines()[0] for cell in loose[1:6]] == ["n = 24, 1st", *["n = 12, 1st"] * 4]
    for row in (*shares.rows, *recorded.rows):
        assert all(re.search(r"n = \d+|tool results|unknown: 0 tasks", cell.note) for cell in row[1:]), row


def test_page_and_markdown_show_what_results_rest_on() -> None:
    page, text = render_html(made()), render_markdown(made())
    for plot in ("What tool results rest on", "Success by share of tool results"):
        assert f'aria-label="{plot}"' in page
    assert "loose: 24 of 72 tool results missing" in page
    assert "loose, at least 50 %: 100.0 % [" in page
    assert "## Fidelity of tool results" in text


def test_without_a_world_nothing_is_said_of_fidelity() -> None:
    card = score(*table({"a": {"t1": [True]}}), {})
    assert fidelity_tables(card) == ()
    assert "What the tool results rest on" not in render_html(card)
