"""Opening a store: made if it is new, migrated if it is old, refused if it is newer than this program."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from trajectory.clock import SYSTEM_CLOCK, Clock
from trajectory.errors import StoreError
from trajectory.sql.engine import Durability, engine_for, writing
from trajectory.sql.faults import told
from trajectory.sql.schema import FIRST_ROWS, HEAD, VERSION_TABLE, metadata, version
from trajectory.sql.store import SqlStore

MIGRATIONS = Path(__file__).parent / "migrations"
# Any fixed number: all who migrate take this lock first.
_MIGRATION_LOCK = 0x1C_0000_0001


def open_store(url: str, *, durability: Durability = "normal", clock: Clock = SYSTEM_CLOCK) -> SqlStore:
    """`sqlite:///path`, `sqlite://` (in memory, gone when closed) or `postgresql://…`.

    OperatorError if the URL cannot be one of a store; StoreError if it cannot be reached, is broken, belongs
    to something else, or was written by a newer ironcage.
    """
    engine = engine_for(url, durability)
    try:
        with told("open", engine):
            migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return SqlStore(engine, clock=clock)


def migrate(engine: Engine) -> None:
    """Bring the tables to HEAD; nothing is written if they are there already."""
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    with writing(engine).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        found = _revision(connection)
        if found is None:
            create(connection)
        elif found != HEAD:  # nobody did it while we waited for the lock
            upgrade(connection, found)


def _revision(connection: Connection) -> str | None:
    """The store's revision, None for an empty database. StoreError for one that is somebody else's."""
    present = set(inspect(connection).get_table_names())
    if VERSION_TABLE in present:
        return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - constant
    taken = present & set(metadata.tables)
    if taken:
        raise StoreError(
            f"the database holds tables of something else: {', '.join(sorted(taken))}",
            hint="give ironcage a database of its own",
        )
    return None


def create(connection: Connection) -> None:
    """All tables at once, in an empty database: what `upgrade` leads to step by step, without loading Alembic."""
    metadata.create_all(connection, checkfirst=False)
    for table, row in FIRST_ROWS:
        connection.execute(table.insert().values(row))
    version.create(connection)
    connection.execute(version.insert().values(version_num=HEAD))


def upgrade(connection: Connection, found: str | None) -> None:
    """From revision `found` (None: an empty database) to HEAD. StoreError if this program does not know `found`."""
    # Imported here: Alembic costs more than the rest of opening, and is needed a few times in a store's life.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreError(
            f"the store has revision {found}, this program knows up to {HEAD}",
            hint="install the newer ironcage that wrote it, or name another store",
        )
    command.upgrade(config, "head")
