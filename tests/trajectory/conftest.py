from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.postgres import postgres_schema, postgres_server
from trajectory.clock import ManualClock
from trajectory.memory import MemoryStore
from trajectory.sql.opening import open_store
from trajectory.store import Store

_names = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    with postgres_schema(postgres, f"store{next(_names)}") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, empty database of each kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_600_000_000.0)


@pytest.fixture(params=["memory", "sqlite in memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    """Every implementation of the contract."""
    makers: dict[str, Callable[[], Store]] = {
        "memory": lambda: MemoryStore(clock=clock),
        "sqlite in memory": lambda: open_store("sqlite://", clock=clock),
        "sqlite": lambda: open_store(f"sqlite:///{tmp_path}/store.db", clock=clock),
        "postgresql": lambda: open_store(request.getfixturevalue("postgres_url"), clock=clock),
    }
    made = makers[request.param]()
    yield made
    made.close()
