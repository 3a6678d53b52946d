from __future__ import annotations

import re
from functools import cache
from io import StringIO

from rich.console import Console

from scoring.paths import Call, Path
from scoring.report.markdown import render_markdown
from scoring.report.page import render_html
from scoring.report.quality import MAX_SHOWN, quality_tables, side_by_side
from scoring.report.tables import Table
from scoring.report.terminal import print_report
from scoring.score import score
from scoring.scorecard import Scorecard
from tests.support.page_check import PageCheck
from tests.support.scored_runs import attempt, bakeoff, calls, certificate, run, says, step, table, trajectory
from trajectory.runs import Limits, Package

KINDS = {"read": "read", "write": "write"}
NUMPY = Package(name="numpy", version="2", installed_mb=30.0, ecosystem="python")


@cache
def made() -> Scorecard:
    """Two candidates on three tasks: one on the reference's path, one that retries, writes early and installs."""
    limits = Limits(memory_mb=100)
    runs, paths = [], {}
    for name, order, tried, packages in (
        ("straight", ("read", "write"), [attempt(answer=says("ok", tokens=(300, 1)))], ()),
        ("hasty", ("write", "read"), [attempt(429), attempt(answer=says("<b>no</b>", tokens=(900, 1)))], (NUMPY,)),
    ):
        for task in ("t1", "t2", "t3"):
            kept = certificate(limits, peak_memory_mb=90.0 if name == "hasty" else 50.0, exit_code=0)
            one = run(name == "straight", name=name, task=task, certificate=kept, packages=packages)
            asked = [step(attempt(answer=calls(tool)), index=i) for i, tool in enumerate(order)]
            runs.append(one)
            paths[one.trajectory] = trajectory(*asked, step(*tried, index=2), identity=one.trajectory)
    plan = bakeoff(["straight", "hasty"], ["t1", "t2", "t3"], tool_kinds=KINDS, weights={"penalty_near_ceiling": 0.3})
    reference = Path((Call("read"), Call("write")), "ok")
    return score(plan, runs, paths, references=dict.fromkeys(("t1", "t2", "t3"), reference))


@cache
def page() -> str:
    return render_html(made())


def titled(card: Scorecard, title: str) -> Table:
    return next(one for one in quality_tables(card) if one.title.startswith(title))


def column(card: Scorecard, title: str, name: str) -> list[str]:
    shown = titled(card, title)
    return [row[shown.columns.index(name)].text for row in shown.rows]


def test_the_same_calls_in_another_order_lose_order_alone() -> None:
    assert column(made(), "Tool calls", "F1") == ["1.000", "1.000"]
    assert column(made(), "Tool calls", "Order") == ["1.000", "0.500"]
    assert column(made(), "Reads and writes", "Write F1") == ["1.000", "1.000"]


def test_each_number_says_n_interval_and_method() -> None:
    cells = [cell for shown in quality_tables(made()) for row in shown.rows for cell in row[1:]]
    assert all(cell.note for cell in cells)
    estimates = [cell.note for cell in titled(made(), "Retries").rows[1][1:]]
    assert all(re.match(r"n = \d+; (\[|no interval)|unknown: ", note) for note in estimates)


def test_error_patterns_stand_in_columns_of_their_own() -> None:
    assert column(made(), "Errors met", "429,200") == ["-", "3"]


def test_what_nobody_passed_with_alone_is_not_needed() -> None:
    assert column(made(), "Cost and resources", "Unneeded packages") == ["0.00", "1.00"]
    assert column(made(), "Packages not needed", "python:numpy") == ["-", "3"]


def test_memory_near_its_limit_is_shown_and_charged_where_a_weight_says_so() -> None:
    assert column(made(), "Cost and resources", "Near the memory limit") == ["0.000", "0.333"]
    assert "- penalty_near_ceiling * near_ceiling" in page()
    assert "- 0.3 * 0.3333" in page()


def test_costs_without_a_price_are_unknown() -> None:
    assert column(made(), "Cost and resources", "USD a run") == ["unknown", "unknown"]


def test_first_divergences_stand_side_by_side_with_failed_runs_first() -> None:
    (first, *rest) = side_by_side(made())
    assert (first.heading, first.outcome) == ("hasty, t1, trial 0", "failed")
    assert (first.here, first.there, first.before) == ("write {}", "read {}", "")
    assert len(rest) == 2
    assert PageCheck(page()).open_tags == []
    assert "First divergences, side by side (3)" in page()
    assert "## First divergences" in render_markdown(made())


def test_no_more_divergences_are_told_than_a_person_reads() -> None:
    names, tasks = ["a"], [f"t{i}" for i in range(MAX_SHOWN + 10)]
    runs = [run(False, name="a", task=task) for task in tasks]
    paths = {one.trajectory: trajectory(step(attempt(answer=calls("x")))) for one in runs}
    card = score(bakeoff(names, tasks), runs, paths, references={task: Path((Call("y"),)) for task in tasks})
    assert len(side_by_side(card)) == MAX_SHOWN


def test_context_curves_are_drawn_where_usage_is_known() -> None:
    assert "Prompt tokens, step by step" in page()
    assert "hasty, step 3: 900 [900, 900]" in page()
    bare = score(*table({"a": {"t1": [True]}}), {})
    assert "Prompt tokens, step by step" not in render_html(bare)


def test_the_tables_are_in_the_terminal_too() -> None:
    out = StringIO()
    print_report(made(), Console(file=out, width=200), ["retries"])
    assert "Retries, and what they cost" in out.getvalue()


def test_without_trajectories_there_is_nothing_to_tell_but_that_it_is_unknown() -> None:
    card = score(*table({"a": {"t1": [True]}, "b": {"t1": [False]}}), {})
    assert [shown.title for shown in quality_tables(card)] == ["Cost and resources (means per run)"]
    assert column(card, "Cost and resources", "USD a run") == ["unknown", "unknown"]
    assert column(card, "Cost and resources", "Packages") == ["unknown", "unknown"]
