"""ironcage's own JSONL: one trajectory with all of its bodies, byte for byte.

One JSON object a line, `line` says what it is: first `trajectory`, then each `span` and `tools` list before the
first `attempt` that names its digest, at last `end` with the counts. A span's bytes stand in `text` if they are
UTF-8, else in `base64`. Lines are ASCII, so that no tool breaks them at an unusual newline.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from trajectory.conversation import ToolDefinition
from trajectory.errors import ClientError, FormatError, IroncageError, OperatorError, StoreError
from trajectory.ids import checked_name
from trajectory.record import Attempt, Body, Span, span_digest
from trajectory.store import Store
from trajectory.trajectory import Launch, OutcomeLabel

FORMAT = "ironcage-trajectory"
VERSION = 1
_AGAIN = "export the trajectory again"
_SIDES = ("request", "reply", "client_reply")


def export_trajectory(store: Store, trajectory_id: str) -> Iterator[str]:
    """Lines without their newline. StoreError if there is no such trajectory."""
    known = store.trajectory(trajectory_id)
    header = msgspec.to_builtins(replace(known, steps=()))
    del header["steps"]
    yield _dumped({"line": "trajectory", "format": FORMAT, "version": VERSION, **header})
    sent: set[bytes] = set()
    count = 0
    for attempt in store.attempts(known.id):
        yield from _attempt_lines(attempt, sent)
        count += 1
    yield _dumped({"line": "end", "attempts": count, "digests": len(sent)})


def import_trajectory(store: Store, lines: Iterable[str]) -> str:
    """The trajectory's id; its source is `imported` from then on. All of it is stored, or nothing.

    FormatError names the line that is wrong; OperatorError if a trajectory of that id is there already.
    """
    reading = _Reading()
    number = 0
    for number, line in enumerate(lines, start=1):
        if line.strip():
            _read_line(reading, number, line)
    if reading.header is None:
        raise FormatError("the file holds no trajectory", hint=f"name a file in the {FORMAT} format")
    if not reading.ended:
        raise FormatError(f"line {number}: the file breaks off before its end line", hint=_AGAIN)
    _keep(store, reading.header, list(reading.attempts.values()))
    return reading.header.id


def _attempt_lines(attempt: Attempt, sent: set[bytes]) -> Iterator[str]:
    fields = msgspec.to_builtins(msgspec.structs.replace(attempt, request=(), reply=(), client_reply=None, tools=()))
    for side in _SIDES:
        body: Body | None = getattr(attempt, side)
        for span in body or ():
            if span.digest not in sent:
                sent.add(span.digest)
                yield _dumped({"line": "span", "digest": span.digest.hex(), **_written(span.data)})
        fields[side] = None if body is None else [span.digest.hex() for span in body]
    fields["tools"] = None
    if attempt.tools:
        tools = msgspec.to_builtins(attempt.tools)
        digest = span_digest(_dumped(tools).encode())
        if digest not in sent:
            sent.add(digest)
            yield _dumped({"line": "tools", "digest": digest.hex(), "tools": tools})
        fields["tools"] = digest.hex()
    yield _dumped({"line": "attempt", **fields})


def _dumped(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _written(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


@dataclass(frozen=True, slots=True)
class _Header:
    id: str
    started_at: float
    task: str | None = None
    label: OutcomeLabel | None = None
    label_evidence: str = ""
    launch: Launch | None = None


@dataclass(slots=True)
class _Reading:
    header: _Header | None = None
    spans: dict[str, Span] = field(default_factory=dict)
    tools: dict[str, tuple[ToolDefinition, ...]] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    ended: bool = False


class _WrongLineError(Exception):
    """What is wrong with a line; its number is added where it is known."""


def _read_line(reading: _Reading, number: int, line: str) -> None:
    try:
        _take(reading, json.loads(line))
    except KeyError as missing:
        raise FormatError(f"line {number}: {missing} is missing or is not defined above", hint=_AGAIN) from None
    except (_WrongLineError, ValueError, TypeError, ClientError, RecursionError) as error:
        raise FormatError(f"line {number}: {error}", hint=_AGAIN) from error


def _take(reading: _Reading, fields: object) -> None:
    if not isinstance(fields, dict):
        raise _WrongLineError("not a JSON object")
    kind = fields.pop("line", None)
    if reading.ended:
        raise _WrongLineError("something follows the end line; a file holds one trajectory")
    if (reading.header is None) != (kind == "trajectory"):
        raise _WrongLineError("the first line, and no other, is the trajectory's own")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise _WrongLineError(f"unknown kind of line {kind!r}")
    reader(reading, fields)


def _read_header(reading: _Reading, fields: dict[str, Any]) -> None:
    if fields.get("format") != FORMAT:
        raise _WrongLineError(f"this is not the {FORMAT} format")
    if fields.get("version") != VERSION:
        raise _WrongLineError(f"version {fields.get('version')!r} of the format; this program reads {VERSION}")
    header = msgspec.convert(fields, _Header)
    for piece in header.id.split("/"):
        checked_name("a trajectory's", piece)  # it will be part of URLs and file names
    reading.header = header


def _read_span(reading: _Reading, fields: dict[str, Any]) -> None:
    if "text" in fields:
        span = Span.of(msgspec.convert(fields["text"], str).encode())
    else:
        span = Span.of(base64.b64decode(fields["base64"], validate=True))
    if span.digest.hex() != fields["digest"]:
        raise _WrongLineError("the bytes do not have the digest that the line claims")
    reading.spans[fields["digest"]] = span


def _read_tools(reading: _Reading, fields: dict[str, Any]) -> None:
    reading.tools[fields["digest"]] = msgspec.convert(fields["tools"], tuple[ToolDefinition, ...])


def _read_attempt(reading: _Reading, fields: dict[str, Any]) -> None:
    bodies: dict[str, Any] = {
        side: None if (digests := fields.pop(side)) is None else tuple(reading.spans[digest] for digest in digests)
        for side in _SIDES
    }
    if bodies["request"] is None or bodies["reply"] is None:
        raise _WrongLineError("request and reply are lists of digests")
    named = fields.pop("tools")
    attempt = msgspec.structs.replace(
        msgspec.convert(fields, Attempt), tools=() if named is None else reading.tools[named], **bodies
    )
    if reading.header is None or attempt.trajectory != reading.header.id:
        raise _WrongLineError(f"the attempt belongs to another trajectory, {attempt.trajectory!r}")
    if attempt.id in reading.attempts:
        raise _WrongLineError(f"the attempt {attempt.id} is there twice")
    reading.attempts[attempt.id] = attempt


def _read_end(reading: _Reading, fields: dict[str, Any]) -> None:
    if fields["attempts"] != len(reading.attempts):
        raise _WrongLineError(f"{fields['attempts']} attempts were written, {len(reading.attempts)} are here")
    reading.ended = True


_READERS: dict[object, Callable[[_Reading, dict[str, Any]], None]] = {
    "trajectory": _read_header,
    "span": _read_span,
    "tools": _read_tools,
    "attempt": _read_attempt,
    "end": _read_end,
}


def _keep(store: Store, header: _Header, attempts: list[Attempt]) -> None:
    with suppress(StoreError):  # missing, as it should be; a broken store fails again below
        store.trajectory(header.id)
        raise OperatorError(
            f"trajectory {header.id} is in the store already",
            hint=f"`ironcage trajectories delete {header.id}` first, if the file shall replace it",
        )
    try:
        store.launched(header.id, header.launch, task=header.task, source="imported")
        store.append(attempts)
        if header.label is not None or header.label_evidence:
            store.label(header.id, header.label, header.label_evidence)
    except IroncageError:
        with suppress(StoreError):
            store.delete(header.id)
        raise
