from __future__ import annotations

import pytest

from proxy.wire.counts import stated


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ((7,), 7), ((7, 700), 700), ((None, 7), 7), ((7.9,), 7), (("700",), 700), ((" 700.0 ",), 700),
        ((10**400,), 10**18), ((float("inf"),), 10**18), ((float("nan"),), None), ((float("-inf"),), None),
        ((-1, 0), None), ((True,), None), (("-1",), None), (("1" * 5_000,), None), (("\u0663",), None), (([7],), None),
        ((), None),
    ],
)  # fmt: skip
def test_the_largest_limit_that_any_server_may_read(values: tuple[object, ...], limit: int | None) -> None:
    assert stated(*values) == limit
