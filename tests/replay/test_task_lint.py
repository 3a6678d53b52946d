from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from replay.task import AgentCommand, ExpectedAnswer, Task
from replay.task_lint import Finding, lint_task
from replay.world.kinds import ToolKinds
from tests.support.processes import PYTHON
from tests.support.recordings import Message, calls, model_attempt, record, request_body, result, said, user
from trajectory.memory import MemoryStore

LOOK = calls(("c1", "look", '{"id": 7}'))
GOOD = [user("where is order 7?"), LOOK, result("c1", "in transit"), said("In transit.")]
CHECK = (ExpectedAnswer(answer="In transit."),)


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def task(conversation: list[Message] = GOOD, **rest: Any) -> Task:
    first = next(at for at, message in enumerate(conversation) if message["role"] == "assistant")
    body = request_body(conversation[:first], tools=[{"type": "function", "function": {"name": "look"}}])
    fields: dict[str, Any] = {
        "id": "t", "name": "t", "input": "x", "source": "prod", "wire": "openai.chat", "upstream": "openai",
        "path": "/v1/chat/completions", "request": body.decode(), "checks": CHECK,
    }  # fmt: skip
    return Task(**{**fields, **rest})


def store_of(conversation: list[Message] = GOOD) -> MemoryStore:
    store = MemoryStore()
    record(store, "prod", conversation, task="t")
    return store


def codes(found: list[Finding]) -> list[str]:
    return [one.code for one in found]


def test_a_whole_task_has_no_finding() -> None:
    assert lint_task(store_of(), task()) == []


def test_a_task_whose_recording_is_gone_says_just_that() -> None:
    (found,) = lint_task(MemoryStore(), task())
    assert (found.code, found.level) == ("no_recording", "unreplayable")


def test_a_task_without_a_check_or_a_request_says_what_to_do() -> None:
    found = lint_task(store_of(), task(request=None, checks=()))
    assert codes(found) == ["no_request", "no_check"]
    assert "--check" in found[1].todo


def asks(text: str) -> list[Message]:
    return [user(text), *GOOD[1:]]


def answers(text: str) -> list[Message]:
    return [*GOOD[:2], result("c1", text), GOOD[3]]


TWICE = [*GOOD[:3], calls(("c2", "look", '{"id":7.0}')), result("c2", "arrived"), GOOD[3]]
WRITTEN = [*GOOD[:3], calls(("c3", "cancel", "{}")), result("c3", "ok"), *TWICE[3:]]


@pytest.mark.parametrize(
    ("conversation", "expected"),
    [
        (asks("Today is 1970-01-01. Where?"), ["volatile_prompt"]),
        (asks("It is January 1, 1970. Where?"), ["volatile_prompt"]),
        (asks("my birthday is 1988-03-02"), []),
        (asks("request 0b9ff2f4-1c7c-4b3e-9a44-6c7b1f4d2a10"), ["volatile_prompt"]),
        (answers("at 2024-01-01T10:00:00Z"), ["volatile_results"]),
        (asks("key PII_SECRET_BCDFGHJKMN"), ["masked_secrets"]),
        (TWICE, ["undetermined_tools"]),
        (WRITTEN, []),
        ([*GOOD, user("and order 8?"), said("No.")], ["later_user"]),
        (
            [{"role": "user", "content": [IMAGE]}, *GOOD[1:]],
            ["opaque_parts"],
        ),
    ],
)
def test_what_would_be_otherwise_in_another_run_is_found(conversation: list[Message], expected: list[str]) -> None:
    assert codes(lint_task(store_of(conversation), task(conversation))) == expected


def with_request(change: Callable[[dict[str, Any]], None]) -> Task:
    body = json.loads(task().request or "{}")
    change(body)
    return task(request=json.dumps(body))


def test_tools_that_nobody_recorded_and_tools_of_the_provider_are_found() -> None:
    more = with_request(lambda body: body["tools"].append({"type": "function", "function": {"name": "refund"}}))
    (found,) = lint_task(store_of(), more)
    assert found.code == "uncovered_tools"
    assert "refund" in found.what
    assert lint_task(store_of(), more, simulated=True) == []
    searching = with_request(lambda body: body["tools"].append({"type": "web_search"}))
    assert "provider_tools" in codes(lint_task(store_of(), searching))


def test_pseudonyms_in_arguments_are_doubtful_before_a_world_of_plain_data() -> None:
    masked = task(reference=({"tool": "look", "arguments": '{"id": "PII_NAME_BCDFGHJKMN"}'},))
    assert lint_task(store_of(), masked) == []
    assert codes(lint_task(store_of(), masked, simulated=True)) == ["masked_arguments"]


def test_an_agent_is_looked_at_as_one_that_is_started_here(tmp_path: Path) -> None:
    def agent(*command: str, cwd: Path = tmp_path) -> Task:
        return task(launch=AgentCommand(command=command, cwd=str(cwd)), request=None)

    assert lint_task(store_of(), agent(*PYTHON)) == []
    assert codes(lint_task(store_of(), agent("no-such-command"))) == ["no_command"]
    assert codes(lint_task(store_of(), agent(*PYTHON, cwd=tmp_path / "gone"))) == ["no_folder"]
    writing = agent(*PYTHON).model_copy(
        update={"reference": task(reference=({"tool": "cancel", "arguments": ""},)).reference}
    )
    assert codes(lint_task(store_of(), writing)) == ["side_effects"]
    assert lint_task(store_of(), writing, kinds=ToolKinds({"cancel": "read"})) == []


def test_replies_that_broke_off_and_streams_that_were_not_kept_are_found() -> None:
    store = store_of()
    broken = model_attempt("prod", 9, request_body(GOOD), said("In"), end="cut")
    store.append([broken])
    assert codes(lint_task(store, task())) == ["broken_stream"]
    store.append([msgspec.structs.replace(broken, end="complete", extra={"reply_note": "masked"})])
    assert lint_task(store, task()) == [], "it can be told again"
    store.append([msgspec.structs.replace(broken, end="complete", extra={"reply_note": "masked"}, wire="ollama.chat")])
    assert codes(lint_task(store, task())) == ["masked_stream"]
