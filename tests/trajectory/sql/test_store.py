"""What only a database promises; the contract of all stores is in tests/trajectory/test_store.py."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from tests.support.attempts import TOOLS, body, model_attempt
from tests.support.scored_runs import run
from trajectory.errors import StoreError
from trajectory.record import Body, Span
from trajectory.sql.engine import engine_for
from trajectory.sql.opening import open_store
from trajectory.sql.spans import Known
from trajectory.sql.store import SqlStore


@pytest.fixture
def sql_store(database_url: str) -> Iterator[SqlStore]:
    store = open_store(database_url)
    yield store
    store.close()


def _ask(url: str, question: str) -> list[tuple[Any, ...]]:
    engine = engine_for(url, "normal")
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(text(question))]
    engine.dispose()
    return rows


def _conversation(turns: int, turn_bytes: int) -> Iterator[Body]:
    """Requests of an agent that sends the whole conversation again each turn. Incompressible, to count bytes."""
    messages: list[bytes] = []
    for _ in range(turns):
        messages.append(os.urandom(turn_bytes))
        yield tuple(Span.of(message) for message in messages)


def test_what_is_stored_per_turn_is_what_is_new(sql_store: SqlStore, database_url: str) -> None:
    """50 turns to 200 KB: 5 MB on the wire, 0.2 MB of spans and 16 bytes a span and turn in the store."""
    sent = 0
    for number, request in enumerate(_conversation(50, 4096)):
        sent += sum(len(span.data) for span in request)
        sql_store.append([model_attempt(number, request=request, reply=body(f"r{number}"))])
    assert sent > 5_000_000
    [(stored, count, tools)] = _ask(
        database_url,
        "SELECT SUM(LENGTH(data)), COUNT(*), (SELECT COUNT(DISTINCT tools) FROM attempts) FROM spans",
    )
    assert (count, tools) == (50 + 50 + 1, 1)
    assert 50 * 4096 <= stored < 50 * 4096 + 2_000
    [(lists,)] = _ask(database_url, "SELECT SUM(LENGTH(request)) FROM attempts")
    assert lists == 16 * 50 * 51 // 2


def test_a_resent_conversation_costs_no_write_of_spans(sql_store: SqlStore, database_url: str) -> None:
    request = body("system prompt " * 100, "question " * 100)
    sql_store.append([model_attempt(1, request=request)])
    before = _ask(database_url, "SELECT digest, uses FROM spans ORDER BY digest")
    sql_store.append([model_attempt(n, request=request, reply=model_attempt(1).reply) for n in range(2, 20)])
    assert _ask(database_url, "SELECT digest, uses FROM spans ORDER BY digest") == before


def test_spans_are_compressed_where_it_helps(sql_store: SqlStore, database_url: str) -> None:
    noise = os.urandom(3000)
    sql_store.append(
        [model_attempt(1, request=body("the same words again " * 500, noise, "short"), reply=(), tools=())]
    )
    kept = dict(_ask(database_url, "SELECT LENGTH(data), codec FROM spans"))
    assert kept[3000] == 0
    assert kept[5] == 0
    assert min(size for size, codec in kept.items() if codec == 1) < 100


def test_deleting_takes_exactly_the_spans_that_nothing_else_uses(sql_store: SqlStore, database_url: str) -> None:
    shared, own = body("both send this"), body("only the first sends this")
    sql_store.append([model_attempt(1, request=shared + own, reply=()), model_attempt(2, request=own, reply=())])
    sql_store.append([model_attempt(1, request=body("replaced"), reply=())])
    sql_store.append([model_attempt(3, request=shared, reply=(), trajectory="s-2", session="s-2")])
    sql_store.delete("s-1")
    left = {bytes(digest) for (digest,) in _ask(database_url, "SELECT digest FROM spans")}
    assert shared[0].digest in left
    assert len(left) == 2  # and the tool list
    assert next(iter(sql_store.attempts("s-2"))).tools == TOOLS
    sql_store.delete("s-2")
    for table in ("spans", "span_uses", "attempts", "trajectories"):
        assert _ask(database_url, f"SELECT COUNT(*) FROM {table}") == [(0,)]


def test_a_span_deleted_by_another_process_is_stored_again(sql_store: SqlStore, database_url: str) -> None:
    request = body("what this store believes to be kept " * 20)
    sql_store.append([model_attempt(1, request=request)])
    other = open_store(database_url)
    other.delete("s-1")
    other.close()
    sql_store.append([model_attempt(2, request=request), model_attempt(3, request=request, trajectory="s-3")])
    assert sql_store.body("a000002", "request") == request[0].data
    assert sql_store.body("a000003", "request") == request[0].data
    assert sql_store.trajectory("s-1").steps[0].tools == TOOLS


def test_two_stores_on_one_database_agree_on_what_is_in_use(sql_store: SqlStore, database_url: str) -> None:
    other = open_store(database_url)
    request = body("sent through two proxies")
    for number in range(6):
        store = (sql_store, other)[number % 2]
        home = f"s-{number // 2}"  # each trajectory goes through both
        store.append([model_attempt(number, request=request, trajectory=home, session=home)])
    [(uses,)] = _ask(database_url, f"SELECT uses FROM spans WHERE LENGTH(data) = {len(request[0].data)}")
    assert uses == 3
    for home in ("s-0", "s-1", "s-2"):
        other.delete(home)
    assert _ask(database_url, "SELECT COUNT(*) FROM spans") == [(0,)]
    other.close()


def test_a_batch_with_a_bad_attempt_leaves_nothing_behind(sql_store: SqlStore, database_url: str) -> None:
    bad = model_attempt(2, total_s=None)
    with pytest.raises(StoreError):
        sql_store.append([model_attempt(1), bad])
    for table in ("attempts", "spans", "trajectories"):
        assert _ask(database_url, f"SELECT COUNT(*) FROM {table}") == [(0,)]
    sql_store.append([model_attempt(1)])
    assert sql_store.body("a000001", "reply") == b'{"answer":1}'


def test_a_failed_batch_costs_a_store_in_memory_nothing_else() -> None:
    store = open_store("sqlite://")
    store.append([model_attempt(1)])
    with pytest.raises(StoreError):
        store.append([model_attempt(2, total_s=None)])
    assert store.body("a000001", "reply") == b'{"answer":1}'
    store.append([model_attempt(3)])
    assert store.find()[0].attempts == 2
    store.close()


def test_a_store_goes_on_after_the_database_dropped_its_connections(postgres_url: str) -> None:
    store = open_store(postgres_url)
    store.append([model_attempt(1)])
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    _ask(postgres_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    with pytest.raises(StoreError):
        store.append([model_attempt(2)])
    store.append([model_attempt(2)])
    assert store.find()[0].attempts == 2
    store.close()


def test_columns_hold_json_that_the_database_can_query(sql_store: SqlStore, database_url: str) -> None:
    sql_store.append([model_attempt(1)])
    [(answer, headers)] = _ask(database_url, "SELECT answer, headers FROM attempts")
    assert json.loads(answer)["calls"][0]["name"] == "look_up"
    assert json.loads(headers) == [["content-type", "application/json"]]


def test_any_bytes_in_any_spans_come_back_exactly_and_go_without_trace() -> None:
    store = open_store("sqlite://")

    @given(st.lists(st.binary(max_size=600) | st.text(alphabet="ab ", max_size=3000).map(str.encode), max_size=6))
    def holds(parts: list[bytes]) -> None:
        request, reply = body(*parts), body(*reversed(parts))
        written = model_attempt(1, request=request, reply=reply, client_reply=body(*parts[:1]))
        store.append([written])
        assert store.body("a000001", "request") == (b"".join(parts) if parts else None)
        assert list(store.attempts("s-1")) == [written]
        store.delete("s-1")

    holds()
    assert store.find() == []
    store.close()


def test_what_is_known_of_spans_is_bounded() -> None:
    known = Known(max_spans=10, max_uses=20)
    for number in range(100):
        known.note((f"t{number}", f"{number}-{n}".encode()) for n in range(4))
    assert sum(known.is_stored(f"{number}-{n}".encode()) for number in range(100) for n in range(4)) == 10
    assert sum(len(known.used_by(f"t{number}")) for number in range(100)) == 20
    assert known.used_by("t99") == {b"99-0", b"99-1", b"99-2", b"99-3"}


def test_of_a_run_that_has_ended_nothing_is_remembered_and_its_spans_stay_counted(
    sql_store: SqlStore, database_url: str
) -> None:
    for number, trajectory in enumerate(("over", "live")):
        sql_store.append([model_attempt(number, trajectory=trajectory)])
    sql_store.put_runs([run(trajectory="over")])
    known = sql_store._appender._known
    assert (known.used_by("over"), len(known.used_by("live")) > 2) == (set(), True)
    for number, trajectory in enumerate(("over", "live", "new"), start=2):
        sql_store.append([model_attempt(number, trajectory=trajectory)])
    assert {count for (count,) in _ask(database_url, "SELECT MAX(uses) FROM spans")} == {3}
    for trajectory in ("over", "live", "new"):
        sql_store.delete(trajectory)
    assert _ask(database_url, "SELECT COUNT(*) FROM spans") == [(0,)]


def test_a_database_that_another_process_holds_is_a_store_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trajectory.sql.engine._BUSY_TIMEOUT_MS", 1)
    path = tmp_path / "a.db"
    store = open_store(f"sqlite:///{path}")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked") as caught:
        store.append([model_attempt(1)])
    assert "another process" in caught.value.hint
    holder.execute("ROLLBACK")
    holder.close()
    store.append([model_attempt(1)])
    store.close()
