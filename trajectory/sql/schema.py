"""The tables. A new store gets exactly these, and migrations lead an old one to them; a test compares the two.

Text is valid UTF-8 without NUL, JSON columns hold what msgspec wrote, times are Unix seconds or seconds.
Bodies stand in `spans`, each distinct span once; an attempt's side is its spans' 16-byte digests in one blob.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

HEAD = "0001"
"""Revision that this program reads and writes (the newest in migrations/versions)."""
VERSION_TABLE = "ironcage_version"
DIGEST_BYTES = 16

metadata = MetaData()
_LARGE_SERIAL = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER aliases SQLite's rowid

trajectories = Table(
    "trajectories",
    metadata,
    Column("id", Text, primary_key=True),
    Column("session", Text, nullable=False),
    Column("task", Text),
    Column("agent", Text),
    Column("source", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("label", Text),
    Column("label_evidence", Text, nullable=False),
    Column("launch", Text),
    Index("ix_trajectories_started_at", "started_at"),
    Index("ix_trajectories_session", "session"),
    Index("ix_trajectories_task", "task"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("trajectory", Text, ForeignKey("trajectories.id", ondelete="CASCADE"), nullable=False),
    Column("operation", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("door", Text, nullable=False),
    Column("wire", Text, nullable=False),
    Column("upstream", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ending", Text, nullable=False),
    Column("status", Integer),
    Column("error", Text),
    Column("first_byte_s", Double),
    Column("total_s", Double, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("reply", LargeBinary, nullable=False),
    Column("client_reply", LargeBinary),
    Column("request_bytes", BigInteger, nullable=False),
    Column("reply_bytes", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("model", Text),
    Column("tools", LargeBinary),
    Column("answer", Text),
    Column("tool", Text),
    Column("verdicts", Text),
    Column("refusals", Integer, nullable=False),
    Column("headers", Text),
    Column("task", Text),
    Column("agent", Text),
    Column("matched_by", Text, nullable=False),
    Column("extra", Text),
    Index("ix_attempts_trajectory", "trajectory", "started_at"),
)

spans = Table(
    "spans",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("codec", Integer, nullable=False),  # 0 raw, 1 zstd
    Column("data", LargeBinary, nullable=False),
    Column("uses", Integer, nullable=False),  # trajectories in span_uses; at 0 it goes
)

span_uses = Table(
    "span_uses",
    metadata,
    # Trajectory first: what one trajectory adds lands on one page.
    Column("trajectory", Text, ForeignKey("trajectories.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    sqlite_with_rowid=False,
)

upkeep = Table(
    "upkeep",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("deletions", BigInteger, nullable=False),  # tells other processes to forget which spans are stored
)

tasks = Table(
    "tasks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("document", Text, nullable=False),
)

bakeoffs = Table(
    "bakeoffs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("document", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("place", _LARGE_SERIAL, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("bakeoff", Text, nullable=False),
    Column("document", Text, nullable=False),
    Index("ix_runs_bakeoff", "bakeoff", "place"),
)

FIRST_ROWS = ((upkeep, {"id": 1, "deletions": 0}),)
"""What stands in the tables of a new store."""

version = Table(
    VERSION_TABLE,
    MetaData(),  # Alembic's own, which it makes and leaves out when it compares
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)
