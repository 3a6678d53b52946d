"""A whole ironcage for acceptance tests: `ironcage serve` as a process, its commands, its store."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec

from tests.support import forking
from trajectory.ids import trajectory_id
from trajectory.sql.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trajectory.store import Store

_STARTS = 3


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class House:
    """`settings` are what ironcage.yaml says beside ports and store; `async with` it to serve.

    Both doors and the console get free ports at each start, so a client asks for `url` and `proxy` anew after a
    restart. `log` is what the process has said on stderr.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.config = folder / "ironcage.yaml"
        self.log: list[str] = []
        self._settings = dict(settings)
        self._process: forking.Forked | None = None
        self._reading: asyncio.Task[None] | None = None
        self.url = self.proxy = self.admin = ""
        folder.mkdir(parents=True, exist_ok=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.is_running:
            assert await self.stop() == 0, self.said
        assert "Traceback" not in self.said, self.said

    @property
    def said(self) -> str:
        return "".join(self.log)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def database(self) -> Path:
        return self.folder / "ironcage.db"

    async def start(self) -> None:
        """Serve, and return once the process says that it is ready."""
        for last in (False, False, True)[-_STARTS:]:
            self._configure()
            command = ("-c", str(self.config), "serve")
            self._process = await forking.start(command, self.folder, environment(), speaks=False)
            if await self._is_ready():
                return
            # another process may have taken a port between our looking and ironcage's binding
            assert "cannot listen" in self.said, f"ironcage serve ended: {self.said}"
            assert not last, self.said

    async def stop(self) -> int:
        """End it as an operator does (SIGTERM); its exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    def kill_now(self) -> None:
        """SIGKILL at this very moment; `kill` still has to be awaited."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()

    def base(self, upstream: str, session: str) -> str:
        """The base URL of an upstream, within a session."""
        return f"{self.url}/s/{session}/{upstream}"

    async def ironcage(self, *arguments: str, **variables: str) -> Finished:
        """Run a command with this house's configuration, to its end."""
        return await ironcage("-c", str(self.config), *arguments, cwd=self.folder, **variables)

    async def shown(self, session: str) -> dict[str, Any]:
        """What `trajectories show --json` prints of a session's own trajectory."""
        finished = await self.ironcage("trajectories", "show", trajectory_id(session, None), "--json")
        assert finished.code == 0, finished.err
        shown: dict[str, Any] = finished.json
        return shown

    async def kept(self, session: str) -> dict[str, Any]:
        """The same, read from the store without the cost of a command."""

        def read() -> dict[str, Any]:
            with self.store() as store:
                plain: dict[str, Any] = msgspec.to_builtins(store.trajectory(trajectory_id(session, None)))
                return plain

        return await asyncio.to_thread(read)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The recordings, read beside the running process as every command does."""
        store = open_store(f"sqlite:///{self.database}")
        try:
            yield store
        finally:
            store.close()

    def _configure(self) -> None:
        data, admin, forward = free_ports(3)
        self.url, self.admin, self.proxy = (f"http://127.0.0.1:{port}" for port in (data, admin, forward))
        settings = {
            "listen": f"127.0.0.1:{data}",
            "admin_listen": f"127.0.0.1:{admin}",
            "forward_listen": f"127.0.0.1:{forward}",
            "store": f"sqlite:///{self.database}",
            **self._settings,
        }
        self.config.write_text(json.dumps(settings, indent=2), encoding="utf-8")  # JSON is YAML

    async def _is_ready(self) -> bool:
        assert self._process is not None
        while line := await self._process.stderr.readline():
            self.log.append(line.decode())
            if line == b"ready\n":
                self._reading = asyncio.create_task(self._read(self._process.stderr))
                return True
        await self._process.wait()
        return False

    async def _read(self, stderr: asyncio.StreamReader) -> None:
        while line := await stderr.readline():
            self.log.append(line.decode())

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        code = await self._process.wait()
        if self._reading is not None:
            await self._reading
        return code


class StartHouse(Protocol):
    """`settings` are those of ironcage.yaml."""

    async def __call__(self, **settings: Any) -> House: ...


async def ironcage(*arguments: str, cwd: Path, **variables: str) -> Finished:
    process = await forking.start(arguments, cwd, environment(**variables))
    out, err = await process.communicate()
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), err.decode())


def environment(**variables: str) -> dict[str, str]:
    """The environment of tests without what would lead a client elsewhere than the test says."""
    ours = ("IRONCAGE_", "OPENAI_", "SSL_CERT_", "MEDAGENT_", "FHIR_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(ours)
    }
    return {**kept, "OPENAI_API_KEY": "k", **variables}


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago, all different."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [server.getsockname()[1] for server in held]
    finally:
        for server in held:
            server.close()
