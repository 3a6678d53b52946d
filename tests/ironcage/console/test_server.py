from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ironcage.console.server import Console
from ironcage.settings import Loaded, Settings
from policies.constraints import Constraints
from tests.support.console import Browser, open_console
from trajectory.errors import OperatorError, StoreError
from trajectory.memory import MemoryStore
from trajectory.trajectory import TrajectorySummary

LOADED = Loaded(settings=Settings(), constraints=Constraints(), folder=Path())


class BrokenStore(MemoryStore):
    def find(self, **_: object) -> list[TrajectorySummary]:  # type: ignore[override]
        raise StoreError("cannot read the store: the disk is gone", hint="bring it back")


async def test_health_and_readiness_answer(browser: Browser) -> None:
    assert await browser.json("/healthz") == {"status": "ok"}
    assert await browser.json("/readyz") == {"status": "ready"}


async def test_store_that_is_down_is_not_ready_and_pages_say_so() -> None:
    async with open_console(BrokenStore()) as browser:
        assert (await browser.get("/healthz")).status == 200
        assert (await browser.get("/readyz")).status == 503
        page = await browser.get("/trajectories")
        assert page.status == 503
        assert "the disk is gone" in page.text
        assert "bring it back" in page.text
        assert (await browser.get("/metrics")).status == 503


async def test_recordings_are_never_shown_off_loopback_without_a_token() -> None:
    with pytest.raises(OperatorError, match="anyone on the network"):
        async with Console(MemoryStore(), "0.0.0.0", 0, LOADED):
            pass


async def test_port_in_use_is_said_with_its_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OperatorError, match="admin_listen"):
        async with Console(MemoryStore(), "127.0.0.1", taken.getsockname()[1], LOADED):
            pass


async def test_unknown_page_is_a_page_for_people_and_json_for_programs(browser: Browser) -> None:
    page = await browser.get("/no/such")
    assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    plain = await browser.get("/api/no/such")
    assert (plain.status, plain.headers["Content-Type"]) == (404, "application/json; charset=utf-8")
    assert (await browser.post("/trajectories")).status == 405
