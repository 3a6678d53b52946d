"""A simulator declared in a small file: tables, and for each tool what it does with one of them.

    tables:
      orders: {file: orders.json, key: id}
    tools:
      get_order:    {do: read, table: orders, key: $id, missing: "no order {id}"}
      find_orders:  {do: filter, table: orders, where: {customer: $customer}, fields: [id, status], limit: 20}
      cancel_order: {do: update, table: orders, key: $id, when: {status: [open, paid]}, set: {status: cancelled},
                     missing: "no order {id}", refused: "order {id} cannot be cancelled any more"}
      add_order:    {do: insert, table: orders, key: "order-{number}", set: {customer: $customer, status: open}}
      drop_order:   {do: delete, table: orders, key: $id}

`$name` is the argument of that name as it was given, in texts `{name}`; `{number}` counts a run's inserts from 1.
A `where` or `when` field may be a list: one of these. A filter on an argument that the call leaves out does not apply;
any other argument that a tool names and a call leaves out is an error of the tool. JSON is YAML too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, model_validator

from replay.world.rows import Row, RowStore, Tables, freeze, read_table, thaw
from replay.world.simulator import SimulatorSnapshot, Start, ToolError, UnknownToolError, file_digest
from trajectory.errors import OperatorError
from trajectory.runs import Frozen, ToolKind

_NAMED = re.compile(r"\{(\w+)\}")
_ABSENT = object()


class TableSpec(Frozen):
    """`file` is relative to the folder of the declaration; `key` names the key field of an array of rows."""

    file: str
    key: str | None = None


class Read(Frozen):
    """The row with this key."""

    do: Literal["read"]
    table: str
    key: str
    fields: tuple[str, ...] | None = None
    missing: str = "not found"


class Filter(Frozen):
    """All rows whose fields equal `where`, in the order of the table."""

    do: Literal["filter"]
    table: str
    where: dict[str, Any] = Field(default_factory=dict)
    fields: tuple[str, ...] | None = None
    limit: Annotated[int, Field(gt=0)] | None = None


class Insert(Frozen):
    """A new row; `exists` is the error if there is one of this key."""

    do: Literal["insert"]
    table: str
    key: str
    set: dict[str, Any]
    exists: str = "exists already"


class Update(Frozen):
    """Set fields of a row; `refused` is the error if the row is not as `when` says. The result is the changed row."""

    do: Literal["update"]
    table: str
    key: str
    set: dict[str, Any]
    when: dict[str, Any] = Field(default_factory=dict)
    fields: tuple[str, ...] | None = None
    missing: str = "not found"
    refused: str = "not possible in this state"


class Delete(Frozen):
    """Remove a row; the result is the row as it was."""

    do: Literal["delete"]
    table: str
    key: str
    when: dict[str, Any] = Field(default_factory=dict)
    missing: str = "not found"
    refused: str = "not possible in this state"


Action = Annotated[Read | Filter | Insert | Update | Delete, Field(discriminator="do")]


class TableFile(Frozen):
    tables: dict[str, TableSpec]
    tools: dict[str, Action]

    @model_validator(mode="after")
    def _tables_are_declared(self) -> TableFile:
        unknown = sorted({one.table for one in self.tools.values()} - set(self.tables))
        if unknown:
            raise ValueError(f"tools use tables that are not declared: {', '.join(unknown)}")
        return self


def table_file_kinds(file: Path) -> dict[str, ToolKind]:
    """Which of its tools read and which write. OperatorError as below."""
    return {
        tool: "read" if action.do in ("read", "filter") else "write" for tool, action in _declared(file).tools.items()
    }


def load_table_file(file: Path) -> SimulatorSnapshot:
    """OperatorError if the file, or a table that it names, cannot be used."""
    declared = _declared(file)
    try:
        tables = {name: read_table(file.parent / one.file, one.key) for name, one in declared.tables.items()}
    except (OSError, ValueError, KeyError) as error:
        raise _unusable(file, error) from error
    content = hashlib.blake2b(declared.model_dump_json().encode(), digest_size=16)
    for name, one in sorted(declared.tables.items()):
        content.update(f"{name}\0{file_digest(file.parent / one.file)}\0".encode())

    def make(start: Start) -> DeclaredTables:
        return DeclaredTables(declared.tools, start.data)

    return SimulatorSnapshot(make, Start(0, data=tables), content.hexdigest())


def _declared(file: Path) -> TableFile:
    try:
        return TableFile.model_validate(yaml.safe_load(file.read_text("utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _unusable(file, error) from error


def _unusable(file: Path, error: Exception) -> OperatorError:
    return OperatorError(f"world {file}: {error}", hint="see replay/world/table_file.py for the shape")


class DeclaredTables:
    """The simulator of such a file. Errors are results of the shape {"error": text}."""

    def __init__(self, tools: Mapping[str, Action], tables: Tables) -> None:
        self._tools = tools
        self.state = RowStore(tables)
        self._inserted = 0

    def call(self, tool: str, arguments: dict[str, Any]) -> object:
        action = self._tools.get(tool)
        if action is None:
            raise UnknownToolError(f"it has {', '.join(sorted(self._tools))}")
        if isinstance(action, Filter):
            return self._filter(action, arguments)
        if isinstance(action, Insert):
            return self._insert(action, arguments)
        key, row = self._row(action, arguments)
        if isinstance(action, Read):
            return _shown(row, action.fields)
        if not _matches(row, _where(action.when, arguments)):
            raise _tool_error(action.refused, arguments)
        if isinstance(action, Delete):
            before = thaw(row)
            self.state.delete(action.table, key)
            return before
        changed = {name: _value(value, arguments) for name, value in action.set.items()}
        own = self.state.edit(action.table, key)
        own.update(changed)
        return _shown(own, action.fields)

    def _row(self, action: Read | Update | Delete, arguments: Mapping[str, Any]) -> tuple[str, Row]:
        key = str(_value(action.key, arguments))
        row = self.state.get(action.table, key)
        if row is None:
            raise _tool_error(action.missing, arguments)
        return key, row

    def _filter(self, action: Filter, arguments: Mapping[str, Any]) -> list[Row]:
        where = _where(action.where, arguments, leave_out=True)
        found = (row for _, row in self.state.rows(action.table) if _matches(row, where))
        return [_shown(row, action.fields) for row, _ in zip(found, range(action.limit or 1 << 62), strict=False)]

    def _insert(self, action: Insert, arguments: Mapping[str, Any]) -> Row:
        named = {**arguments, "number": self._inserted + 1}
        key = str(_value(action.key, named))
        if self.state.get(action.table, key) is not None:
            raise _tool_error(action.exists, named)
        row = {name: _value(value, named) for name, value in action.set.items()}
        self._inserted += 1
        return self.state.put(action.table, key, row)


def _value(value: Any, arguments: Mapping[str, Any]) -> Any:
    """A declared value with the arguments put in; ToolError if one of them is not there."""
    if not isinstance(value, str):
        return value
    if value.startswith("$"):
        if value[1:] not in arguments:
            raise ToolError(_missing_argument(value[1:]))
        return arguments[value[1:]]
    return _filled(value, arguments)


def _filled(text: str, arguments: Mapping[str, Any]) -> str:
    def fill(match: re.Match[str]) -> str:
        if match[1] not in arguments:
            raise ToolError(_missing_argument(match[1]))
        return str(arguments[match[1]])

    return _NAMED.sub(fill, text)


def _where(where: Mapping[str, Any], arguments: Mapping[str, Any], *, leave_out: bool = False) -> dict[str, Any]:
    def is_left_out(value: Any) -> bool:
        return leave_out and isinstance(value, str) and value.startswith("$") and value[1:] not in arguments

    return {name: _value(value, arguments) for name, value in where.items() if not is_left_out(value)}


def _matches(row: Row, where: Mapping[str, Any]) -> bool:
    for name, wanted in where.items():
        found = row.get(name, _ABSENT)
        if isinstance(wanted, list) and not isinstance(found, tuple | list):
            if found not in wanted:
                return False
        elif freeze(wanted) != freeze(found):
            return False
    return True


def _shown(row: Row, fields: tuple[str, ...] | None) -> Row:
    """A copy: what a later call changes must not change a result that was given."""
    whole: dict[str, Any] = thaw(row)
    return whole if fields is None else {name: whole[name] for name in fields if name in whole}


def _tool_error(text: str, arguments: Mapping[str, Any]) -> ToolError:
    return ToolError(_error(_filled(text, arguments)))


def _missing_argument(name: str) -> str:
    return _error(f"the argument {name} is missing")


def _error(text: str) -> str:
    return json.dumps({"error": text})
