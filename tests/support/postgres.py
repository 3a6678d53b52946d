"""A PostgreSQL server of our own, on a Unix socket in a temporary folder, for as long as the tests run."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg
import pytest

_HOMES = Path("/usr/lib/postgresql")
# Nothing here is worth an fsync; durability of the server is its own matter.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "30",
    "autovacuum": "off",
}


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of an empty cluster's `postgres` database. Skips, with the reason, where none can be started."""
    bin_folder = _newest_bin()
    user = _server_user()
    folder = Path(tempfile.mkdtemp(prefix="ironcage-pg-"))
    try:
        os.chown(folder, user.pw_uid, user.pw_gid)
        data = folder / "data"
        _run(
            user,
            folder,
            str(bin_folder / "initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
        )
        process, reader = _start(user, folder, bin_folder, data)
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            # SIGINT: "fast shutdown", which ends sessions that are left.
            process.send_signal(2)
            process.wait(timeout=30)
            reader.join()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres_schema(server: str, name: str) -> Iterator[str]:
    """The URL of a new, empty schema of `server`, dropped afterwards: a database of one's own in milliseconds."""
    _execute(server, f'CREATE SCHEMA "{name}"')
    try:
        yield f"{server}&options=-csearch_path%3D{name}"
    finally:
        _execute(server, f'DROP SCHEMA "{name}" CASCADE')


def _execute(server: str, statement: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def _newest_bin() -> Path:
    found = sorted(_HOMES.glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if not found:
        pytest.skip(f"no PostgreSQL server is installed under {_HOMES}")
    return found[-1].parent


def _server_user() -> pwd.struct_passwd:
    """Us; or, as root, whom PostgreSQL refuses, somebody without rights."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _as_user(user: pwd.struct_passwd) -> dict[str, int | list[int]]:
    return {} if os.getuid() != 0 else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _run(user: pwd.struct_passwd, folder: Path, *command: str) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=_environment(),
        **_as_user(user),  # type: ignore[call-overload]
    )
    if done.returncode != 0:
        pytest.skip(f"{Path(command[0]).name} failed: {done.stderr.strip()[-300:]}")


def _start(
    user: pwd.struct_passwd, folder: Path, bin_folder: Path, data: Path
) -> tuple[subprocess.Popen[str], threading.Thread]:
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    process = subprocess.Popen(
        [str(bin_folder / "postgres"), "-D", str(data), "-k", str(folder), *settings],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
        **_as_user(user),  # type: ignore[call-overload]
    )
    assert process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        said.append(line)
        if "ready to accept connections" in line:
            # Read on, or the server stops when the pipe is full.
            reader = threading.Thread(target=_read_to_the_end, args=[process.stderr])
            reader.start()
            return process, reader
    process.stderr.close()
    process.wait(timeout=10)
    pytest.skip(f"the PostgreSQL server did not start: {''.join(said)[-300:]}")


def _read_to_the_end(stream: IO[str]) -> None:
    with stream:
        for _ in stream:
            pass


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
