from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect, text

from tests.support.attempts import model_attempt
from trajectory.errors import IroncageError, OperatorError, StoreError
from trajectory.sql.engine import engine_for, use_wal
from trajectory.sql.opening import MIGRATIONS, create, open_store, upgrade
from trajectory.sql.schema import HEAD, VERSION_TABLE, metadata

REPOSITORY = Path(__file__).resolve().parents[3]


def test_migrations_lead_to_the_schema(database_url: str) -> None:
    engine = engine_for(database_url, "normal")
    with engine.begin() as connection:
        upgrade(connection, None)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    engine.dispose()


def test_a_new_store_is_what_the_migrations_lead_to(database_url: str) -> None:
    engine = engine_for(database_url, "normal")
    held = []
    for make in (lambda connection: upgrade(connection, None), create):
        with engine.begin() as connection:
            make(connection)
            held.append(_held(connection))
            found = MetaData()
            found.reflect(connection)
            found.drop_all(connection)
    engine.dispose()
    assert held[0] == held[1]
    assert held[0].keys() == {*metadata.tables, VERSION_TABLE}
    assert held[0][VERSION_TABLE]["rows"] == [(HEAD,)]


def _held(connection: Connection) -> dict[str, dict[str, object]]:
    """Of each table, all that the database says of it, and its rows."""
    look = inspect(connection)
    return {
        name: {
            "columns": [{**column, "type": repr(column["type"])} for column in look.get_columns(name)],
            "keys": (look.get_pk_constraint(name), look.get_foreign_keys(name), look.get_unique_constraints(name)),
            "indexes": look.get_indexes(name),
            "options": look.get_table_options(name),
            "rows": [tuple(row) for row in connection.execute(text(f"SELECT * FROM {name}"))],
        }
        for name in look.get_table_names()
    }


def test_the_revision_that_the_program_knows_is_the_newest() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


def test_opening_twice_changes_nothing(database_url: str) -> None:
    first = open_store(database_url)
    first.append([model_attempt(1)])
    first.close()
    before = _file_bytes(database_url)
    second = open_store(database_url)
    assert [s.id for s in second.find()] == ["s-1"]
    second.close()
    assert _file_bytes(database_url) == before


def _file_bytes(url: str) -> bytes:
    return Path(url.removeprefix("sqlite:///")).read_bytes() if url.startswith("sqlite") else b""


def test_several_may_open_a_new_store_at_once(database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: open_store(database_url), range(4)))
    for number, store in enumerate(stores):
        store.append([model_attempt(number)])
    assert stores[0].find()[0].attempts == 4
    for store in stores:
        store.close()


def test_switching_to_a_log_waits_for_another_that_is_at_the_file(tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    holder.execute("CREATE TABLE t (x)")
    holder.execute("BEGIN")
    holder.execute("SELECT * FROM t").fetchall()

    class Watching(sqlite3.Cursor):
        """Lets the holder go at the moment at which SQLite would begin to wait for it."""

        def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
            if sql.startswith("BEGIN"):
                holder.execute("ROLLBACK")
            return super().execute(sql, *parameters)  # type: ignore[arg-type]

    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None, timeout=0)
    use_wal(connection.cursor(Watching))
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    holder.close()


def test_a_store_newer_than_the_program_is_refused(database_url: str) -> None:
    open_store(database_url).close()
    engine = engine_for(database_url, "normal")
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match="9999") as caught:
        open_store(database_url)
    assert "newer" in caught.value.hint


def test_a_database_of_something_else_is_left_alone(database_url: str) -> None:
    engine = engine_for(database_url, "normal")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE tasks (title TEXT)"))
    with pytest.raises(StoreError, match="tables of something else: tasks"):
        open_store(database_url)
    with engine.connect() as connection:
        assert not engine.dialect.has_table(connection, "attempts")
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("mysql://host/db", OperatorError),
        ("ironcage.db", OperatorError),
        ("", OperatorError),
        ("sqlite://ironcage.db", OperatorError),
        ("sqlite:////no/such/folder/a.db", StoreError),
        ("postgresql://postgres@127.0.0.1:1/none", StoreError),
    ],
)
def test_a_url_that_cannot_be_used_says_what_to_do(url: str, error: type[IroncageError]) -> None:
    with pytest.raises(error) as caught:
        open_store(url)
    assert caught.value.hint


def test_a_missing_postgresql_database_says_what_to_do(postgres: str) -> None:
    with pytest.raises(StoreError, match="does not exist") as caught:
        open_store(postgres.replace("/postgres?", "/nothing?"))
    assert "create the database" in caught.value.hint


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"my notes, not a database\n" * 100)
    with pytest.raises(StoreError, match="not a database") as caught:
        open_store(f"sqlite:///{path}")
    assert "backup" in caught.value.hint
    assert path.read_bytes() == b"my notes, not a database\n" * 100


def test_a_folder_in_place_of_the_file_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open"):
        open_store(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize(("durability", "expected"), [("normal", 1), ("strict", 2)])
def test_durability_sets_what_sqlite_syncs(tmp_path: Path, durability: str, expected: int) -> None:
    engine = engine_for(f"sqlite:///{tmp_path}/a.db", durability)  # type: ignore[arg-type]
    with engine.connect() as connection:
        settings = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("synchronous", "journal_mode", "foreign_keys", "busy_timeout")
        }
    engine.dispose()
    assert settings == {"synchronous": expected, "journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000}


@pytest.mark.parametrize(("durability", "expected"), [("normal", "off"), ("strict", "on")])
def test_durability_sets_what_postgresql_waits_for(postgres_url: str, durability: str, expected: str) -> None:
    engine = engine_for(postgres_url, durability)  # type: ignore[arg-type]
    with engine.connect() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar() == expected
    engine.dispose()


def test_opening_a_store_that_is_new_or_up_to_date_loads_neither_alembic_nor_the_other_dialect(tmp_path: Path) -> None:
    code = f"""
import sys
from trajectory.sql.opening import open_store
for _ in range(2):
    open_store("sqlite:///{tmp_path}/a.db").close()
print([name for name in ("alembic", "sqlalchemy.dialects.postgresql") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_store_in_memory_is_gone_when_closed() -> None:
    first = open_store("sqlite://")
    first.append([model_attempt(1)])
    second = open_store("sqlite://")
    assert second.find() == []
    first.close()
    second.close()


def test_a_damaged_file_is_a_store_error_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_store(f"sqlite:///{path}")
    store.append([model_attempt(n) for n in range(200)])
    store.close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE spans SET data = x'00', codec = 1")
    raw.close()
    store = open_store(f"sqlite:///{path}")
    with pytest.raises(StoreError):
        store.body("a000001", "reply")
    store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(bytes(content))
    with pytest.raises(StoreError) as caught:
        broken = open_store(f"sqlite:///{path}")
        try:
            broken.find()
        finally:
            broken.close()
    assert caught.value.hint
