from __future__ import annotations

from collections.abc import Collection
from io import StringIO

import pytest
from rich.console import Console

from scoring.report.sections import SECTIONS
from scoring.report.terminal import print_report
from scoring.score import score
from tests.support.scored_datasets import sweep
from tests.support.scored_runs import table
from trajectory.runs import Bakeoff, Run
from trajectory.trajectory import Trajectory


def printed(
    plan: Bakeoff,
    runs: list[Run],
    trajectories: dict[str, Trajectory] | None = None,
    sections: Collection[str] = (),
    width: int = 200,
) -> str:
    out = StringIO()
    print_report(score(plan, runs, trajectories or {}), Console(file=out, width=width), sections)
    return out.getvalue()


def test_the_verdict_leads_then_the_table_then_the_warning() -> None:
    text = printed(*sweep())
    assert "15 / 20" in text
    assert (
        "! The ranking flips on how 5 undecided runs (5 infra.empty_completion) of claude-fable-5 are counted" in text
    )
    assert text.index("None of the 21 pairs") < text.index("Outcome") < text.index("! The ranking flips")


def test_names_are_never_read_as_markup() -> None:
    assert "[red]x" in printed(*table({"[red]x": {"t1": [True]}}))


def test_unknown_scores_are_printed_as_unknown() -> None:
    row = next(line for line in printed(*sweep()).splitlines() if line.startswith("claude-opus-5"))
    assert "unknown" in row


@pytest.mark.parametrize("width", [80, 120])
def test_seven_candidates_fit_on_a_screen_and_nothing_is_cut(width: int) -> None:
    lines = printed(*sweep(), width=width).splitlines()
    assert len(lines) < 90
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


def test_each_section_is_named_and_printed_when_it_is_asked_for() -> None:
    brief = printed(*sweep())
    named = [line.split()[0] for line in brief[brief.index("More:") :].splitlines()[1:]]
    assert named
    assert set(named) < set(SECTIONS), "the others have nothing to say here"
    whole = printed(*sweep(), sections=SECTIONS)
    for name in named:
        alone = printed(*sweep(), sections=[name]).splitlines()[1:]
        assert len(alone) > 1
        assert all(line in whole for line in alone)


def test_a_section_without_anything_to_tell_says_so() -> None:
    text = printed(*table({"m": {"t1": [True]}}), sections=["losses", "outcome"])
    assert "Nothing to tell of this bake-off: losses" in text
    assert "Outcome" in text
