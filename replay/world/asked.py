"""A world that has tools with a state of their own behind it, in Python or in another process, and asks them."""

from __future__ import annotations

import json
from typing import Any, Protocol

from replay.world.contract import Answer, ToolError, UnknownToolError, answered, missing
from replay.world.kinds import ToolKinds
from trajectory.runs import Fidelity


class Tools(Protocol):
    """The tools of one run."""

    async def call(self, tool: str, arguments: dict[str, Any]) -> str:
        """The result as the model is told it. Raises ToolError and UnknownToolError."""

    async def close(self) -> tuple[str, ...]:
        """As `World.close`."""


class AskedWorld:
    """`name` is what notes call the tools. Calls that other worlds answered are no part of their state: answers after a
    write among them say so.
    """

    def __init__(self, tools: Tools, fidelity: Fidelity, kinds: ToolKinds, name: str) -> None:
        self._tools, self._fidelity, self._kinds, self._name = tools, fidelity, kinds, name
        self._unseen: list[str] = []

    async def answer(self, tool: str, arguments: str) -> Answer:
        try:
            given = json.loads(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError) as error:
            return self._answer(tool, arguments, _error(f"the arguments are no JSON: {error}"), is_error=True)
        if not isinstance(given, dict):
            return self._answer(tool, arguments, _error("the arguments are no JSON object"), is_error=True)
        try:
            text = await self._tools.call(tool, given)
        except ToolError as error:
            return self._answer(tool, arguments, str(error), is_error=True)
        except UnknownToolError as error:
            return missing(tool, arguments, f"{self._name} has no tool {tool}: {error}")
        return self._answer(tool, arguments, text, is_error=False)

    def witness(self, tool: str, arguments: str) -> None:
        if self._kinds.of(tool) == "write":
            self._unseen.append(tool)

    async def close(self) -> tuple[str, ...]:
        return await self._tools.close()

    def _answer(self, tool: str, arguments: str, text: str, *, is_error: bool) -> Answer:
        note = ""
        if self._unseen:
            names = ", ".join(sorted(set(self._unseen)))
            note = f"state may have moved: writes answered outside {self._name}: {len(self._unseen)} ({names})"
        stale = bool(self._unseen)
        return answered(tool, arguments, text, self._fidelity, is_error=is_error, note=note, may_be_stale=stale)


def _error(what: str) -> str:
    return json.dumps({"error": what})
