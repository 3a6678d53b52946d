"""What a check reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Line:
    """`hint` says what to do; empty where nothing is to be done. fail: something will not work."""

    status: Status
    name: str
    message: str
    hint: str = ""


def ok(name: str, message: str) -> Line:
    return Line("ok", name, message)


def warn(name: str, message: str, hint: str) -> Line:
    return Line("warn", name, message, hint)


def fail(name: str, message: str, hint: str) -> Line:
    return Line("fail", name, message, hint)
