"""`ironcage run -- CMD …`: start an agent whose model calls, tool calls and other traffic go through the proxy."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Protocol

import typer

from ironcage.launching import recordable
from ironcage.reach import agent_environment, build_store, ca_folder
from ironcage.settings import Loaded, address, load
from proxy.environment import without_approvals_token
from trajectory.errors import OperatorError
from trajectory.ids import checked_name, new_id, trajectory_id
from trajectory.trajectory import Launch

_CONNECT_S = 2.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- what to replace, not to bind


class Launches(Protocol):
    """The part of trajectory.store.Store that notes how an agent was started."""

    def launched(self, trajectory: str, launch: Launch, *, task: str | None = None, source: str = "live") -> None: ...


app = typer.Typer(add_completion=False, rich_markup_mode=None)


# everything after CMD is the agent's, also what looks like an option
@app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def run(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="CMD", help="The agent's command and its arguments.")],
    session: Annotated[str | None, typer.Option(help="Session that all its traffic belongs to.")] = None,
    task: Annotated[str | None, typer.Option(help="Task that the agent works on.")] = None,
) -> None:
    """Run an agent behind the proxy: base URLs, proxy and CA are set in its environment.

    Its input and output are its own; its exit code is returned (128 + n if signal n ended it).
    """
    loaded = load(context.obj)
    if session is None:
        session = new_id(time.time(), os.urandom(7))
        typer.echo(f"ironcage: session {session}", err=True)
    with closing(build_store(loaded)) as store:
        code = run_agent(command, loaded=loaded, store=store, session=session, task=task, inherited=os.environ)
    raise typer.Exit(code)


def run_agent(
    command: Sequence[str],
    *,
    loaded: Loaded,
    store: Launches,
    session: str,
    task: str | None,
    inherited: Mapping[str, str],
) -> int:
    """Run `command` to its end and note the launch before and after. Must be called in the main thread.

    Raises OperatorError if no proxy listens or there is no such command, ClientError for an invalid name.
    """
    trajectory = trajectory_id(checked_name("session", session), None)
    if task is not None:
        checked_name("task", task)
    environment = {**without_approvals_token(inherited), **_environment(loaded, session, inherited)}
    if shutil.which(command[0], path=environment.get("PATH")) is None:
        raise OperatorError(f"no such command: {command[0]}", hint="ironcage run -- CMD ARGUMENTS")
    launch = Launch(recordable(command), str(Path.cwd()))
    if launch.command != tuple(command):
        typer.echo("ironcage: secrets in the command are recorded as ***, and a replay of it has no others.", err=True)
        typer.echo("Give them to the agent through its environment.", err=True)
    store.launched(trajectory, launch, task=task)
    started = time.monotonic()
    code = _supervised(command, environment)
    store.launched(trajectory, replace(launch, exit_code=code, duration_s=time.monotonic() - started), task=task)
    return code


def _environment(loaded: Loaded, session: str, inherited: Mapping[str, str]) -> dict[str, str]:
    settings = loaded.settings
    data_url = _listening_url("listen", settings.listen)
    proxy_url = None
    if settings.forward_listen is not None:
        proxy_url = _listening_url("forward_listen", settings.forward_listen)
        if not (ca_folder(loaded) / "ca.pem").is_file():
            raise OperatorError(
                f"the proxy's CA is not in {ca_folder(loaded)}", hint="use the settings that `ironcage serve` runs with"
            )
    return agent_environment(loaded, data_url=data_url, proxy_url=proxy_url, session=session, inherited=inherited)


def _listening_url(key: str, listen: str) -> str:
    """The setting `listen` as a client must write it. Raises OperatorError if nothing accepts connections there."""
    host, port = address(listen, key)
    host = _ANY_ADDRESS.get(host, host)
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError as e:
        raise OperatorError(f"no proxy is listening at {listen} ({key})", hint="start it with: ironcage serve") from e
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _supervised(command: Sequence[str], environment: Mapping[str, str]) -> int:
    with _signals_forwarded() as forward_to:
        process = subprocess.Popen(command, env=environment)
        forward_to(process)
        code = process.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _signals_forwarded() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Pass signals on to a process, also those that come before there is one."""
    early: list[int] = []
    running: list[subprocess.Popen[bytes]] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and _in_terminals_foreground():
            return  # Ctrl-C reaches the whole foreground group: the agent has had it, and twice often means "kill"
        for process in running:
            process.send_signal(number)
        if not running:
            early.append(number)

    def forward_to(process: subprocess.Popen[bytes]) -> None:
        running.append(process)
        for number in early:
            process.send_signal(number)

    previous = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield forward_to
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _in_terminals_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False  # no controlling terminal
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)
