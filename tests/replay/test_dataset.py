from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.dataset import dataset_of, read_split, recorded_parameters, tool_pins
from replay.task import Task
from trajectory.errors import OperatorError

SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}, "deep": {"type": "boolean"}}}


def tool(name: str, schema: object = SCHEMA, said: str = "") -> dict[str, object]:
    return {"type": "function", "function": {"name": name, "description": said, "parameters": schema}}


def task(name: str = "t1", *tools: object, **fields: object) -> Task:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": tools, **fields}
    return Task(
        id=name, name=name, input="hi", source="s", wire="openai.chat", upstream="openai", path="/v1/chat/completions",
        model="m", request=json.dumps(body),
    )  # fmt: skip


def test_a_tool_is_pinned_by_what_a_model_reads_of_it() -> None:
    pins = tool_pins(task("t", tool("look"), tool("refund")))
    turned = {"properties": {"deep": {"type": "boolean"}, "id": {"type": "integer"}}, "type": "object"}
    assert tool_pins(task("t", tool("refund"), tool("look", turned))) == pins
    assert tool_pins(task("t", tool("look", said="now described")))["look"] != pins["look"]


def test_parameters_are_what_is_neither_conversation_nor_delivery() -> None:
    asked = task("t", temperature=0.5, max_tokens=9, stream=True, tool_choice="auto")
    assert recorded_parameters(asked) == {"max_tokens": 9, "temperature": 0.5, "tool_choice": "auto"}


def test_the_identity_changes_with_what_a_candidate_is_given_and_with_nothing_else() -> None:
    conditions = {"constraints": "c", "policies": "p"}
    tasks = (task("a", tool("look")), task("b", tool("look")))
    one = dataset_of(tasks, conditions=conditions, seed=1)
    placed = [each.model_copy(update={"split": "train", "tags": ("x",), "name": "y"}) for each in reversed(tasks)]
    assert dataset_of(placed, conditions=conditions, seed=1) == one
    asked = dataset_of((tasks[0], task("b", tool("look"), temperature=1)), conditions=conditions, seed=1)
    assert (asked.tasks, asked.policy) != (one.tasks, one.policy)
    assert asked.policy == one.policy
    assert len(asked.parameters) == 2
    assert dataset_of(tasks, conditions={**conditions, "policies": "q"}, seed=1).policy != one.policy
    described = dataset_of((tasks[0], task("b", tool("look", said="x"))), conditions=conditions, seed=1)
    assert len(described.tools["look"]) == 2, "tasks that define a tool otherwise are told"


@settings(max_examples=30)
@given(st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=30), st.text(min_size=1, max_size=8))
def test_a_task_that_is_added_moves_no_other(tasks: set[str], added: str) -> None:
    split = read_split("train=0.7,test=0.3", 5)
    before = {one: split.of(one) for one in tasks}
    assert {one: split.of(one) for one in tasks | {added}} == {**before, added: split.of(added)}


def test_shares_are_kept_over_many_tasks_and_another_seed_deals_anew() -> None:
    names = [f"task-{n}" for n in range(5000)]
    split, other = read_split("train=0.7,test=0.3", 0), read_split("train=0.7,test=0.3", 1)
    share = sum(split.of(name) == "train" for name in names) / len(names)
    assert abs(share - 0.7) < 0.03
    assert [split.of(name) for name in names] != [other.of(name) for name in names]


@pytest.mark.parametrize("text", ["", "train", "train=x", "train=0.5,test=0.6", "a=0.5,a=0.5", "a=0,b=1", "=1"])
def test_what_is_no_split_is_said(text: str) -> None:
    with pytest.raises(OperatorError, match="--split"):
        read_split(text, 0)
