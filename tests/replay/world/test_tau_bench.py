"""The example simulators against what the real tools said in recorded runs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from replay.world.chain import Chain
from replay.world.simulator import SimulatorSnapshot, load_simulator
from replay.world.tape import Tape
from tests.support.shared import shared_path
from tests.support.tau_bench import KINDS, Reproduced, ask_plainly, final_states_agree, others, recorded_runs, reproduce

AIRLINE = "gpt-4o-airline.json.gz"
PLAIN = "tool-calling-none-0.1_range_0-100_user-none-llm_06232025.json.gz"
ADVISED = "tool-calling-with-preconditions-none-0.1_range_0-100_user-none-llm_0626123715.json.gz"


def runs_file(name: str) -> Path:
    if name == AIRLINE:
        return shared_path("data", "tau-bench", "historical_trajectories", name)
    return shared_path("data", "tau-bench-retail-variants", name)


def simulator(name: str) -> SimulatorSnapshot:
    kind = "airline" if name == AIRLINE else "retail"
    options = {"data": str(shared_path("data", "tau-bench", "env_data", kind))}
    if kind == "airline":
        options["address"] = "province"
    return load_simulator(f"examples.worlds.{kind}:{kind.title()}", options)


@pytest.mark.parametrize(("name", "reads", "writes"), [(AIRLINE, 678, 298), (PLAIN, 570, 155), (ADVISED, 558, 146)])
async def test_simulator_gives_the_recorded_result_of_every_read_and_write(name: str, reads: int, writes: int) -> None:
    snapshot, told = simulator(name), Reproduced()
    for run in recorded_runs(runs_file(name)):
        await reproduce(run, await snapshot.start(0), told)
    assert (told.asked["read"], told.asked["write"]) == (reads, writes)
    assert told.share(told.equal, "read") == 1.0
    assert told.share(told.equal, "write") == 1.0
    assert told.fidelity == {"simulated": told.asked.total()}


@pytest.mark.parametrize(("name", "known"), [(AIRLINE, 182), (PLAIN, 65), (ADVISED, 65)])
async def test_simulated_final_state_is_the_reference_exactly_where_the_benchmark_says_so(
    name: str, known: int
) -> None:
    """The rules were told from recorded results; these verdicts, on states that no result shows, were not used."""
    runs = json.loads(gzip.decompress(runs_file(name).read_bytes()))
    assert await final_states_agree(runs, simulator(name)) == (known, known)


async def test_tape_alone_serves_what_the_baseline_says_and_warns_of_each_stale_result() -> None:
    """Three other trials; bench/worlds.py has the rest of the table."""
    runs, told = recorded_runs(runs_file(AIRLINE)), Reproduced()
    for run in runs:
        first, *rest = others(runs, run)
        tape = Tape(first.recordings, tuple(one.recordings for one in rest), KINDS)
        await reproduce(run, await Chain((tape,)).start(0), told)
        ask_plainly(run, tape, told)
    shares = told.exact / told.asked.total(), told.share(told.served), told.runs_served / told.runs
    assert shares == pytest.approx((0.629, 0.657, 0.290), abs=0.0005)
    assert told.served.total() > told.equal.total(), "some results are stale"
    assert told.served.total() - told.equal.total() == told.stale.total() - told.stale_equal.total()
