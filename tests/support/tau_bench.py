"""Recorded tau-bench runs, and how well a world reproduces what the real tools said in them."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from replay.matching import canonical_arguments
from replay.world.contract import World
from replay.world.kinds import ToolKinds
from replay.world.simulator import SimulatedWorld, SimulatorSnapshot
from replay.world.tables import TableSimulator
from replay.world.tape import Recording, Tape
from trajectory.runs import ToolKind

KINDS = ToolKinds({"calculate": "pure", "think": "pure"})
"""The rest is told from the names: get_, search_, list_, find_ read, all others write."""


@dataclass(frozen=True, slots=True)
class RecordedRun:
    task: int
    trial: int
    recordings: tuple[Recording, ...]


@dataclass
class Reproduced:
    """Calls by kind: asked, served (not missing), equal (as recorded), warned of (possibly stale), and both."""

    asked: Counter[ToolKind] = field(default_factory=Counter)
    served: Counter[ToolKind] = field(default_factory=Counter)
    equal: Counter[ToolKind] = field(default_factory=Counter)
    stale: Counter[ToolKind] = field(default_factory=Counter)
    stale_equal: Counter[ToolKind] = field(default_factory=Counter)
    fidelity: Counter[str] = field(default_factory=Counter)
    exact: int = 0
    """Calls that a recording has with the same raw text, where the world is a tape."""
    plain_equal: int = 0
    """Calls whose first recording on the tape, whatever was written before it, has the same result."""
    runs: int = 0
    runs_served: int = 0
    differing: list[tuple[Recording, str]] = field(default_factory=list)

    def share(self, what: Counter[ToolKind], *kinds: ToolKind, of: Counter[ToolKind] | None = None) -> float:
        """Of the calls of these kinds (of all if none is named); NaN where there is none."""
        below = self.asked if of is None else of
        chosen = kinds or ("read", "write", "pure")
        total = sum(below[kind] for kind in chosen)
        return sum(what[kind] for kind in chosen) / total if total else float("nan")


def recorded_runs(file: Path) -> list[RecordedRun]:
    """Crashed runs, which have no messages, are left out."""
    runs = json.loads(gzip.decompress(file.read_bytes()))
    return [RecordedRun(run["task_id"], run["trial"], tuple(_recordings(run["traj"]))) for run in runs if run["traj"]]


def _recordings(messages: Iterable[dict[str, Any]]) -> Iterable[Recording]:
    calls: dict[str, dict[str, str]] = {}
    for message in messages:
        for call in message.get("tool_calls") or ():
            calls[call["id"]] = call["function"]
        if message["role"] == "tool":
            call = calls[message["tool_call_id"]]
            yield Recording(call["name"], call["arguments"], message["content"])


def same_result(one: str, other: str) -> bool:
    """Equal as JSON values where both are JSON, else as texts."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return one == other


async def reproduce(run: RecordedRun, world: World, into: Reproduced) -> None:
    """Ask `world` for the run's own calls, in order."""
    missed = False
    for one in run.recordings:
        kind = KINDS.of(one.tool)
        answer = await world.answer(one.tool, one.arguments)
        into.asked[kind] += 1
        into.fidelity[answer.served.fidelity] += 1
        missed = missed or answer.is_missing
        if answer.is_missing:
            continue
        is_equal = same_result(answer.text, one.text)
        into.served[kind] += 1
        into.equal[kind] += is_equal
        into.stale[kind] += answer.served.may_be_stale
        into.stale_equal[kind] += answer.served.may_be_stale and is_equal
        if not is_equal:
            into.differing.append((one, answer.text))
    await world.close()
    into.runs += 1
    into.runs_served += not missed


def ask_plainly(run: RecordedRun, tape: Tape, into: Reproduced) -> None:
    """What a tape that does not look at writes would have served."""
    texts: dict[tuple[str, str], str] = {}
    exact = set()
    for one in (one for recorded in tape.runs for one in recorded):
        texts.setdefault((one.tool, canonical_arguments(one.arguments) or one.arguments), one.text)
        exact.add((one.tool, one.arguments))
    for one in run.recordings:
        text = texts.get((one.tool, canonical_arguments(one.arguments) or one.arguments))
        into.plain_equal += text is not None and same_result(text, one.text)
        into.exact += (one.tool, one.arguments) in exact


async def final_states_agree(runs: Sequence[dict[str, Any]], snapshot: SimulatorSnapshot) -> tuple[int, int]:
    """In how many runs the simulated final state equals the reference's exactly where the benchmark says that the real
    one did; and of how many it says so.
    """
    agreed = known = 0
    for run in runs:
        recorded = ((run["info"].get("reward_info") or {}).get("info") or {}).get("r_actions")
        if recorded is None:
            continue
        actions = [(one["name"], json.dumps(one["kwargs"])) for one in run["info"]["task"]["actions"]]
        made = [(one.tool, one.arguments) for one in _recordings(run["traj"])]
        states = [await _state_after(calls, snapshot) for calls in (made, actions)]
        agreed += (states[0] == states[1]) == bool(recorded)
        known += 1
    return agreed, known


async def _state_after(calls: Iterable[tuple[str, str]], snapshot: SimulatorSnapshot) -> object:
    simulator = snapshot.make(replace(snapshot.start_from, seed=0))
    assert isinstance(simulator, TableSimulator)
    world = SimulatedWorld(simulator, KINDS)
    for tool, arguments in calls:
        await world.answer(tool, arguments)
    return simulator.state.changes()


def others(runs: Sequence[RecordedRun], run: RecordedRun) -> list[RecordedRun]:
    """The other trials of the same task."""
    return [one for one in runs if one.task == run.task and one.trial != run.trial]
