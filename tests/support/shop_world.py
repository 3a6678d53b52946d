"""A simulator in Python, as a user would write one: an order desk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from replay.world.rows import Row
from replay.world.simulator import ToolError
from replay.world.tables import TableSimulator, tool


class Shop(TableSimulator):
    files: ClassVar[Mapping[str, str]] = {"orders": "orders.json"}

    @tool
    def get_order(self, id: str) -> Row:  # noqa: A002 (the tool's own word)
        return self.row("orders", id, f"no order {id}")

    @tool
    def cancel_order(self, id: str) -> Row:  # noqa: A002
        if self.row("orders", id, f"no order {id}")["status"] == "cancelled":
            raise ToolError("cancelled already")
        changed = self.state.edit("orders", id)
        changed["status"] = "cancelled"
        return changed

    @tool
    def draw_number(self) -> int:
        return self.random.randrange(1_000_000)

    @tool
    def spoil(self) -> str:
        """A defect: it changes what belongs to all runs."""
        self.state.get("orders", "7")["status"] = "spoiled"  # type: ignore[index]
        return "done"

    def not_a_tool(self) -> str:
        return "secret"
