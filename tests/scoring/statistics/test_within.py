from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from scoring.statistics import within_slope


def drawn(groups: int, each: int, seed: int) -> tuple[list[float], list[float], list[int]]:
    """Groups differ widely in level and, on top, in slope around 0.3; so errors within a group depend on each other."""
    chance = np.random.default_rng(seed)
    names = np.repeat(np.arange(groups), each)
    x = chance.uniform(0, 1, groups * each)
    level, slope = chance.normal(0, 5, groups)[names], chance.normal(0.3, 0.5, groups)[names]
    y = level + slope * x + chance.normal(0, 0.2, groups * each)
    return x.tolist(), y.tolist(), names.tolist()


def test_slope_and_error_are_those_of_dummies_with_clustered_errors() -> None:
    x, y, names = drawn(groups=12, each=4, seed=3)
    dummies = (np.array(names)[:, None] == np.arange(12)[None, :]).astype(float)
    fit = sm.OLS(y, np.column_stack([x, dummies])).fit(
        cov_type="cluster", cov_kwds={"groups": names, "use_correction": False, "df_correction": True}, use_t=True
    )
    ours = within_slope(x, y, names)
    assert ours is not None
    assert ours.interval is not None
    assert ours.slope == pytest.approx(fit.params[0], abs=1e-9)
    reach = (fit.conf_int()[0][1] - fit.params[0]) * np.sqrt(12 / 11)
    assert ours.interval.high - ours.slope == pytest.approx(reach, abs=1e-9)


def test_the_interval_covers_the_slope() -> None:
    hits = 0
    for seed in range(400):
        found = within_slope(*drawn(groups=20, each=3, seed=seed))
        assert found is not None
        assert found.interval is not None
        hits += found.interval.low <= 0.3 <= found.interval.high
    assert 0.92 <= hits / 400 <= 0.98


def test_groups_without_spread_say_nothing() -> None:
    x, y, names = drawn(groups=12, each=4, seed=5)
    assert within_slope([*x, 0.5, 0.5], [*y, 9.0, -9.0], [*names, 99, 99]) == within_slope(x, y, names)
    assert within_slope([1.0, 1.0, 0.0], [0.0, 1.0, 1.0], ["a", "a", "b"]) is None


def test_without_any_residual_no_interval_claims_certainty() -> None:
    found = within_slope([0.1, 0.4, 0.1, 0.3], [1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"])
    assert found is not None
    assert (found.slope, found.interval, found.groups, found.n) == (0.0, None, 2, 4)
