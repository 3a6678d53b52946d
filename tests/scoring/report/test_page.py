from __future__ import annotations

import re
from functools import cache

from scoring.report.page import render_html
from scoring.score import score
from scoring.scorecard import Scorecard
from tests.support.page_check import PageCheck
from tests.support.scored_datasets import sweep
from tests.support.scored_runs import attempt, bakeoff, run, says, step, table, trajectory


@cache
def small() -> Scorecard:
    plan, runs = table(
        {
            "good": {"t1": [True, True], "t2": [True, True], "t3": [True, False]},
            "poor": {"t1": [True, False], "t2": [None, False], "t3": [False, False]},
        }
    )
    path = trajectory(step(attempt(answer=says("ok"))))
    return score(plan, runs, {one.trajectory: path for one in runs})


def test_the_page_is_well_formed_and_ids_are_unique() -> None:
    page = PageCheck(render_html(small()))
    assert page.open_tags == []
    assert len(page.ids) == len(set(page.ids))


def test_the_page_needs_no_network_and_no_script() -> None:
    html = render_html(small())
    page = PageCheck(html)
    assert page.outside == []
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(page.elements)
    assert "url(http" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_the_page_is_the_same_every_time() -> None:
    card = small()
    assert render_html(card) == render_html(Scorecard.model_validate_json(card.model_dump_json()))


def test_plots_follow_the_page_in_light_and_dark() -> None:
    html = render_html(small())
    assert "prefers-color-scheme: dark" in html
    assert "fill: var(--accent)" in html
    plots = re.findall(r"<figure>(.*?)</figure>", html, re.DOTALL)
    assert len(plots) == 3
    assert not [colour for plot in plots for colour in re.findall(r"#[0-9a-f]{6}\b", plot)]


def test_each_number_in_the_outcome_table_says_n_interval_and_method() -> None:
    titles = PageCheck(render_html(small())).titles
    assert any(re.fullmatch(r"n = 6; \[0\.\d+, 0\.\d+\]; 95 % Wilson interval.*", title) for title in titles)
    assert any(title.startswith("n = 6; [256.0000, 256.0000]; mean, 95 % t interval") for title in titles)


def test_unknown_is_shown_as_unknown_and_never_as_0() -> None:
    html = render_html(score(*table({"a": {"t1": [None]}, "b": {"t1": [True]}}), {}))
    page = PageCheck(html)
    assert "unknown" in page.cells
    assert "No recorded trajectory for 1 run of a, 1 run of b." in html


def test_names_and_evidence_cannot_inject_markup() -> None:
    bad = '<script>alert(1)</script>"&'
    crashed = run(None, name=bad, task=bad, status="harness_error", error=bad)
    html = render_html(score(bakeoff([bad], [bad], id=bad), [crashed, run(name=bad, task=bad, trial=1)], {}))
    page = PageCheck(html)
    assert "script" not in page.elements
    assert page.open_tags == []


def test_dollar_signs_in_names_are_text_not_formulas() -> None:
    card = score(*table({"a$x_$b": {"t1": [True], "t2": [False]}, "$": {"t1": [False], "t2": [True]}}), {})
    assert "a$x_$b" in re.findall(r"<figure>(.*?)</figure>", render_html(card), re.DOTALL)[0]


def test_names_in_any_script_are_drawn_without_a_warning() -> None:
    card = score(*table({"模型-甲": {"t1": [True], "t2": [False]}, "модель": {"t1": [False], "t2": [True]}}), {})
    assert render_html(card).count("模型-甲") > 5


def test_the_sweep_shows_counts_rates_warning_and_evidence() -> None:
    html = render_html(score(*sweep()))
    assert "None of the 21 pairs differs in success at the 0.05 level" in html
    assert (
        "1st of 7 with infrastructure faults excluded (75.0 %, 15 of 20), 5th of 7 with all runs counted (60.0 %"
        in html
    )
    cells = PageCheck(html).cells
    assert [cell for cell in cells if cell.endswith("/ 25") or cell.endswith("/ 20")] == [
        "15 / 20",
        "18 / 25",
        "18 / 25",
        "17 / 25",
        "17 / 25",
        "13 / 25",
        "13 / 25",
    ]
    assert html.count("HTTP 200, no text, no tool call, finish reason length, `max_tokens` 1024") >= 5


def test_a_mixed_cell_shows_how_many_trials_passed() -> None:
    html = render_html(small())
    assert 'style="--share: 50%"' in html
    assert ">1/2</td>" in html
