from __future__ import annotations

import io

import pytest
from rich.console import Console

from scoring.decision.decide import decide
from scoring.decision.leaderboard import read_leaderboard
from scoring.decision.presets import PRESETS
from scoring.report.decision import MARKETING, decision_parts
from scoring.report.markdown import render_markdown
from scoring.report.page import render_html
from scoring.report.terminal import print_report
from scoring.score import score
from scoring.scorecard import Scorecard
from tests.support.page_check import PageCheck
from tests.support.scored_runs import attempt, says, step, table, trajectory

BOARD = "model,benchmark,score,agent,user_simulator\na,tau,61.5,,gpt\n<b>bold</b>,tau,42.0,x,gpt\n"


def decided(preset: str = "mission-critical") -> Scorecard:
    tasks = [f"t{i}" for i in range(30)]
    plan, runs = table({name: {t: [i < n] for i, t in enumerate(tasks)} for name, n in (("a", 28), ("b", 6))})
    paths = {one.trajectory: trajectory(step(attempt(answer=says("ok")))) for one in runs}
    board = read_leaderboard(BOARD, "board.csv", plan.candidates)
    name = next(name for name in PRESETS if name == preset)
    return decide(score(plan, runs, paths), name, trajectories=paths, leaderboard=board)


@pytest.mark.parametrize("preset", PRESETS)
def test_each_form_of_the_report_says_the_same_decision(preset: str) -> None:
    card = decided(preset)
    assert card.decision is not None
    written = io.StringIO()
    print_report(card, Console(file=written, width=400), ["decision"])
    for part in decision_parts(card.decision):
        for line in part.lines:
            assert line in written.getvalue()
        assert f"## {part.title}" in render_markdown(card)


def test_page_shows_the_decision_and_stays_well_formed() -> None:
    card = decided("strict-compliance")
    assert card.decision is not None
    html = render_html(card)
    page = PageCheck(html)
    assert [part.title for part in decision_parts(card.decision) if part.title not in html] == []
    assert page.open_tags == []
    assert not {"script", "img"} & set(page.elements)


def test_json_reads_back_and_its_schema_describes_the_decision() -> None:
    card = decided()
    assert Scorecard.model_validate_json(card.model_dump_json()) == card
    assert "Recommendation" in Scorecard.model_json_schema()["$defs"]


def test_leaderboard_is_marked_as_marketing_and_lists_what_it_does_not_say() -> None:
    card = decided("rapid-prototyping")
    assert card.decision is not None
    part = decision_parts(card.decision)[-1]
    assert part.title == "Marketing metrics"
    assert part.lines[0] == MARKETING
    assert "memory limit, CPU limit, time limit, retry policy" in part.lines[2]
    assert part.table is not None
    assert [row[-1].text for row in part.table.rows] == ["harness", "-"]


def test_without_a_preset_a_report_decides_nothing() -> None:
    assert "Decision:" not in render_markdown(decided().model_copy(update={"decision": None}))
