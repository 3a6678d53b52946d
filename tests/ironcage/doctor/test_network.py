from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ironcage.assembly import open_doors
from ironcage.console.server import Console
from ironcage.doctor.network import check_ports, check_upstreams
from ironcage.settings import Loaded, Settings
from policies.constraints import Constraints


def loaded(folder: Path, **keys: Any) -> Loaded:
    return Loaded(settings=Settings.model_validate(keys), constraints=Constraints(), folder=folder)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port whose owner accepts and says goodbye."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def statuses(settings: Loaded) -> dict[str, str]:
    return {line.name: line.status for line in check_ports(settings)}


def test_free_ports_are_ok_and_stay_free(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path, listen=f"127.0.0.1:{free()}", admin_listen=f"127.0.0.1:{free()}", forward_listen="[::1]:0"
    )
    for _ in range(2):
        assert statuses(settings) == {"listen": "ok", "admin_listen": "ok", "forward_listen": "ok"}


def test_address_that_is_none_or_open_to_all_fails(tmp_path: Path) -> None:
    settings = loaded(tmp_path, listen="0.0.0.0:0", admin_listen="nonsense")
    assert statuses(settings) == {"listen": "fail", "admin_listen": "fail"}
    with_token = loaded(tmp_path, listen="0.0.0.0:0", admin_listen="127.0.0.1:0", access_token="t")
    assert statuses(with_token)["listen"] == "ok"


@pytest.mark.parametrize("token", [None, "t-1"])
async def test_running_ironcage_is_recognised_at_each_door_and_records_nothing(
    tmp_path: Path, token: str | None
) -> None:
    keys = {
        "access_token": token,
        "listen": "127.0.0.1:0",
        "forward_listen": "127.0.0.1:0",
        "admin_listen": "127.0.0.1:0",
    }
    made = loaded(tmp_path, **keys, store="sqlite://")
    async with open_doors(made) as doors, Console(doors.store, "127.0.0.1", 0, made) as console:
        running = loaded(
            tmp_path,
            listen=f"127.0.0.1:{doors.port}",
            forward_listen=f"127.0.0.1:{doors.forward_port}",
            admin_listen=console.url.removeprefix("http://"),
        )
        lines = await asyncio.to_thread(lambda: list(check_ports(running)))
        assert doors.store.find() == []
    assert [(line.status, "ironcage is running" in line.message) for line in lines] == [("ok", True)] * 3, lines


async def test_other_program_at_a_port_fails(tmp_path: Path) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        taken = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = loaded(tmp_path, listen=taken, admin_listen=taken)
        assert await asyncio.to_thread(statuses, settings) == {"listen": "fail", "admin_listen": "fail"}


def test_upstreams_are_tried_only_when_asked(tmp_path: Path, silent: int) -> None:
    upstreams = {"up": {"base_url": f"http://127.0.0.1:{silent}"}, "down": {"base_url": f"http://127.0.0.1:{free()}"}}
    settings = loaded(tmp_path, upstreams=upstreams)
    assert [line.status for line in check_upstreams(settings, network=False)] == ["ok"]
    asked = {line.name: line.status for line in check_upstreams(settings, network=True)}
    assert asked == {"upstream up": "ok", "upstream down": "fail"}


def test_upstream_settings_that_stop_the_start_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    upstream = {"base_url": "http://127.0.0.1:1", "api_key_env": "SOME_KEY", "ca_file": "no.pem"}
    settings = loaded(tmp_path, upstreams={"up": upstream})
    assert [line.status for line in check_upstreams(settings, network=False)] == ["fail", "fail", "ok"]
    monkeypatch.setenv("SOME_KEY", "k")
    (tmp_path / "no.pem").write_text("x", encoding="utf-8")
    assert [line.status for line in check_upstreams(settings, network=False)] == ["ok"]
    assert [line.status for line in check_upstreams(loaded(tmp_path), network=True)] == ["warn"]
