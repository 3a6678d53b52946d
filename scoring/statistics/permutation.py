"""Sign-flip permutation test of a paired difference: free of any distribution, exact where the pairs are few.

If two candidates are alike, each difference could as well have had the other sign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MAX_EXACT = 20
"""Up to so many pairs that differ all 2^n flips are counted; beyond, `flips` are drawn."""
FLIPS = 99_999
_SIGNS_AT_ONCE = 1 << 22


class Permutation(NamedTuple):
    """Two-sided. `p_error` is the standard error of a drawn p; 0.0 for an exact one."""

    p_value: float
    p_error: float
    flips: int
    is_exact: bool


def sign_flip_test(deltas: Sequence[float], *, seed: int, flips: int = FLIPS) -> Permutation | None:
    """Of the mean of `deltas`, one for each task (means over trials first). None without any.

    Deltas of 0 are the same either way and add nothing. A drawn p is (1 + hits) / (1 + flips), which is never 0
    and keeps its level (Phipson and Smyth 2010).
    """
    if not deltas:
        return None
    moving = np.array([abs(delta) for delta in deltas if delta], dtype=np.float64)
    observed = abs(math.fsum(deltas))
    # sums of the same numbers in another order may differ in their last digits
    reached = observed - 1e-12 * float(moving.sum())
    if len(moving) <= MAX_EXACT:
        sums = np.zeros(1)
        for delta in moving:
            sums = np.concatenate([sums + delta, sums - delta])
        return Permutation(float(np.mean(np.abs(sums) >= reached)), 0.0, len(sums), is_exact=True)
    p_value = (1 + _drawn_hits(moving, reached, seed, flips)) / (1 + flips)
    return Permutation(p_value, math.sqrt(p_value * (1 - p_value) / flips), flips, is_exact=False)


def _drawn_hits(moving: np.ndarray[tuple[int], np.dtype[np.float64]], reached: float, seed: int, flips: int) -> int:
    chance, hits = np.random.default_rng(seed), 0
    at_once = max(1, _SIGNS_AT_ONCE // len(moving))
    for start in range(0, flips, at_once):
        signs = chance.integers(0, 2, (min(at_once, flips - start), len(moving)), dtype=np.int8)
        # sum of signed = 2 * sum of those with sign 1 - sum of all
        hits += int(np.count_nonzero(np.abs(2 * (signs @ moving) - moving.sum()) >= reached))
    return hits
