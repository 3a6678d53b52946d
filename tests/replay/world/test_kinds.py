from __future__ import annotations

import pytest

from replay.world.kinds import ToolKinds, kind_by_name


@pytest.mark.parametrize(
    "name",
    ["get_order", "orders.list", "GET /orders/7", "searchFlights", "mcp__files__read_file", "HTTPFetch", "find-user"],
)
def test_names_that_begin_to_read_are_reads(name: str) -> None:
    assert kind_by_name(name) == "read"


@pytest.mark.parametrize(
    "name", ["update_read_flag", "cancelOrder", "POST /search", "files.write", "frobnicate", "", "execute_query"]
)
def test_names_that_write_or_do_not_say_are_writes(name: str) -> None:
    assert kind_by_name(name) == "write"


def test_declared_kind_goes_before_the_name() -> None:
    kinds = ToolKinds({"frobnicate": "pure", "get_and_lock": "write"})
    assert [kinds.of(name) for name in ("frobnicate", "get_and_lock", "get_order")] == ["pure", "write", "read"]
