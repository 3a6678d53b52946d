"""What goes to the log of a proxy that serves: never a word of what its clients said."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from ironcage.logs import QuotesNothing, is_worth_a_line
from tests.support.driving import completion
from tests.support.gateway import serve
from tests.support.scripted import Scripted, answering, whole
from trajectory.errors import StoreError
from trajectory.sql.engine import engine_for

SECRET = "zq9-never-to-be-logged"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(QuotesNothing("%(name)s: %(message)s"))
    handler.addFilter(is_worth_a_line)
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def fails(secret: str) -> None:
    known: dict[str, str] = {}
    try:
        known[secret]
    except KeyError as e:
        raise ValueError(f"cannot read {secret!r}") from e


def test_of_an_exception_its_class_and_place_are_told_and_not_its_text(lines: io.StringIO) -> None:
    try:
        fails(SECRET)
    except ValueError:
        logging.getLogger("proxy.x").exception("an exchange broke")
    told = lines.getvalue()
    assert SECRET not in told and "proxy.x: an exchange broke" in told
    assert "KeyError" in told and "and then" in told and "ValueError" in told and "in fails" in told


def test_what_an_operator_must_know_is_told(lines: io.StringIO) -> None:
    error = StoreError("the disk is full")
    logging.getLogger("proxy.x").error("not recorded", exc_info=error)
    assert "StoreError: the disk is full" in lines.getvalue()


def test_an_error_of_the_store_does_not_hold_what_was_to_be_stored() -> None:
    with (
        engine_for("sqlite://", "normal").connect() as connection,
        pytest.raises(SQLAlchemyError) as caught,
    ):
        connection.execute(text("insert into nowhere values (:said)"), {"said": SECRET})
    assert SECRET not in str(caught.value)


async def test_a_request_that_is_no_http_leaves_no_line(tmp_path: Path, lines: io.StringIO) -> None:
    async with (
        Scripted(answering(whole(completion()))) as model,
        serve(tmp_path, upstreams={"m": {"base_url": model.origin}}) as served,
    ):
        place = urlsplit(served.url("m"))
        for broken in (f"Authorization: Bearer {SECRET}\0", f"Content-Length: 1\r\nContent-Length: {SECRET}"):
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            writer.write(f"POST /m/v1/chat/completions HTTP/1.1\r\nHost: x\r\n{broken}\r\n\r\n".encode())
            assert b" 400 " in await reader.readline()
            writer.close()
    assert lines.getvalue() == "" and model.seen == []
