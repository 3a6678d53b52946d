from __future__ import annotations

import json

import pytest

from replay.building import Unreplayable, build_task, build_tasks
from replay.task import ExpectedAnswer, RecordedLabel, Task, read_task
from tests.support.recordings import calls, model_attempt, record, request_body, result, said, tool_attempt, user
from trajectory.conversation import Reply
from trajectory.errors import FormatError
from trajectory.memory import MemoryStore
from trajectory.record import Span
from trajectory.trajectory import Launch

CHAT = [
    {"role": "system", "content": "be brief"},
    user("where is order 7?"),
    calls(("c1", "look", '{"id":7}')),
    result("c1", "in transit"),
    said("It is in transit."),
]


def built(store: MemoryStore, trajectory: str) -> Task:
    task = build_task(store, trajectory)
    assert isinstance(task, Task), task
    return task


def test_task_holds_what_was_asked_and_how() -> None:
    store = MemoryStore()
    record(store, "t1", CHAT, task="orders-7")
    store.label("t1", "passed", "by hand")
    task = built(store, "t1")
    assert (task.id, task.input, task.model, task.mode) == ("orders-7", "where is order 7?", "prod-1", "closed_loop")
    assert [(call.tool, call.arguments) for call in task.reference] == [("look", '{"id":7}')]
    assert json.loads(task.messages or "") == CHAT[:2]
    assert json.loads(task.tools or "")[0]["function"]["name"] == "look"
    assert task.checks == (RecordedLabel(label="passed", evidence="by hand"),)
    assert read_task(task.document()) == task


def test_request_is_kept_byte_for_byte() -> None:
    store = MemoryStore()
    body = b'{"model":"m",  "messages":[{"content":"h\\u00e9","role":"user"}], "temperature":1.0e0}'
    store.append([model_attempt("t1", 0, body, said("ok"))])
    task = built(store, "t1")
    assert task.request == body.decode()
    assert task.field("temperature") == "1.0e0"


def test_task_without_a_name_is_called_by_its_trajectory() -> None:
    store = MemoryStore()
    record(store, "t1", CHAT)
    task = built(store, "t1")
    assert (task.id, task.name) == ("t1", "where is order 7?")


def test_recorded_command_makes_it_an_agent_task() -> None:
    store = MemoryStore()
    record(store, "t1", CHAT)
    store.launched("t1", Launch((), ""))
    assert built(store, "t1").mode == "closed_loop", "an empty command says nothing"
    store.launched("t1", Launch(("python", "agent.py"), "/srv", 0, 1.5))
    task = built(store, "t1")
    assert task.launch is not None
    assert (task.mode, task.launch.command, task.launch.cwd) == ("agent", ("python", "agent.py"), "/srv")


def test_http_tool_calls_are_the_reference_of_an_agent_whose_model_proposes_none() -> None:
    store = MemoryStore()
    record(store, "t1", [user("go"), said("GET /x")])
    store.append([tool_attempt("t1", 5, "orders.lookup", "id=7")])
    assert [(c.tool, c.arguments) for c in built(store, "t1").reference] == [("orders.lookup", "id=7")]


def refused(store: MemoryStore, trajectory: str) -> str:
    task = build_task(store, trajectory)
    assert isinstance(task, Unreplayable)
    return task.reason


def test_trajectory_without_a_model_call_cannot_be_replayed() -> None:
    store = MemoryStore()
    store.append([tool_attempt("t1", 0, "x", "")])
    assert "no model call" in refused(store, "t1")


def test_conversation_in_which_the_user_speaks_again_cannot_be_replayed_without_its_agent() -> None:
    store = MemoryStore()
    record(store, "t1", [*CHAT, user("and order 8?"), said("lost")])
    assert "the user spoke again 1 times" in refused(store, "t1")
    store.launched("t1", Launch(("agent",), "/"))
    assert built(store, "t1").mode == "agent"


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ({"wire": "anthropic"}, "does not speak anthropic"),
        ({"request": (), "extra": {"request_left_out": "too large"}}, "too large"),
        ({"request": (Span.of(b"\xff{"),)}, "cannot be read"),
    ],
)
def test_first_request_that_the_loop_cannot_send_again_is_a_reason(rest: dict[str, object], reason: str) -> None:
    store = MemoryStore()
    store.append([model_attempt("t1", 0, request_body([user("x")]), said("y"), **rest)])
    assert reason in refused(store, "t1")


def test_part_of_a_sub_agent_is_replayed_with_the_whole() -> None:
    store = MemoryStore()
    record(store, "s1", CHAT)
    record(store, "s1/helper", CHAT)
    assert isinstance(build_task(store, "s1/helper"), Task), "alone it is a conversation like any other"
    store.launched("s1", Launch(("agent",), "/"))
    assert "sub-agent's part of s1" in refused(store, "s1/helper")


def test_command_of_a_session_belongs_to_its_only_named_agent() -> None:
    store = MemoryStore()
    record(store, "s1/main", CHAT)
    store.launched("s1", Launch(("agent",), "/srv"))
    assert built(store, "s1/main").mode == "agent"


def test_of_several_recordings_a_passed_one_is_the_reference() -> None:
    store = MemoryStore()
    for name in ("t1", "t2", "t3"):
        record(store, name, CHAT, task="orders")
    store.label("t2", "passed", "")
    store.label("t3", "failed", "")
    store.append([tool_attempt("t4", 0, "x", "")])
    found = build_tasks(store, ["t1", "t2", "t3", "t4"], checks=lambda task: (ExpectedAnswer(answer=task),))
    assert [(task.id, task.source) for task in found.tasks] == [("orders", "t2")]
    assert found.passed_over == ("t1", "t3")
    assert [one.trajectory for one in found.unreplayable] == ["t4"]
    assert found.tasks[0].checks[0] == ExpectedAnswer(answer="orders")


def test_digest_follows_what_a_run_depends_on_and_not_the_display_name() -> None:
    store = MemoryStore()
    record(store, "t1", CHAT)
    task = built(store, "t1")
    assert task.digest == task.model_copy(update={"name": "other", "tags": ("x",)}).digest
    assert task.digest != task.model_copy(update={"path": "/v2"}).digest


def test_document_that_is_no_task_says_so() -> None:
    with pytest.raises(FormatError, match="not a task"):
        read_task('{"id": 7}')


def test_reply_that_broke_off_adds_no_calls_to_the_reference() -> None:
    store = MemoryStore()
    store.append([model_attempt("t1", 0, request_body([user("x")]), None, answer=Reply(text="half"), end="cut")])
    assert built(store, "t1").reference == ()
