"""Recorded tau-bench runs as paths, with the benchmark's reference actions: airline, and the agents on retail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from scoring.paths import Call, Path
from tests.support.scored_datasets import RETAIL, read_json
from tests.support.shared import shared_path
from trajectory.runs import ToolKind

AIRLINE_KINDS: Mapping[str, ToolKind] = {
    "get_reservation_details": "read",
    "get_user_details": "read",
    "list_all_airports": "read",
    "search_direct_flight": "read",
    "search_onestop_flight": "read",
    "calculate": "pure",
    "think": "pure",
    "book_reservation": "write",
    "cancel_reservation": "write",
    "send_certificate": "write",
    "transfer_to_human_agents": "write",
    "update_reservation_baggages": "write",
    "update_reservation_flights": "write",
    "update_reservation_passengers": "write",
}


@dataclass(frozen=True, slots=True)
class TauRun:
    task: str
    trial: int
    passed: bool
    path: Path
    reference: Path


@cache
def airline_paths() -> tuple[TauRun, ...]:
    file = shared_path("data", "tau-bench", "historical_trajectories", "gpt-4o-airline.json.gz")
    return tuple(_read(row) for row in read_json(file))


@cache
def retail_paths(variant: str) -> tuple[TauRun, ...]:
    return tuple(_read(row) for row in read_json(shared_path("data", "tau-bench-retail-variants") / RETAIL[variant]))


def _read(row: dict[str, Any]) -> TauRun:
    """A tool failed where its message begins with "Error": so the data set's README."""
    calls: dict[str, dict[str, str]] = {}
    made: list[Call] = []
    said = None
    for message in row["traj"]:
        calls |= {call["id"]: call["function"] for call in message.get("tool_calls") or ()}
        if message["role"] == "tool":
            call = calls[message["tool_call_id"]]
            made.append(Call(call["name"], call["arguments"], message["content"].startswith("Error")))
        elif message["role"] == "assistant" and message.get("content"):
            said = message["content"]
    reference = [Call(one["name"], json.dumps(one["kwargs"])) for one in row["info"]["task"]["actions"]]
    passed = abs(row["reward"] - 1) <= 1e-6
    return TauRun(str(row["task_id"]), row["trial"], passed, Path(tuple(made), said), Path(tuple(reference)))
