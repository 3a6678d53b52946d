"""Recorded results whose conclusion rests on how failures are classed: every number to its last digit."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter

import pytest

from scoring.score import score
from scoring.scorecard import Scorecard
from scoring.statistics import icc1, mcnemar_exact
from tests.support.scored_datasets import RETAIL, airline, retail
from tests.support.shared import shared_path


def kinds(card: Scorecard) -> list[str]:
    return [caution.kind for caution in card.cautions]


def test_airline_naive_error_is_3_5_and_clustered_5_2_points() -> None:
    row = score(*airline()).candidates[0]
    assert row.naive_error == pytest.approx(math.sqrt(0.42 * 0.58 / 199), abs=1e-12)
    assert (row.naive_error or 0, row.standard_error or 0) == pytest.approx((0.03499, 0.05222), abs=5e-6)
    assert f"{100 * (row.naive_error or 0):.1f} {100 * (row.standard_error or 0):.1f}" == "3.5 5.2"
    assert row.design_effect == pytest.approx(2.2273, abs=5e-5)


def test_airline_trials_of_one_task_resemble_each_other() -> None:
    _, runs, _ = airline()
    found = icc1([float(run.checks[0].passed or 0) for run in runs], [run.task for run in runs])
    assert found == pytest.approx(0.40458436895885125, abs=1e-12)


def test_airline_pass_hat_k_is_the_published_row() -> None:
    row = score(*airline()).candidates[0]
    assert [p.pass_hat_k for p in row.pass_k] == pytest.approx([0.42, 82 / 300, 0.22, 0.2], abs=1e-12)


def test_retail_is_significant_with_crashes_counted_and_even_without_them() -> None:
    card = score(*retail("assertions-6-18", "assertions-6-20"))
    pair = card.pairs[0]
    assert [row.success_all_counted.value for row in card.candidates] == [0.35, 0.49]
    assert (len(pair.all_counted.only_a), len(pair.all_counted.only_b)) == (11, 25)
    assert pair.all_counted.p_value == mcnemar_exact(25, 11) == 0.028816719655878842
    assert round(pair.all_counted.p_value or 0, 3) == 0.029
    assert (pair.as_scored.tasks, pair.as_scored.passed_a, pair.as_scored.passed_b) == (63, 34.0, 33.0)
    assert (pair.as_scored.p_value or 0) > 0.99


def test_retail_warns_that_difference_and_ranking_rest_on_the_crashes() -> None:
    card = score(*retail("assertions-6-18", "assertions-6-20"))
    assert {"ranking_flip", "difference_rests_on_faults", "infra_excluded"} <= set(kinds(card))
    by_kind = {caution.kind: caution for caution in card.cautions}
    assert by_kind["difference_rests_on_faults"].numbers["p_all_counted"] == mcnemar_exact(25, 11)
    flip = next(caution for caution in card.cautions if caution.kind == "ranking_flip")
    assert flip.numbers["as_scored.rate"] == 35 / 66
    assert flip.numbers["all_counted.rate"] == 0.35
    assert card.conclusions[0].startswith("No difference in success holds at the 0.05 level both with and without")


def test_retail_plain_against_advice_is_within_the_noise() -> None:
    card = score(*retail("plain", "advice"))
    found = card.pairs[0].as_scored
    assert (found.passed_a, found.passed_b) == (73.0, 70.0)
    assert round(found.p_value or 0, 2) == 0.69
    assert not {"ranking_flip", "difference_rests_on_faults"} & set(kinds(card))


def test_each_of_the_39_crashes_quotes_its_own_error() -> None:
    card = score(*retail(*RETAIL))
    crashes = {(row.candidate, row.task): row.fault for row in card.runs if row.fault and row.counting == "excluded"}
    folder = shared_path("data", "tau-bench-retail-variants")
    told = {}
    for variant, file in RETAIL.items():
        with gzip.open(folder / file, "rt", encoding="utf-8") as text:
            rows = json.load(text)
        told |= {(variant, str(row["task_id"])): row["info"]["error"] for row in rows if "error" in row["info"]}
    assert len(told) == 39
    assert crashes.keys() == told.keys()
    assert Counter(variant for variant, _ in crashes) == {"assertions-6-18": 34, "assertions-6-20": 5}
    for key, fault in crashes.items():
        assert fault.name == "infra.harness"
        assert told[key] in fault.evidence[0].what
