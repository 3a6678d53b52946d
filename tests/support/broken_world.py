"""A simulator that cannot answer anything."""

from __future__ import annotations

from replay.world.simulator import Start


class Broken:
    def __init__(self, start: Start) -> None:
        self.task = start.task

    def call(self, tool: str, arguments: dict[str, object]) -> object:
        raise RuntimeError("the world has a defect")
