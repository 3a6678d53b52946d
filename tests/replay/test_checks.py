from __future__ import annotations

import json
import os
from typing import Any

import pytest

from replay.cage.process import PortableCage
from replay.checks import Finished, compare_answer, label_result, last_said, run_checks
from replay.task import CommandCheck, ExpectedAnswer, RecordedLabel, Task
from tests.support.processes import PYTHON
from tests.support.recordings import calls, record, result, said, user
from trajectory.memory import MemoryStore
from trajectory.runs import Candidate, Certificate, CheckResult, Limits
from trajectory.trajectory import Trajectory

ENV = {"PATH": os.environ["PATH"]}
NONE = Certificate(grade="none", asked=Limits(), applied=Limits(), exit_code=3)


def task(*checks: Any) -> Task:
    return Task(
        id="t", name="t", input="", source="s", wire="openai.chat", upstream="openai", path="/v1", checks=checks
    )


def finished(*checks: Any, **rest: Any) -> Finished:
    fields: dict[str, Any] = {
        "task": task(*checks),
        "candidate": Candidate(name="b", upstream="openai", model="model-b"),
        "trial": 2,
        "seed": 7,
        "trajectory": None,
        "certificate": NONE,
    }
    return Finished(**{**fields, **rest})


def recorded() -> Trajectory:
    store = MemoryStore()
    record(store, "s", [user("x"), calls(("c", "look", '{"id":1}')), result("c", "r"), said("the answer")])
    return store.trajectory("s")


async def check(program: str, **rest: Any) -> CheckResult:
    (one,) = await run_checks(finished(CommandCheck(command=(*PYTHON, program)), **rest), PortableCage(), ENV)
    return one


@pytest.mark.parametrize(("code", "passed"), [(0, True), (1, False), (2, None), (77, None)])
async def test_exit_code_of_a_command_decides(code: int, passed: bool | None) -> None:
    one = await check(f"import sys; print('because'); sys.exit({code})")
    assert one.passed is passed
    assert f"exit code {code}" in one.evidence
    assert "because" in one.evidence


async def test_command_finds_the_whole_run_in_its_file() -> None:
    program = (
        "import json, os; print(open(os.environ['IRONCAGE_RUN_FILE']).read());"
        "assert os.environ['IRONCAGE_TASK'] == 't' and os.environ['IRONCAGE_CANDIDATE_MODEL'] == 'model-b'"
    )
    one = await check(program, trajectory=recorded(), said="the answer", stdout="printed")
    run = json.loads(one.evidence.partition("; ")[2])
    assert (run["task"], run["answer"], run["stdout"], run["exit_code"]) == ("t", "the answer", "printed", 3)
    assert run["candidate"]["model"] == "model-b"
    assert run["steps"][0]["answer"]["calls"] == [{"id": "c", "name": "look", "arguments": '{"id":1}'}]
    assert one.passed


async def test_command_that_takes_too_long_has_not_decided() -> None:
    check_of = CommandCheck(command=(*PYTHON, "import signal; signal.pause()"), timeout_s=0.1)
    (one,) = await run_checks(finished(check_of), PortableCage(), ENV)
    assert one.passed is None
    assert "wall_time" in one.evidence


async def test_command_that_dies_or_does_not_exist_has_not_decided() -> None:
    died = await check("import os; os.abort()")
    assert died.passed is None
    assert "signal 6" in died.evidence
    (missing,) = await run_checks(finished(CommandCheck(command=("no-such-check",))), PortableCage(), ENV)
    assert missing.passed is None
    assert "could not be run" in missing.evidence


async def test_recorded_label_is_the_outcome_of_the_recorded_run_only() -> None:
    label = RecordedLabel(label="passed", evidence="graded")
    assert await run_checks(finished(label), PortableCage(), ENV) == ()
    one = label_result(label)
    assert (one.kind, one.passed) == ("label", True)
    assert "graded" in one.evidence


@pytest.mark.parametrize(
    ("match", "expected", "given", "passed"),
    [
        ("exact", "in transit", "  in\n transit ", True),
        ("exact", "in transit", "It is in transit.", False),
        ("contains", "in transit", "It is in transit.", True),
        ("json", '{"a": 1, "b": 2}', '{"b":2.0,"a":1}', True),
        ("json", '{"a": 1}', "no JSON", False),
    ],
)
def test_expected_answer(match: Any, expected: str, given: str, passed: bool) -> None:
    one = compare_answer(ExpectedAnswer(answer=expected, match=match), finished(said=given))
    assert one.passed is passed


def test_answer_may_be_what_the_agent_printed() -> None:
    wanted = ExpectedAnswer(answer="42")
    assert compare_answer(wanted, finished(said="I will print it", stdout="42\n")).passed
    assert compare_answer(wanted, finished()).passed is False
    assert compare_answer(wanted, finished(stdout="2", stdout_truncated=True)).passed is None


def test_text_beside_a_tool_call_is_no_answer() -> None:
    store = MemoryStore()
    message = calls(("c", "look", "{}"))
    message["content"] = "let me look"
    record(store, "s", [user("x"), message])
    assert last_said(store.trajectory("s")) is None
    assert last_said(recorded()) == "the answer"
    assert last_said(None) is None
