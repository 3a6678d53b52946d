"""Tables of JSON rows: loaded once and frozen, and for each run a view that keeps the run's own changes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

Row = Mapping[str, Any]
Tables = Mapping[str, Mapping[str, Row]]
"""Table name to key to row."""


def freeze(value: Any) -> Any:
    """The JSON value as one that cannot be changed: objects become read-only mappings, arrays tuples."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: freeze(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return tuple(freeze(inner) for inner in value)
    return value


def thaw(value: Any) -> Any:
    """A copy that may be changed."""
    if isinstance(value, Mapping):
        return {key: thaw(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [thaw(inner) for inner in value]
    return value


def read_table(file: Path, key: str | None = None) -> Mapping[str, Row]:
    """A JSON file (.json or .json.gz): an object of rows by key, or an array of rows that carry their key in `key`.

    The rows are frozen. OSError, or ValueError if it is no such table.
    """
    raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    content = json.loads(raw)
    if isinstance(content, list):
        if key is None:
            raise ValueError(f"{file.name} is an array of rows: it needs the name of the field that is their key")
        rows = {str(row[key]): row for row in content}
        if len(rows) < len(content):
            raise ValueError(f"{file.name} has rows with the same {key}")
        content = rows
    if not isinstance(content, dict) or not all(isinstance(row, dict) for row in content.values()):
        raise ValueError(f"{file.name} holds no rows: it must be an object of objects or an array of objects")
    frozen: Mapping[str, Row] = freeze(content)
    return frozen


class RowStore:
    """The state of one run: frozen rows below, its own rows above. Rows are changed through `edit` alone."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._own: dict[str, dict[str, dict[str, Any] | None]] = {name: {} for name in tables}

    def get(self, table: str, key: str) -> Row | None:
        if key in (own := self._own[table]):
            return own[key]
        return self._tables[table].get(key)

    def rows(self, table: str) -> Iterator[tuple[str, Row]]:
        """In the order of the file, then those that the run put in."""
        own = self._own[table]
        for key, row in self._tables[table].items():
            if key not in own:
                yield key, row
            elif (changed := own[key]) is not None:
                yield key, changed
        for key, added in own.items():
            if key not in self._tables[table] and added is not None:
                yield key, added

    def edit(self, table: str, key: str) -> dict[str, Any]:
        """The run's own copy of a row, to be changed in place. KeyError if there is no such row."""
        own = self._own[table]
        if key not in own:
            own[key] = thaw(self._tables[table][key])
        row = own[key]
        if row is None:
            raise KeyError(key)
        return row

    def put(self, table: str, key: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Insert or replace; the run's own copy."""
        own: dict[str, Any] = thaw(row)
        self._own[table][key] = own
        return own

    def delete(self, table: str, key: str) -> None:
        """KeyError if there is no such row."""
        if self.get(table, key) is None:
            raise KeyError(key)
        self._own[table][key] = None

    def changes(self) -> dict[str, dict[str, Any]]:
        """Rows that differ from the snapshot, by table and key; a deleted row is None."""
        return {
            table: {key: thaw(row) for key, row in own.items() if row != thaw(self._tables[table].get(key))}
            for table, own in self._own.items()
        }
