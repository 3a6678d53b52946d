"""What answers the tool calls of one run, and what such an answer says of itself.

Rules that every implementation keeps (tests/replay/world/test_conformance.py runs on each):
1. A snapshot is declared once per bake-off and task. Each run starts a world of its own from it, and nothing that a
   run does reaches another run or the snapshot.
2. The same snapshot and seed answer the same calls with the same results.
3. Every answer says how it came about. What cannot be answered is an answer too, with fidelity "missing"; a tool's own
   error is a result like any other.
4. An exception is a defect of the world: the run becomes a harness error, never a score.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol

from trajectory.runs import Fidelity, Served


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` is what the model is told. `is_error` where the tool, real or simulated, said so itself."""

    text: str
    is_error: bool
    served: Served

    @property
    def is_missing(self) -> bool:
        return self.served.fidelity == "missing"


class World(Protocol):
    """What answers the tool calls of one run. Calls come one after the other."""

    async def answer(self, tool: str, arguments: str) -> Answer:
        """`arguments` is the raw text that the model wrote, which may be no JSON. A missing answer leaves the world as
        it was.
        """

    def witness(self, tool: str, arguments: str) -> None:
        """The run made this call, and another world or none answered it: what is known here may not hold after it."""

    async def close(self) -> tuple[str, ...]:
        """Give back what the run held; sentences for its certificate. Idempotent."""


class Snapshot(Protocol):
    """The declared state from which each run's world starts."""

    @property
    def digest(self) -> str:
        """Of all that its answers depend on, the seed apart; it goes into the fingerprint."""

    async def start(self, seed: int) -> World: ...


class ToolError(Exception):
    """The tool says that it could not do this. The text of the exception is the result that the model reads."""


class UnknownToolError(Exception):
    """There is no such tool here; the text names those that there are. The next world is asked."""


def answered(
    tool: str,
    arguments: str,
    text: str,
    fidelity: Fidelity,
    *,
    is_error: bool = False,
    note: str = "",
    may_be_stale: bool = False,
) -> Answer:
    served = Served(
        tool=tool, arguments=arguments, fidelity=fidelity, note=note, may_be_stale=may_be_stale, is_error=is_error
    )
    return Answer(text, is_error, served)


def missing(tool: str, arguments: str, note: str) -> Answer:
    """`note` may name what is recorded: it stays in the record. What the model reads must not teach it that."""
    text = json.dumps({"error": f"no result of {tool} is available for these arguments in this replay"})
    return answered(tool, arguments, text, "missing", is_error=True, note=note)


def shortened(arguments: str, length: int = 200) -> str:
    return arguments if len(arguments) <= length else arguments[: length - 1] + "…"
