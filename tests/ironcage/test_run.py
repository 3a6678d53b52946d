from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer
from aiohttp import web
from typer.testing import CliRunner

from ironcage.commands import run as command
from ironcage.settings import Loaded, Settings
from policies.constraints import Constraints
from proxy.intercept.door import InterceptDoor
from proxy.settings import Upstream
from trajectory.errors import ClientError, OperatorError
from trajectory.sql.opening import open_store
from trajectory.trajectory import Launch


class Notes:
    """What was noted of launches, in order."""

    def __init__(self) -> None:
        self.launches: list[tuple[str, Launch, str | None]] = []

    def launched(self, trajectory: str, launch: Launch, *, task: str | None = None, source: str = "live") -> None:
        self.launches.append((trajectory, launch, task))


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def silent() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def settings(folder: Path, **keys: Any) -> Loaded:
    return Loaded(settings=Settings(**keys), constraints=Constraints(), folder=folder)


def run(code: str, loaded: Loaded, notes: Notes, *, session: str = "RUN-42", task: str | None = None) -> int:
    return command.run_agent(
        (sys.executable, "-c", code), loaded=loaded, store=notes, session=session, task=task, inherited=os.environ
    )


def test_exit_code_is_the_agents_and_the_launch_is_noted_before_and_after(listening: str, tmp_path: Path) -> None:
    notes = Notes()
    assert run("raise SystemExit(7)", settings(tmp_path, listen=listening), notes, task="T-1") == 7
    (_, begun, _), (trajectory, done, task) = notes.launches
    assert (trajectory, task) == ("RUN-42", "T-1")
    assert (begun.exit_code, begun.duration_s) == (None, None)
    assert done.exit_code == 7
    assert done.duration_s is not None
    assert done.command == (sys.executable, "-c", "raise SystemExit(7)")
    assert done.cwd == str(Path.cwd())


def test_the_agent_gets_its_secrets_and_the_record_does_not(
    listening: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    notes = Notes()
    agent = (sys.executable, "-c", "import sys; sys.exit(sys.argv[2] != 'hunter-2')", "--api-key", "hunter-2")
    loaded = settings(tmp_path, listen=listening)
    code = command.run_agent(agent, loaded=loaded, store=notes, session="R", task=None, inherited=os.environ)
    assert code == 0 and "recorded as ***" in capfd.readouterr().err
    assert [launch.command for _, launch, _ in notes.launches] == [(*agent[:-1], "***")] * 2


def test_agent_ended_by_a_signal_returns_128_and_its_number(listening: str, tmp_path: Path) -> None:
    assert run("import os; os.kill(os.getpid(), 9)", settings(tmp_path, listen=listening), Notes()) == 137


def test_agent_sees_base_urls_of_its_session(listening: str, tmp_path: Path) -> None:
    seen = tmp_path / "environment.json"
    loaded = settings(tmp_path, listen=listening, upstreams={"openai": Upstream(base_url="https://api.openai.com")})
    run(f"import json, os; json.dump(dict(os.environ), open({str(seen)!r}, 'w'))", loaded, Notes())
    environment = json.loads(seen.read_text())
    assert environment["OPENAI_BASE_URL"] == f"http://{listening}/s/RUN-42/openai/v1"
    assert environment["IRONCAGE_SESSION"] == "RUN-42"
    assert environment["PATH"] == os.environ["PATH"]


def test_proxy_that_listens_on_every_address_is_reached_on_loopback(listening: str, tmp_path: Path) -> None:
    seen = tmp_path / "url"
    code = f"import os; open({str(seen)!r}, 'w').write(os.environ['IRONCAGE_URL'])"
    port = listening.rpartition(":")[2]
    assert run(code, settings(tmp_path, listen=f"0.0.0.0:{port}"), Notes()) == 0
    assert seen.read_text() == f"http://127.0.0.1:{port}"


def test_without_a_running_proxy_the_agent_is_not_started(silent: str, listening: str, tmp_path: Path) -> None:
    notes, started = Notes(), tmp_path / "started"
    touch = f"open({str(started)!r}, 'w')"
    with pytest.raises(OperatorError, match=f"no proxy is listening at {silent}") as raised:
        run(touch, settings(tmp_path, listen=silent), notes)
    assert raised.value.hint == "start it with: ironcage serve"
    with pytest.raises(OperatorError, match="forward_listen"):
        run(touch, settings(tmp_path, listen=listening, forward_listen=silent), notes)
    assert not started.exists()
    assert notes.launches == []


def test_missing_ca_and_missing_command_are_the_operators_fault(listening: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="CA is not in"):
        run("", settings(tmp_path, listen=listening, forward_listen=listening), Notes())
    with pytest.raises(OperatorError, match="no such command: not-there"):
        command.run_agent(
            ["not-there"],
            loaded=settings(tmp_path, listen=listening),
            store=Notes(),
            session="S",
            task=None,
            inherited={},
        )


def test_names_that_cannot_be_names_are_refused(listening: str, tmp_path: Path) -> None:
    for names in ({"session": "../x"}, {"task": "a b"}):
        with pytest.raises(ClientError):
            run("", settings(tmp_path, listen=listening), Notes(), **names)


# The command line


@pytest.fixture
def config(listening: str, tmp_path: Path) -> Path:
    file = tmp_path / "my.yaml"
    file.write_text(f"listen: {listening}\nstore: sqlite:///{tmp_path}/kept.db\n")
    return file


def command_line() -> typer.Typer:
    app = typer.Typer()
    app.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(command.run)
    return app


@pytest.mark.parametrize("separator", [[], ["--"]])
def test_everything_after_the_command_is_the_agents(config: Path, tmp_path: Path, separator: list[str]) -> None:
    agent = [sys.executable, "-c", "import sys; sys.exit(len(sys.argv))", "--task", "-x"]
    result = CliRunner().invoke(command_line(), ["--session", "S-1", *separator, *agent], obj=config)
    assert result.exit_code == 3
    with closing(open_store(f"sqlite:///{tmp_path}/kept.db")) as store:
        kept = store.trajectory("S-1")
    assert kept.launch is not None
    assert kept.launch.command == tuple(agent)
    assert (kept.launch.exit_code, kept.task) == (3, None)


def test_session_is_made_and_told_where_none_is_given(config: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(command_line(), [sys.executable, "-c", ""], obj=config)
    assert result.exit_code == 0
    assert result.stdout == ""
    with closing(open_store(f"sqlite:///{tmp_path}/kept.db")) as store:
        (made,) = store.find()
    assert f"session {made.session}" in result.stderr


# Signals, and the whole way, in a process of its own

DRIVER = """
import fcntl, os, sys, termios
from pathlib import Path
from ironcage.commands.run import run_agent
from ironcage.settings import Loaded, Settings
from policies.constraints import Constraints
class Notes:
    def launched(self, *_, **__): pass
folder, listen, forward, where, *command = sys.argv[1:]
if where == "terminal":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
settings = Settings(listen=listen, forward_listen=forward or None, state_dir="state")
loaded = Loaded(settings=settings, constraints=Constraints(), folder=Path(folder))
sys.exit(run_agent(command, loaded=loaded, store=Notes(), session="RUN-42", task=None, inherited=os.environ))
"""

TRAPS = """
import signal, sys
def say(number, frame):
    print(signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM: sys.exit(7)
for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, say)
print("ready", flush=True)
while True: signal.pause()
"""


async def start(
    folder: Path, listen: str, *agent: str, forward: str = "", terminal: int | None = None
) -> asyncio.subprocess.Process:
    where = "nowhere" if terminal is None else "terminal"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", DRIVER, str(folder), listen, forward, where, *agent),
        stdin=asyncio.subprocess.DEVNULL if terminal is None else terminal,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )


async def test_signals_reach_the_agent(listening: str, tmp_path: Path) -> None:
    process = await start(tmp_path, listening, sys.executable, "-c", TRAPS)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    assert await process.stdout.readline() == b"SIGINT\n"
    process.send_signal(signal.SIGTERM)
    assert await process.stdout.read() == b"SIGTERM\n"
    assert await process.wait() == 7


async def test_on_a_terminal_ctrl_c_is_not_delivered_twice(listening: str, tmp_path: Path) -> None:
    master, slave = os.openpty()
    process = await start(tmp_path, listening, sys.executable, "-c", TRAPS, terminal=slave)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)  # as it reaches `ironcage run` itself when the terminal sends it to the group
    process.send_signal(signal.SIGTERM)  # Python runs handlers in the order of their numbers: SIGINT is decided first
    assert await process.stdout.read() == b"SIGTERM\n"
    assert await process.wait() == 7
    os.close(master)
    os.close(slave)


async def test_agent_that_knows_only_its_environment_goes_through_both_doors(tmp_path: Path) -> None:
    seen: list[tuple[str, str | None, str | None]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(
            (request.raw_path, request.headers.get("x-ironcage-target"), request.headers.get("x-ironcage-session"))
        )
        return web.Response(text="fine")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    door = InterceptDoor()
    forward = await door.start(
        "127.0.0.1", 0, gateway_host="127.0.0.1", gateway_port=port, hop_secret="s", confdir=tmp_path / "state" / "ca"
    )
    agent = """
import os, urllib.request
for url in (os.environ["IRONCAGE_URL"] + "/healthy", "http://tool.invalid:81/a", "https://tool.invalid/b"):
    assert urllib.request.urlopen(url).read() == b"fine"
"""
    process = await start(tmp_path, f"127.0.0.1:{port}", sys.executable, "-c", agent, forward=f"127.0.0.1:{forward}")
    assert await process.wait() == 0
    assert seen == [
        ("/healthy", None, None),
        ("/a", "http://tool.invalid:81", "RUN-42"),
        ("/b", "https://tool.invalid:443", "RUN-42"),
    ]
    await door.stop()
    await runner.cleanup()


def test_an_agent_does_not_inherit_the_approvals_token(
    listening: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRONCAGE_APPROVALS_TOKEN", "a-token-of-the-operator")
    code = "import os; raise SystemExit('a-token-of-the-operator' in os.environ.values())"
    assert run(code, settings(tmp_path, listen=listening), Notes()) == 0
