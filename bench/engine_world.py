"""The one tool of bench/engine.py, as a simulator: `lookup` says back its key."""

from __future__ import annotations

from typing import Any

from replay.world.simulator import Start


class Lookup:
    def __init__(self, start: Start) -> None:
        pass

    def call(self, tool: str, arguments: dict[str, Any]) -> object:
        return {"key": arguments["key"], "value": "a result of some forty characters of text"}
