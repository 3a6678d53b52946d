"""Alembic's entry: runs the revisions on the connection, and in the transaction, of trajectory.sql.opening."""

from __future__ import annotations

from alembic import context

from trajectory.sql.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
