"""Houses and scripted servers for acceptance tests, ended when the test ends."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.house import House, StartHouse
from tests.support.medagent_world import World, open_world
from tests.support.shared import shared_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def start_house(tmp_path: Path) -> AsyncIterator[StartHouse]:
    """Starts an `ironcage serve` with these settings, in a folder of its own."""
    async with AsyncExitStack() as stack:
        started = 0

        async def start(**settings: Any) -> House:
            nonlocal started
            started += 1
            return await stack.enter_async_context(House(tmp_path / f"house-{started}", settings))

        yield start


@pytest.fixture
async def sweep(tmp_path: Path) -> AsyncIterator[World]:
    """The scripted models and FHIR servers of the recorded sweep; the test is skipped where that is absent."""
    shared_path("data", "medagentbench-sweep")
    async with open_world(tmp_path) as world:
        yield world
