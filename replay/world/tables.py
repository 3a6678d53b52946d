"""A ready simulator over JSON tables, to be subclassed in Python: methods are tools, their parameters the arguments.

    class Shop(TableSimulator):
        files = {"orders": "orders.json"}

        @tool
        def get_order(self, order_id: str) -> Row:
            return self.row("orders", order_id, "Error: order not found")

Declared as `my_shop:Shop?data=FOLDER`. Nothing is written to the files: a run changes its own view (`self.state`).
Writes check first and change afterwards; an error of a tool leaves the state as it was. For tools that only read,
filter, insert, set and delete, a file is enough: see replay/world/table_file.py.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from replay.world.rows import Row, RowStore, Tables, read_table
from replay.world.simulator import Start, ToolError, UnknownToolError


def tool[F: Callable[..., object]](method: F) -> F:
    """Mark a method of a TableSimulator as the tool of its name."""
    method.__is_tool__ = True  # type: ignore[attr-defined]
    return method


class TableSimulator:
    """`random` is seeded: whatever a subclass draws is the same for the same calls and seed."""

    files: ClassVar[Mapping[str, str]] = {}
    """Table name to file name in the folder that the option `data` names."""
    keys: ClassVar[Mapping[str, str]] = {}
    """Table name to the field that is its key, for tables that are arrays."""

    def __init__(self, start: Start) -> None:
        self.state = RowStore(start.data)
        self.random = random.Random(start.seed)  # noqa: S311 (a simulation that can be repeated)
        self.options = start.options

    @classmethod
    def load(cls, options: Mapping[str, str]) -> Tables:
        if "data" not in options:
            raise ValueError("the option data=FOLDER is missing")
        folder = Path(options["data"])
        return {table: read_table(folder / file, cls.keys.get(table)) for table, file in cls.files.items()}

    def call(self, tool: str, arguments: dict[str, Any]) -> object:
        method = getattr(self, tool, None) if tool.isidentifier() else None
        if not getattr(method, "__is_tool__", False) or method is None:
            names = sorted(name for name, one in inspect.getmembers(type(self)) if getattr(one, "__is_tool__", False))
            raise UnknownToolError(f"it has {', '.join(names) or 'none'}")
        try:
            bound = inspect.signature(method).bind(**arguments)
        except TypeError as error:
            raise ToolError(f"Error: {error}") from None
        return method(*bound.args, **bound.kwargs)

    def row(self, table: str, key: object, error: str) -> Row:
        """The row, or ToolError with the text `error`."""
        found = self.state.get(table, key) if isinstance(key, str) else None
        if found is None:
            raise ToolError(error)
        return found
