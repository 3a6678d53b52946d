"""Tool results that a model makes up: a fidelity of its own, "written", which counts as nothing else.

The model is shown the tool's definition, what was recorded of the task, and what it has made up in this run, so that
its answers hang together. Whether they are true nobody knows: a run with them says how a candidate goes on, not how
production would have.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from proxy.wire.choose import WIRES
from proxy.wire.layout import read_layout
from replay.fingerprint import digest_of
from replay.house import House
from replay.swap.dialects import DIALECTS
from replay.task import Task
from replay.world.contract import Answer, World, answered, missing
from replay.world.tape import Tape
from trajectory.clock import SYSTEM_CLOCK, system_entropy
from trajectory.errors import CageError, FormatError
from trajectory.ids import new_id

_WIRE = "openai.chat"
_MOST_RECORDED = 40
_INSTRUCTION = (
    "You stand in for the tools of an agent in a replay. Given a tool's definition, recorded results, and the "
    "calls of this run so far, write the result of the next call exactly as the tool would return it: same format, "
    "consistent with all that was returned before. A call that the tool would refuse gets the tool's error. Write the "
    "result alone, without explanation and without a code fence."
)


@dataclass(frozen=True)
class WrittenSnapshot:
    """`model` is asked at `upstream`, which speaks chat completions."""

    house: House
    upstream: str
    model: str
    task: Task
    tape: Tape

    @property
    def digest(self) -> str:
        return digest_of(["written", _INSTRUCTION, self.upstream, self.model, self.tape.digest])

    async def start(self, seed: int) -> World:
        session = new_id(SYSTEM_CLOCK.now_s(), system_entropy(7))
        self.house.open_session(session, None, task=self.task.id, seed=seed, budget_spent=lambda *_: None)
        return WrittenWorld(self, session, seed)

    @cached_property
    def tools(self) -> dict[str, dict[str, str]]:
        """The task's own tools, and without definition those that its recording called."""
        known: dict[str, dict[str, str]] = {one.tool: {} for one in self.tape.recordings}
        if self.task.request is None:
            return known
        wire = WIRES[self.task.wire]
        try:
            asked = wire.read_request(read_layout(self.task.request.encode(), wire.list_key), self.task.path)
        except FormatError:
            return known
        return known | {one.name: {"description": one.description, "parameters": one.schema} for one in asked.tools}


class WrittenWorld:
    def __init__(self, snapshot: WrittenSnapshot, session: str, seed: int) -> None:
        self._from, self._session, self._seed = snapshot, session, seed
        self._so_far: list[dict[str, str]] = []

    async def answer(self, tool: str, arguments: str) -> Answer:
        if tool not in self._from.tools:
            known = ", ".join(self._from.tools) or "none"
            return missing(tool, arguments, f"the task has no tool {tool} that could be stood in for: it has {known}")
        text = await self._write(tool, arguments)
        self._so_far.append({"tool": tool, "arguments": arguments, "result": text})
        return answered(tool, arguments, text, "written", note=f"made up by {self._from.model}")

    def witness(self, tool: str, arguments: str) -> None:
        self._so_far.append({"tool": tool, "arguments": arguments, "result": "(not known here)"})

    async def close(self) -> tuple[str, ...]:
        await self._from.house.close_session(self._session)
        return ()

    async def _write(self, tool: str, arguments: str) -> str:
        """CageError where the model cannot be asked: that is no result, and no fault of the candidate's."""
        recorded = [
            {"tool": one.tool, "arguments": one.arguments, "result": one.text}
            for one in self._from.tape.recordings[:_MOST_RECORDED]
        ]
        shown = {
            "definition": self._from.tools[tool],
            "recorded": recorded,
            "this run so far": self._so_far,
            "next call": {"tool": tool, "arguments": arguments},
        }
        messages = [
            {"role": "system", "content": _INSTRUCTION},
            {"role": "user", "content": json.dumps(shown, ensure_ascii=False)},
        ]
        body = {"model": self._from.model, "messages": messages, "temperature": 0, "seed": self._seed}
        house, upstream = self._from.house, self._from.upstream
        path = DIALECTS[_WIRE].path(house.base_path(upstream), self._from.model)
        status, reply = await house.ask(self._session, upstream, path, json.dumps(body).encode())
        if status >= 400:
            raise CageError(f"{self._from.model} wrote no result: HTTP {status}: {_shown(reply)}")
        try:
            said: Any = json.loads(reply)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError):
            said = None
        if not isinstance(said, str):
            raise CageError(f"{self._from.model} wrote no result: {_shown(reply)}")
        return said


def _shown(reply: bytes) -> str:
    return reply[:300].decode("utf-8", "replace")
