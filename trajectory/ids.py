"""Identifiers: sortable by time, unique without coordination; and the names that clients may choose."""

from __future__ import annotations

import re

from trajectory.errors import ClientError

# Session, task and agent names come from clients and end up in paths, file names and pages.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}")


def new_id(now_s: float, random_bytes: bytes) -> str:
    """26 lower-case hex digits: 48 bits of milliseconds since 1970, then 56 random bits.

    Ids made in different milliseconds sort by time. `now_s` is Unix time in seconds; `random_bytes`
    needs at least 7 bytes.
    """
    milliseconds = int(now_s * 1000) & 0xFFFFFFFFFFFF
    return f"{milliseconds:012x}{random_bytes[:7].hex()}"


def checked_name(kind: str, value: str) -> str:
    """`value` if it may name a session, task or agent: 1 to 128 of `A-Za-z0-9._:@+-`, first one alphanumeric.

    Raises ClientError otherwise: such names appear in URLs, file names and pages.
    """
    if _NAME.fullmatch(value):
        return value
    raise ClientError(
        f"{kind} {value[:40]!r} is not a valid name",
        hint="use 1 to 128 characters of A-Z a-z 0-9 . _ : @ + -, beginning with a letter or digit",
    )


def trajectory_id(session: str, agent: str | None) -> str:
    """One trajectory for each agent of a session; deterministic, so that a restarted proxy continues it."""
    return session if agent is None else f"{session}/{agent}"


def session_of(trajectory: str) -> str:
    """The session of `trajectory_id`: no name has a slash."""
    return trajectory.partition("/")[0]
