"""The first tables. Written out, not taken from schema.py: a revision never changes once it is released."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = ("runs", "bakeoffs", "tasks", "upkeep", "span_uses", "spans", "attempts", "trajectories")


def upgrade() -> None:
    _create_trajectories()
    _create_attempts()
    _create_spans()
    _create_documents()


def downgrade() -> None:
    for name in _TABLES:
        op.drop_table(name)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _create_trajectories() -> None:
    op.create_table(
        "trajectories",
        sa.Column("id", sa.Text, primary_key=True),
        _text("session"),
        _text("task", null=True),
        _text("agent", null=True),
        _text("source"),
        sa.Column("started_at", sa.Double, nullable=False),
        _text("label", null=True),
        _text("label_evidence"),
        _text("launch", null=True),
    )
    op.create_index("ix_trajectories_started_at", "trajectories", ["started_at"])
    op.create_index("ix_trajectories_session", "trajectories", ["session"])
    op.create_index("ix_trajectories_task", "trajectories", ["task"])


def _create_attempts() -> None:
    home = sa.ForeignKey("trajectories.id", ondelete="CASCADE")
    op.create_table(
        "attempts",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("trajectory", sa.Text, home, nullable=False),
        _text("operation"),
        _text("session"),
        sa.Column("number", sa.Integer, nullable=False),
        *(_text(name) for name in ("kind", "door", "wire", "upstream", "host", "method", "path")),
        sa.Column("started_at", sa.Double, nullable=False),
        _text("ending"),
        sa.Column("status", sa.Integer),
        _text("error", null=True),
        sa.Column("first_byte_s", sa.Double),
        sa.Column("total_s", sa.Double, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("reply", sa.LargeBinary, nullable=False),
        sa.Column("client_reply", sa.LargeBinary),
        sa.Column("request_bytes", sa.BigInteger, nullable=False),
        sa.Column("reply_bytes", sa.BigInteger, nullable=False),
        _text("digest"),
        sa.Column("streamed", sa.Boolean, nullable=False),
        _text("model", null=True),
        sa.Column("tools", sa.LargeBinary),
        *(_text(name, null=True) for name in ("answer", "tool", "verdicts")),
        sa.Column("refusals", sa.Integer, nullable=False),
        *(_text(name, null=True) for name in ("headers", "task", "agent")),
        _text("matched_by"),
        _text("extra", null=True),
    )
    op.create_index("ix_attempts_trajectory", "attempts", ["trajectory", "started_at"])


def _create_spans() -> None:
    op.create_table(
        "spans",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("codec", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
    )
    home = sa.ForeignKey("trajectories.id", ondelete="CASCADE")
    op.create_table(
        "span_uses",
        sa.Column("trajectory", sa.Text, home, primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sqlite_with_rowid=False,
    )
    upkeep = op.create_table(
        "upkeep",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("deletions", sa.BigInteger, nullable=False),
    )
    op.execute(upkeep.insert().values(id=1, deletions=0))


def _create_documents() -> None:
    op.create_table("tasks", sa.Column("name", sa.Text, primary_key=True), _text("document"))
    op.create_table(
        "bakeoffs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.Double, nullable=False),
        _text("document"),
    )
    op.create_table(
        "runs",
        sa.Column("place", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        _text("bakeoff"),
        _text("document"),
    )
    op.create_index("ix_runs_bakeoff", "runs", ["bakeoff", "place"])
