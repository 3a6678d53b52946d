"""How much of recorded tool traffic each kind of world can answer, and how often its answer is the recorded one.

    bench/worlds.py [FOLDER]      the folder with tau-bench and tau-bench-retail-variants; ../shared/data if not given

Every run's own calls are put, in order, to a world that has not seen that run: a tape of one other trial, a tape pooled
over all other trials, and a simulator over the benchmark's tables. Columns, in percent:

    raw           calls whose text a recording has letter for letter
    served        calls that got an answer; reads+pure (calculate, think) and writes apart; runs: those served whole
    right         calls whose answer equals what the real tool said
    of served     the same share of those that got an answer
    plain tape    the same, had the first recording of a call been given whatever was written before
    warned        wrong answers that said that the state may have moved

Writes bench/out/worlds.json, with more shares than fit a line.

The simulators' rules were told from the same recordings, so their share is no estimate for unseen calls. What was not
used for that: whether a run's final state equals the reference's, which the benchmark recorded for most runs.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from replay.world.chain import Chain
from replay.world.simulator import SimulatorSnapshot, load_simulator
from replay.world.tape import Tape
from tests.support.tau_bench import (
    KINDS,
    RecordedRun,
    Reproduced,
    ask_plainly,
    final_states_agree,
    others,
    recorded_runs,
    reproduce,
)

HERE = Path(__file__).parent
AIRLINE = "tau-bench/historical_trajectories/gpt-4o-airline.json.gz"
RETAIL = "tau-bench-retail-variants"
PLAIN = f"{RETAIL}/tool-calling-none-0.1_range_0-100_user-none-llm_06232025.json.gz"
ADVISED = f"{RETAIL}/tool-calling-with-preconditions-none-0.1_range_0-100_user-none-llm_0626123715.json.gz"

Worlds = Mapping[str, Callable[[], Iterable[tuple[RecordedRun, Chain]]]]


@dataclass(frozen=True)
class Row:
    name: str
    value: float
    unit: str
    ratio: float | None = None
    """To the tape of one other trial."""


def main() -> None:
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parents[1] / "shared" / "data"
    if not data.is_dir():
        raise SystemExit(f"{data} is not there: name the folder that holds tau-bench")
    rows = asyncio.run(_measure(data))
    out = HERE / "out" / "worlds.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


async def _measure(data: Path) -> list[Row]:
    airline, plain, advised = (recorded_runs(data / file) for file in (AIRLINE, PLAIN, ADVISED))
    tables = data / "tau-bench" / "env_data"
    desk = load_simulator("examples.worlds.airline:Airline", {"data": str(tables / "airline"), "address": "province"})
    shop = load_simulator("examples.worlds.retail:Retail", {"data": str(tables / "retail")})
    rows: list[Row] = []
    print(f"{'set':<28}{'world':<21}" + "".join(f"{head:>{len(head) + 2}}" for head in _COLUMNS.values()))
    for name, worlds in (
        ("airline, same model", {
            "tape, 1 other trial": lambda: _one_other(airline),
            "tape, 3 other trials": lambda: ((run, _tape(others(airline, run))) for run in airline),
            "simulator": lambda: _simulated(airline, desk),
        }),
        ("retail, plain from advised", _retail(plain, advised, shop)),
        ("retail, advised from plain", _retail(advised, plain, shop)),
    ):  # fmt: skip
        rows += await _compare(name, worlds)
    for name, file, snapshot in (("airline", AIRLINE, desk), ("plain", PLAIN, shop), ("advised", ADVISED, shop)):
        agreed, known = await final_states_agree(json.loads(gzip.decompress((data / file).read_bytes())), snapshot)
        print(f"{name}: whether the final state is the reference's, as recorded: {agreed} of {known} runs agree")
        rows.append(Row(f"{name}, simulator: final state as recorded", agreed / known, f"share of {known} runs"))
    return rows


def _retail(runs: Sequence[RecordedRun], tapes: Sequence[RecordedRun], shop: SimulatorSnapshot) -> Worlds:
    by_task = {run.task: run for run in tapes}
    return {
        "tape, 1 other agent": lambda: ((run, _tape([by_task[run.task]])) for run in runs if run.task in by_task),
        "simulator": lambda: _simulated(runs, shop),
    }


def _one_other(runs: Sequence[RecordedRun]) -> Iterator[tuple[RecordedRun, Chain]]:
    """All ordered pairs of trials of a task."""
    for run in runs:
        for other in others(runs, run):
            yield run, _tape([other])


def _tape(runs: Sequence[RecordedRun]) -> Chain:
    first, *rest = [run.recordings for run in runs]
    return Chain((Tape(first, tuple(rest), KINDS),))


def _simulated(runs: Sequence[RecordedRun], snapshot: SimulatorSnapshot) -> Iterator[tuple[RecordedRun, Chain]]:
    return ((run, Chain((snapshot,))) for run in runs)


async def _compare(name: str, worlds: Worlds) -> list[Row]:
    rows: list[Row] = []
    first: dict[str, float] = {}
    for world, cases in worlds.items():
        told = Reproduced()
        for run, snapshot in cases():
            await reproduce(run, await snapshot.start(0), told)
            for link in snapshot.links:
                if isinstance(link, Tape):
                    ask_plainly(run, link, told)
        shares = _shares(told)
        hidden = frozenset() if world.startswith("tape") else _OF_TAPES
        cells = (
            f"{'-' if key in hidden else format(100 * shares[key], '.1f'):>{len(head) + 2}}"
            for key, head in _COLUMNS.items()
        )
        print(f"{name:<28}{world:<21}" + "".join(cells))
        for key, value in shares.items():
            if key in _OF_TAPES and not world.startswith("tape"):
                continue
            base = first.setdefault(key, value)
            rows.append(Row(f"{name}, {world}: {key}", value, "share", value / base if base else None))
    return rows


_COLUMNS = {
    "served by exact text": "raw",
    "served": "served",
    "reads and pure served": "reads+pure",
    "writes served": "writes",
    "reads right": "reads right",
    "writes right": "writes right",
    "right of served": "of served",
    "right of served by a tape that does not look at writes": "plain tape",
    "warned": "warned",
    "runs served whole": "runs",
}


_OF_TAPES = frozenset({"served by exact text", "right of served by a tape that does not look at writes", "warned"})


def _shares(told: Reproduced) -> dict[str, float]:
    wrong = told.served.total() - told.equal.total()
    warned = told.stale.total() - told.stale_equal.total()
    unwarned = told.served.total() - told.stale.total()
    return {
        "served": told.share(told.served),
        "served by exact text": told.exact / told.asked.total(),
        "reads and pure served": told.share(told.served, "read", "pure"),
        "reads served": told.share(told.served, "read"),
        "writes served": told.share(told.served, "write"),
        "right": told.share(told.equal),
        "reads right": told.share(told.equal, "read"),
        "writes right": told.share(told.equal, "write"),
        "pure right": told.share(told.equal, "pure"),
        "right of served": told.share(told.equal, of=told.served),
        "right of served by a tape that does not look at writes": told.plain_equal / told.served.total(),
        "right of served without warning": (told.equal.total() - told.stale_equal.total()) / unwarned,
        "warned": warned / wrong if wrong else 1.0,
        "served with warning": told.stale.total() / told.served.total(),
        "runs served whole": told.runs_served / told.runs,
    }


if __name__ == "__main__":
    main()
