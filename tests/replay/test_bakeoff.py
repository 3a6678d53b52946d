from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from replay.task import CommandCheck, RecordedLabel
from tests.support.baking import GOOD, agent_task, bad, bake, by_candidate, good, loop_task, plan
from tests.support.processes import PYTHON
from tests.support.recordings import ScriptedHouse, record, said, user
from trajectory.errors import OperatorError
from trajectory.memory import MemoryStore
from trajectory.runs import Candidate, Limits

# --- the engine's own loop


async def test_closed_loop_runs_are_checked_certified_and_kept_with_their_fidelity() -> None:
    store = MemoryStore()
    house = ScriptedHouse(store, {"good-1": good, "bad-1": bad})
    house.enforced = Limits(egress_mb=5, max_retries=2)
    limits = Limits(memory_mb=100, cpu_s=5, wall_s=30, egress_mb=5, max_retries=2)
    bakeoff = await bake(plan(loop_task(store), limits=limits), house)
    runs = by_candidate(house)
    assert [one.passed for one in runs["good"].checks] == [True]
    assert [one.passed for one in runs["bad"].checks] == [False]
    assert [one.fidelity for one in runs["good"].served] == ["exact"]
    assert [one.fidelity for one in runs["bad"].served] == ["missing"]
    assert runs["good"].answer == "It is in transit."
    for run in runs.values():
        assert run.certificate.is_valid
        assert run.certificate.applied == Limits(wall_s=30, egress_mb=5, max_retries=2)
        assert (run.status, run.mode, run.fingerprint) == ("finished", "closed_loop", bakeoff.fingerprint)
        assert store.trajectory(run.trajectory).source == "replay"
    assert runs["good"].seed == runs["bad"].seed
    assert any("recorded results that no call asked for: 1 (look)" in note for note in runs["bad"].certificate.notes)


async def test_budget_that_the_proxy_says_is_spent_ends_the_loop_with_its_cause() -> None:
    store = MemoryStore()
    house = ScriptedHouse(store, {"good-1": good})
    house.held = asyncio.Event()
    await bake(plan(loop_task(store), candidates=(GOOD,)), house)
    certificate = by_candidate(house)["good"].certificate
    assert (certificate.kill_cause, certificate.kill_evidence) == ("egress_budget", "all of it is spent")


async def test_loop_is_ended_at_its_wall_time() -> None:
    store = MemoryStore()
    house = ScriptedHouse(store, {"good-1": good})
    house.held = asyncio.Event()
    house.open_session = _without_budget(house)  # type: ignore[method-assign]
    await bake(plan(loop_task(store), candidates=(GOOD,), limits=Limits(wall_s=0.05)), house)
    run = by_candidate(house)["good"]
    assert run.certificate.kill_cause == "wall_time"
    assert run.certificate.is_valid


def _without_budget(house: ScriptedHouse) -> Any:
    opened = house.open_session

    def open_session(session: str, candidate: Candidate, **rest: Any) -> None:
        opened(session, candidate, **{**rest, "budget_spent": lambda *_: None})

    return open_session


# --- agents in the cage


async def test_agent_runs_in_the_cage_with_the_house_s_environment_and_is_checked() -> None:
    program = "import os, sys; print('ada@example.org', os.environ['IRONCAGE_TASK']); sys.exit(4)"
    judge = (
        "import json, os, sys; run = json.load(open(os.environ['IRONCAGE_RUN_FILE']));"
        "assert 'ada@example.org' in run['stdout'] and run['exit_code'] == 4, run;"
        "print('for ada@example.org'); sys.exit(os.environ['IRONCAGE_CANDIDATE_MODEL'] != 'good-1')"
    )
    house = ScriptedHouse(MemoryStore())
    house.enforced = Limits(max_retries=3)
    limits = Limits(memory_mb=200, cpu_s=10, wall_s=20, max_retries=3)
    await bake(plan(agent_task(program, CommandCheck(command=(*PYTHON, judge))), limits=limits), house)
    runs = by_candidate(house)
    assert {name: run.checks[0].passed for name, run in runs.items()} == {"good": True, "bad": False}
    run = runs["good"]
    assert run.certificate.grade == "portable"
    assert run.certificate.applied == limits
    assert run.certificate.exit_code == 4
    assert run.answer == "done by good-1"
    assert "ada@" not in run.model_dump_json(), "what an agent prints is kept masked"
    recorded = house.store.trajectory(run.trajectory)
    assert recorded.launch is not None
    assert (recorded.launch.exit_code, recorded.source) == (4, "replay")


async def test_limit_that_nobody_enforced_makes_an_invalid_certificate() -> None:
    house = ScriptedHouse(MemoryStore())
    await bake(plan(agent_task(""), limits=Limits(max_retries=3)), house)
    assert not by_candidate(house)["good"].certificate.is_valid


async def test_kill_by_a_limit_is_a_finished_run() -> None:
    house = ScriptedHouse(MemoryStore())
    spin = "import os\nwhile os.environ['HOUSE_MODEL'] == 'bad-1': pass"
    await bake(plan(agent_task(spin), limits=Limits(cpu_s=0.2)), house)
    runs = by_candidate(house)
    assert (runs["bad"].certificate.kill_cause, runs["good"].certificate.kill_cause) == ("cpu_time", None)
    assert runs["bad"].status == "finished"


async def test_each_run_and_its_checks_can_work_in_a_copy_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    program = "log = open('log', 'a'); log.write('x')"
    task = agent_task(program, CommandCheck(command=("grep", "-qxs", "x", "log")), cwd=str(tmp_path))
    house = ScriptedHouse(MemoryStore())
    await bake(plan(task, workspace="copy", trials=2), house)
    assert [run.checks[0].passed for run in house.store.runs("b1")] == [True] * 4
    assert (tmp_path / "log").read_text() == ""


# --- production beside the others


async def test_recorded_runs_stand_beside_the_others_with_their_labels() -> None:
    store = MemoryStore()
    house = ScriptedHouse(store, {"good-1": good})
    task = loop_task(store)
    record(store, "prod-z", [user("where is order 7?"), said("no idea")], task="order-7")
    bakeoff = await bake(plan(task, candidates=(GOOD,), reference="production"), house)
    production = [run for run in store.runs("b1") if run.candidate.name == "production"]
    assert [(run.trajectory, run.trial) for run in production] == [("prod-order-7", 0), ("prod-z", 1)]
    labelled, checked = production
    assert [(one.kind, one.passed) for one in labelled.checks] == [("label", True)]
    assert [(one.kind, one.passed) for one in checked.checks] == [("expected_answer", False)]
    assert labelled.certificate.grade == "none"
    assert labelled.certificate.is_valid
    assert labelled.candidate.model == "prod-1"
    assert labelled.fingerprint == bakeoff.fingerprint
    assert bakeoff.reference == "production"
    assert not any(one.kind == "label" for run in store.runs("b1") if run.candidate == GOOD for one in run.checks)
    assert isinstance(task.checks[-1], RecordedLabel)


async def test_recorded_runs_of_another_model_are_not_taken_for_production() -> None:
    store = MemoryStore()
    task = loop_task(store)
    record(store, "other", [user("x"), said("y")], task="order-7")
    first = next(store.attempts("other"))
    store.append([msgspec.structs.replace(first, model="prod-2")])
    await bake(plan(task, candidates=(GOOD,), reference="production"), ScriptedHouse(store, {"good-1": good}))
    assert {r.trajectory for r in store.runs("b1") if r.candidate.name == "production"} == {"prod-order-7"}


# --- what answers the tool calls


def world_file(folder: Path, status: str = "lost") -> str:
    (folder / "orders.json").write_text(json.dumps({"7": {"status": status}, "8": {"status": "in transit"}}))
    tools = {"look": {"do": "read", "table": "orders", "key": "$id"}}
    (folder / "world.yaml").write_text(json.dumps({"tables": {"orders": {"file": "orders.json"}}, "tools": tools}))
    return f"tables:{folder / 'world.yaml'}"


async def test_declared_simulator_answers_before_the_tape_and_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    store = MemoryStore()
    house = ScriptedHouse(store, {"good-1": good, "bad-1": bad})
    task = loop_task(store)
    asked = plan(task, world=(world_file(tmp_path), "tape"))
    bakeoff = await bake(asked, house)
    runs = by_candidate(house)
    assert [one.fidelity for one in runs["good"].served + runs["bad"].served] == ["simulated", "simulated"]
    assert runs["good"].answer == 'It is {"status": "lost"}.'
    plain = await bake(plan(task, id="b2"), house)
    differing = {
        name for name in bakeoff.fingerprint_parts if bakeoff.fingerprint_parts[name] != plain.fingerprint_parts[name]
    }
    assert differing == {"world"}
    world_file(tmp_path, status="found")
    with pytest.raises(OperatorError, match="world changed"):
        await bake(asked, house)


async def test_minimal_fidelity_stands_in_each_run_and_cannot_change_half_way() -> None:
    store = MemoryStore()
    house = ScriptedHouse(store, {"good-1": good, "bad-1": bad})
    task = loop_task(store)
    await bake(plan(task, min_fidelity=0.5), house)
    assert {run.min_fidelity for run in by_candidate(house).values()} == {0.5}
    with pytest.raises(OperatorError, match="loop changed"):
        await bake(plan(task, min_fidelity=0.4), house)
    with pytest.raises(OperatorError, match="is no share"):
        await bake(plan(task, id="b3", min_fidelity=40), house)


async def test_defect_of_a_simulator_is_a_harness_error_and_never_a_score(tmp_path: Path) -> None:
    store = MemoryStore()
    house = ScriptedHouse(store, {"good-1": good})
    await bake(plan(loop_task(store), candidates=(GOOD,), world=("tests.support.broken_world:Broken",)), house)
    run = by_candidate(house)["good"]
    assert (run.status, "the world has a defect" in run.error) == ("harness_error", True)


async def test_what_an_agent_installs_is_kept_with_its_run(tmp_path: Path) -> None:
    program = (
        "import os, pathlib; info = pathlib.Path('lib/extra-2.0.dist-info'); info.mkdir(parents=True);"
        "(info / 'METADATA').write_text('Name: extra\\nVersion: 2.0\\n')"
    )
    house = ScriptedHouse(MemoryStore())
    await bake(plan(agent_task(program, cwd=str(tmp_path)), workspace="copy"), house)
    for run in house.store.runs("b1"):
        assert run.packages is not None
        assert [(one.name, one.version, one.ecosystem) for one in run.packages] == [("extra", "2.0", "python")]
