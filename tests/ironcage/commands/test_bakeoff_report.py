from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.scored_runs import table
from trajectory.sql.opening import open_store

TASKS = [f"t{i}" for i in range(30)]


@pytest.fixture
def baked(cli: CommandLine) -> CommandLine:
    """Two bake-offs of the same tasks: under limits, and without."""
    cli.config(store=f"sqlite:///{cli.folder}/ironcage.db")
    with closing(open_store(f"sqlite:///{cli.folder}/ironcage.db")) as store:
        for name, first in (("limited", 8), ("free", 27)):
            plan, runs = table({"a": {t: [i < 28] for i, t in enumerate(TASKS)},
                                "b": {t: [i < first] for i, t in enumerate(TASKS)}})  # fmt: skip
            parts = {"limits": name}
            store.put_bakeoff(plan.model_copy(update={"id": name, "fingerprint_parts": parts}))
            store.put_runs(run.model_copy(update={"id": f"{name}/{run.id}", "bakeoff": name}) for run in runs)
    return cli


def test_list_names_what_is_kept_for_people_and_programs(baked: CommandLine) -> None:
    listed = baked("bakeoff", "list", "--json")
    assert {(one["id"], len(one["tasks"]), one["trials"]) for one in listed.json} == {
        ("limited", 30, 1),
        ("free", 30, 1),
    }
    assert "limited" in baked("bakeoff", "list").out


def test_preset_adds_a_decision_to_the_report(baked: CommandLine) -> None:
    found = baked("bakeoff", "report", "limited", "--preset", "mission-critical", "--uncapped", "free", "--json")
    assert found.code == 0
    assert found.json["decision"]["recommendation"]["sentence"] == "Take a."
    assert [row["is_bound_by_limits"] for row in found.json["decision"]["uncapped"]["rows"]] == [False, True]


def test_leaderboard_is_read_from_a_file_and_shown(baked: CommandLine, tmp_path: Path) -> None:
    board = tmp_path / "board.csv"
    board.write_text("model,score\na,61.5\n", encoding="utf-8")
    asked = ("--preset", "rapid-prototyping", "--leaderboard", str(board))
    found = baked("bakeoff", "report", "limited", *asked, "--section", "decision")
    assert found.code == 0
    assert "Public figures are marketing metrics" in found.out


def test_the_report_is_brief_and_full_on_demand(baked: CommandLine) -> None:
    brief, full = (baked("bakeoff", "report", "limited", *flags).out for flags in ((), ("--full",)))
    assert "ironcage bakeoff report limited --section NAME" in brief
    assert "Errors, and attempts against operations" in full
    assert "Errors, and attempts against operations" not in brief


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--preset", "cheapest"), "--preset 'cheapest' is unknown"),
        (("--section", "prices"), "--section 'prices' is unknown"),
        (("--uncapped", "free"), "--uncapped and --leaderboard belong to a decision"),
        (("--preset", "mission-critical", "--uncapped", "gone"), "there is no bake-off 'gone'"),
        (("--preset", "rapid-prototyping", "--leaderboard", "gone.csv"), "cannot read gone.csv: No such file"),
    ],
)
def test_what_cannot_be_decided_is_an_operator_error(baked: CommandLine, options: tuple[str, ...], said: str) -> None:
    found = baked("bakeoff", "report", "limited", *options)
    assert found.code == 2
    assert said in found.err


def test_file_that_is_no_leaderboard_is_an_operator_error(baked: CommandLine, tmp_path: Path) -> None:
    board = tmp_path / "board.csv"
    for text in ("a,b\n1,2\n", "{broken", '{"results": 3}'):
        board.write_text(text, encoding="utf-8")
        found = baked("bakeoff", "report", "limited", "--preset", "rapid-prototyping", "--leaderboard", str(board))
        assert (found.code, "as a leaderboard" in found.err) == (2, True), found.err
