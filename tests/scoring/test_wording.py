from __future__ import annotations

import pytest

from scoring.estimates import Estimate, rate, unknown
from scoring.score import score
from scoring.wording import footnote, number, ordinal, p_text, percent
from tests.support.scored_runs import table


@pytest.mark.parametrize(("n", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd")])
def test_ordinals(n: int, text: str) -> None:
    assert ordinal(n) == text


def test_unknown_is_said_never_shown_as_0() -> None:
    assert {percent(None), number(None), p_text(None)} == {"unknown"}
    assert footnote(unknown("nobody measured it")) == "unknown: nobody measured it"


def test_a_footnote_has_n_interval_and_method() -> None:
    assert footnote(rate([True, False], ["a", "b"])) == "n = 2; [0.0945, 0.9055]; 95 % Wilson interval"
    assert footnote(Estimate(value=1.0, n=1, method="mean")) == "n = 1; no interval; mean"


def test_the_headline_names_who_leads_whom_and_then_the_numbers() -> None:
    tasks = [f"t{i}" for i in range(30)]
    plan, runs = table({name: {t: [name == "a" or i < 8] for i, t in enumerate(tasks)} for name in ("a", "b", "c")})
    said = score(plan, runs, {}).conclusions
    assert said[0] == "a passes more tasks than b and c."
    assert said[1].startswith("a against b: +73.3 points, 30 against 8 of 30, discordant 22:0, p < 0.001")
    assert said[3] == "The other 1 pair cannot be told apart on these tasks."


def test_one_candidate_is_compared_with_nothing() -> None:
    said = score(*table({"m": {"t1": [True], "t2": [False]}}), {}).conclusions
    assert said == (
        "m passed 1 of 2 scored runs: 50.0 % [9.5, 90.5].",
        "With one candidate there is nothing to compare it with.",
    )
