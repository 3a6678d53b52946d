from __future__ import annotations

import re

from scoring.efficiency import EFFICIENCY_FORMULA, SCORE_FORMULA
from scoring.report.markdown import render_markdown
from scoring.score import score
from tests.support.scored_datasets import airline, sweep
from tests.support.scored_runs import table


def test_every_footnote_is_defined_once_and_used() -> None:
    text = render_markdown(score(*sweep()))
    used = set(re.findall(r"\[\^(\d+)\](?!:)", text))
    defined = re.findall(r"^\[\^(\d+)\]:", text, re.MULTILINE)
    assert used == set(defined)
    assert len(defined) == len(set(defined))


def test_both_formulas_are_printed_with_the_values_used() -> None:
    text = render_markdown(score(*table({"m": {"t1": [True], "t2": [False]}}), {}))
    assert EFFICIENCY_FORMULA in text
    assert SCORE_FORMULA in text
    assert "m: unknown = 0.5000 / (1 + 256.00 / 1024 + 0.1 * unknown)" in text


def test_all_rows_of_a_table_have_as_many_cells_as_its_head() -> None:
    lines = render_markdown(score(*airline())).splitlines()
    widths = [line.count(" | ") for line in lines if line.startswith("| ")]
    heads = [line.count(" | ") for line in lines if line.startswith("| Candidate") or line.startswith("| Pair")]
    assert set(widths) <= set(heads)


def test_pass_k_of_the_airline_is_in_the_table() -> None:
    (row,) = [line for line in render_markdown(score(*airline())).splitlines() if "0.2733" in line]
    assert [float(x) for x in re.findall(r"0\.\d{4}", row)][:4] == [0.42, 0.2733, 0.22, 0.2]


def test_a_name_cannot_break_the_table() -> None:
    text = render_markdown(score(*table({"a|b*c": {"t1": [True]}}), {}))
    assert "a\\|b\\*c" in text
