from __future__ import annotations

import pytest

from tests.support.command_line import CommandLine
from tests.support.recordings import Message, calls, model_attempt, request_body, result, said, user
from trajectory.record import Attempt


def recording(session: str, task: str, answer: str) -> list[Attempt]:
    """Two model calls: one that asks for a tool, one that answers."""
    asked: list[Message] = [user("Where is order A-1?")]
    call = calls(("c1", "look_up", '{"order": "A-1"}'))
    then = [*asked, call, result("c1", "customs")]
    return [
        model_attempt(session, 0, request_body(asked), call, task=task),
        model_attempt(session, 1, request_body(then), said(answer), task=task),
    ]


@pytest.fixture
def recorded(cli: CommandLine) -> CommandLine:
    cli.record([*recording("s-1", "where", "At customs."), *recording("s-2", "when", "Tomorrow.")])
    return cli


def test_build_makes_a_task_of_each_task_name_with_its_checks(recorded: CommandLine) -> None:
    built = recorded("tasks", "build", "--check", "python check.py --strict", "--expect", "where=customs", "--json")
    assert built.code == 0
    assert set(built.json["tasks"]) == {"where", "when"}
    where = recorded("tasks", "show", "where").json
    assert where["input"] == "Where is order A-1?"
    assert where["source"] == "s-1"
    assert [call["tool"] for call in where["reference"]] == ["look_up"]
    command, expected = where["checks"]
    assert command["command"] == ["python", "check.py", "--strict"]
    assert (expected["answer"], expected["match"]) == ("customs", "contains")
    assert [check["kind"] for check in recorded("tasks", "show", "when").json["checks"]] == ["command"]


def test_build_of_one_leaves_the_other_alone(recorded: CommandLine) -> None:
    done = recorded("tasks", "build", "s-2")
    assert (done.code, done.out) == (0, "1 tasks built from 1 trajectories\n")
    assert [task["id"] for task in recorded("tasks", "list", "--json").json] == ["when"]
    assert "when" in recorded("tasks", "list").out


def test_what_cannot_be_replayed_is_said_with_its_reason(cli: CommandLine) -> None:
    cli.record([model_attempt("s-3", 0, b"no json", None, request=())])
    done = cli("tasks", "build")
    assert done.code == 1
    assert "not replayable: s-3:" in done.err
    assert cli("tasks", "build", "--json").json["unreplayable"][0]["trajectory"] == "s-3"


def test_nothing_recorded_is_a_finding_and_an_unknown_name_an_error(cli: CommandLine) -> None:
    assert cli("tasks", "build").code == 1
    assert cli("tasks", "build", "nobody").code == 3


@pytest.mark.parametrize("given", ["where", "=customs"])
def test_expectation_that_names_no_task_is_refused(recorded: CommandLine, given: str) -> None:
    done = recorded("tasks", "build", "--expect", given)
    assert (done.code, "TASK=TEXT" in done.err) == (2, True)


def test_unknown_task_is_the_operators_error(recorded: CommandLine) -> None:
    done = recorded("tasks", "show", "nothing")
    assert (done.code, "tasks list" in done.err) == (2, True)
    assert recorded("tasks", "list", "--json").json == []


def test_a_task_keeps_its_part_and_its_tags_when_it_is_built_again(recorded: CommandLine) -> None:
    assert recorded("tasks", "build", "--split", "train=0.5,test=0.5", "--seed", "3", "--tag", "orders").code == 0
    first = {one["id"]: (one["split"], one["tags"]) for one in recorded("tasks", "list", "--json").json}
    assert {split for split, _ in first.values()} <= {"train", "test"}
    assert recorded("tasks", "build", "--expect", "where=customs").code == 0
    assert {one["id"]: (one["split"], one["tags"]) for one in recorded("tasks", "list", "--json").json} == first
    assert recorded("tasks", "build", "--split", "train=0.5").code == 2


def test_each_task_has_an_identity_that_its_content_decides(recorded: CommandLine) -> None:
    recorded("tasks", "build")
    before = recorded("tasks", "show", "where").json["identity"]
    assert set(before) == {"digest", "tools", "parameters", "policy"}
    recorded("tasks", "build", "--tag", "x")
    assert recorded("tasks", "show", "where").json["identity"] == before
    recorded("tasks", "build", "--expect", "where=customs")
    after = recorded("tasks", "show", "where").json["identity"]
    assert (after["digest"] != before["digest"], after["policy"]) == (True, before["policy"])


def test_lint_names_each_finding_with_what_to_do_and_is_a_finding_itself(recorded: CommandLine) -> None:
    recorded("tasks", "build")
    done = recorded("tasks", "lint", "where")
    assert done.code == 1
    assert "where: doubtful: nothing says whether a run of it passed [no_check]\n    build it with --check" in done.out
    assert "when" not in done.out
    recorded("tasks", "build", "--expect", "where=customs", "--expect", "when=Tomorrow")
    assert recorded("tasks", "lint", "--json").json == {"tasks": 2, "findings": []}
    assert recorded("tasks", "lint", "nobody").code == 2
