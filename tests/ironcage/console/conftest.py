from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.attempts import model_attempt, tool_attempt
from tests.support.console import Browser, open_console
from trajectory.sql.opening import open_store
from trajectory.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Trajectory s-1 of task t-1 with a model call and a tool call, and a sub-agent's trajectory."""
    made = open_store(f"sqlite:///{tmp_path}/store.db")
    made.append([model_attempt(0, task="t-1"), tool_attempt(1, task="t-1")])
    made.append([model_attempt(2, trajectory="s-1/helper", agent="helper")])
    yield made
    made.close()


@pytest.fixture
async def browser(store: Store) -> AsyncIterator[Browser]:
    async with open_console(store) as opened:
        yield opened
