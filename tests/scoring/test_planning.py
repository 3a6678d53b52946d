from __future__ import annotations

import pytest

from scoring.planning import Resemblance, designs, resemblance_of
from scoring.score import score
from tests.support.scored_datasets import airline, retail


def test_airline_resemblance_is_read_from_its_runs() -> None:
    found = resemblance_of(score(*airline()).runs)
    assert found is not None
    assert (found.rate, found.icc) == (0.42, pytest.approx(0.4046, abs=1e-4))


def test_one_run_a_task_says_nothing_of_resemblance() -> None:
    assert resemblance_of(score(*retail("plain", "advice")).runs) is None


def test_more_trials_see_smaller_differences_and_need_fewer_tasks() -> None:
    found = designs(Resemblance(rate=0.42, icc=0.4046), 50, 4, 0.1)
    assert [one.trials for one in found] == [1, 2, 3, 4]
    assert [one.detectable for one in found] == sorted((one.detectable for one in found), reverse=True)
    assert found[3].detectable == pytest.approx(0.2056, abs=5e-4)
    assert all(one.detectable_if_alike < one.detectable for one in found)
    assert found[0].tasks_needed == 383
    assert (found[3].tasks_needed or 0) < 383
