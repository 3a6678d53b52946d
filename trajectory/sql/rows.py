"""Attempts as rows and back. Neutral data is JSON text; a text column never holds what UTF-8 or SQL cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Row

from trajectory.conversation import Reply, ToolDefinition
from trajectory.record import Attempt, Body, ToolUse, VerdictNote
from trajectory.sql.spans import joined_digests
from trajectory.steps import refusals_in
from trajectory.trajectory import Launch

_encode = msgspec.json.Encoder().encode


def json_text(value: object) -> str:
    try:
        return _encode(value).decode()
    except UnicodeEncodeError:  # lone surrogates: the json module escapes them as they are
        return json.dumps(msgspec.to_builtins(value))


def reader[T](kind: type[T]) -> Callable[[str | bytes], T]:
    decode = msgspec.json.Decoder(kind).decode

    def read(text: str | bytes) -> T:
        try:
            return decode(text)
        except msgspec.DecodeError:  # refuses lone surrogates, which the json module reads
            return msgspec.convert(json.loads(text), kind)

    return read


read_launch = reader(Launch)
read_tools = reader(tuple[ToolDefinition, ...])
_read_reply = reader(Reply)
_read_tool = reader(ToolUse)
_read_verdicts = reader(tuple[VerdictNote, ...])
_read_headers = reader(tuple[tuple[str, str], ...])
_read_extra = reader(dict[str, str])


def clean(text: str) -> str:
    r"""`text` as a text column can hold it: NUL and lone surrogates become visible escapes (`\x00`, `\ud800`)."""
    if _is_plain(text):
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _is_plain(text: str) -> bool:
    return text.isascii() and "\0" not in text


def clean_or_none(text: str | None) -> str | None:
    return None if text is None else clean(text)


def attempt_row(attempt: Attempt, tools_digest: bytes | None) -> tuple[object, ...]:
    """Values in the order of schema.attempts."""
    a = attempt
    row = (
        a.id,
        a.trajectory,
        a.operation,
        a.session,
        a.number,
        a.kind,
        a.door,
        a.wire,
        a.upstream,
        a.host,
        a.method,
        a.path,
        a.started_at,
        a.end,
        a.status,
        a.error,
        a.first_byte_s,
        a.total_s,
        joined_digests(a.request),
        joined_digests(a.reply),
        None if a.client_reply is None else joined_digests(a.client_reply),
        a.request_bytes,
        a.reply_bytes,
        a.digest,
        a.streamed,
        a.model,
        tools_digest,
        None if a.answer is None else json_text(a.answer),
        None if a.tool is None else json_text(a.tool),
        json_text(a.verdicts) if a.verdicts else None,
        refusals_in(a),
        json_text(a.headers) if a.headers else None,
        a.task,
        a.agent,
        a.matched_by,
        json_text(a.extra) if a.extra else None,
    )
    # one look at all texts together nearly always says that there is nothing to clean; JSON comes out as it is
    if _is_plain("".join([value for value in row if type(value) is str])):
        return row
    return tuple(clean(value) if isinstance(value, str) else value for value in row)


def read_attempt(
    row: Row[Any],
    *,
    tools: tuple[ToolDefinition, ...],
    request: Body = (),
    reply: Body = (),
    client_reply: Body | None = None,
) -> Attempt:
    return Attempt(
        id=row.id,
        operation=row.operation,
        trajectory=row.trajectory,
        session=row.session,
        number=row.number,
        kind=row.kind,
        door=row.door,
        wire=row.wire,
        upstream=row.upstream,
        host=row.host,
        method=row.method,
        path=row.path,
        started_at=row.started_at,
        end=row.ending,
        status=row.status,
        error=row.error,
        first_byte_s=row.first_byte_s,
        total_s=row.total_s,
        request=request,
        reply=reply,
        client_reply=client_reply,
        request_bytes=row.request_bytes,
        reply_bytes=row.reply_bytes,
        digest=row.digest,
        streamed=row.streamed,
        model=row.model,
        tools=tools,
        answer=None if row.answer is None else _read_reply(row.answer),
        tool=None if row.tool is None else _read_tool(row.tool),
        verdicts=() if row.verdicts is None else _read_verdicts(row.verdicts),
        headers=() if row.headers is None else _read_headers(row.headers),
        task=row.task,
        agent=row.agent,
        matched_by=row.matched_by,
        extra={} if row.extra is None else _read_extra(row.extra),
    )
