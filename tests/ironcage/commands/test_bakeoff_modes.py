"""`bakeoff run --mode`, from a recording to the exit code."""

from __future__ import annotations

import json
import sys
from contextlib import closing

import pytest

from tests.support import offline_agent
from tests.support.command_line import CommandLine
from tests.support.recordings import Message, calls, model_attempt, result, said, user
from trajectory.record import Attempt, Span
from trajectory.sql.opening import open_store
from trajectory.trajectory import Launch

LOOK = calls(("c1", "look", '{"id": 7}'))
QUESTION = [user("where is the order? I am Ada")]
TURNS = (
    (QUESTION, LOOK),
    ([*QUESTION, LOOK, result("c1", "in transit to Ada")], said("It is in transit.")),
)


def exchange(number: int, messages: list[Message], message: Message) -> Attempt:
    """As the agent of these tests asks, and as a provider answers."""
    body = json.dumps({"model": "prod-1", "messages": messages}).encode()
    reply = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    return model_attempt(
        "prod", number, body, message, task="where", reply=(Span.of(reply),), first_byte_s=0.1,
        headers=(("request.content-type", "application/json"), ("content-type", "application/json")),
    )  # fmt: skip


@pytest.fixture
def recorded(cli: CommandLine) -> CommandLine:
    cli.config(upstreams={"openai": {"base_url": "http://127.0.0.1:9"}})
    cli.record([exchange(number, *turn) for number, turn in enumerate(TURNS)])
    return cli


def started_with(cli: CommandLine, variant: str) -> None:
    command = (sys.executable, offline_agent.__file__, variant, "Ada", "whole")
    with closing(open_store(f"sqlite:///{cli.folder}/ironcage.db")) as store:
        store.launched("prod", Launch(command, str(cli.folder)))
    assert cli("tasks", "build", "--tag", "orders").code == 0


def test_an_unchanged_agent_passes_offline_without_any_model(recorded: CommandLine) -> None:
    started_with(recorded, "none")
    done = recorded("bakeoff", "run", "--mode", "offline", "--tag", "orders", "--json")
    assert done.code == 0, done.err
    (run,) = done.json["runs"]
    assert run["outcome"]["label"] == "passed"
    assert run["model_answers"] == {"exact": 2}
    dataset = done.json["bakeoff"]["dataset"]
    assert (dataset["count"], len(dataset["tasks"])) == (1, 32)


def test_a_changed_agent_ends_with_the_place_where_it_left_the_tape(recorded: CommandLine) -> None:
    started_with(recorded, "wording")
    done = recorded("bakeoff", "run", "--mode", "offline")
    assert done.code == 1
    assert "tape miss: task where: request 1 of the run: nearest is recorded request 1" in done.err
    assert 'messages[0].content: recorded "where is the order? I am Ada", got "Where is' in done.err
    assert "agent.tape_miss" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--mode", "sideways"), "--mode 'sideways' is unknown"),
        (("--mode", "offline", "--candidate", "a=openai/m"), "an offline replay asks no model"),
        (("--mode", "stepwise"), "at least one candidate"),
        (("--tag", "nothing", "--mode", "offline"), "there is no task with tag nothing"),
        (("--split", "test", "--mode", "offline"), "there is no task with split test"),
    ],
)
def test_what_cannot_be_run_is_said(recorded: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    started_with(recorded, "none")
    done = recorded("bakeoff", "run", *arguments)
    assert (done.code, said in done.err) == (2, True), done.err


@pytest.mark.parametrize(
    ("given", "told"), [("allow", "no call waits for a person"), ("ask", "--approvals 'ask' is unknown")]
)
def test_how_unmatched_approvals_are_decided_must_mean_something(recorded: CommandLine, given: str, told: str) -> None:
    if given == "ask":
        recorded.config(
            upstreams={"openai": {"base_url": "http://127.0.0.1:9"}}, policies={"approvals": {"tools": {"look": {}}}}
        )
    assert recorded("tasks", "build").code == 0
    done = recorded("bakeoff", "run", "--candidate", "a=openai/b-1", "--approvals", given)
    assert (done.code, told in done.err) == (2, True), done.err
