from __future__ import annotations

import pytest

from ironcage.launching import recordable

KEY = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
PRIVATE = "hunter-2"


@pytest.mark.parametrize(
    ("command", "written"),
    [
        (["agent", "--key", PRIVATE, "go"], ["agent", "--key", "***", "go"]),
        (["agent", "--api-key", PRIVATE], ["agent", "--api-key", "***"]),
        (["agent", "--openai-api-key=" + PRIVATE], ["agent", "--openai-api-key=***"]),
        (["agent", "-password", PRIVATE], ["agent", "-password", "***"]),
        (["agent", "--api-key", "-" + PRIVATE], ["agent", "--api-key", "***"]),
        (["env", "OPENAI_API_KEY=" + PRIVATE, "agent"], ["env", "OPENAI_API_KEY=***", "agent"]),
        (["agent", "--llm.token", PRIVATE], ["agent", "--llm.token", "***"]),
        (["agent", f"https://x.example/v1?a=1&key={PRIVATE}"], ["agent", "https://x.example/v1?a=1&key=***"]),
        (["agent", f"https://ann:{PRIVATE}@x.example/"], ["agent", "https://ann:***@x.example/"]),
        (["sh", "-c", f"KEY={KEY} agent"], ["sh", "-c", "KEY=*** agent"]),
        (["curl", "-H", f"Authorization: Bearer {PRIVATE}-{PRIVATE}"], ["curl", "-H", "Authorization: Bearer ***"]),
        (["agent", KEY], ["agent", "***"]),
    ],
)
def test_no_secret_of_a_command_is_written_down(command: list[str], written: list[str]) -> None:
    assert recordable(command) == tuple(written)


@pytest.mark.parametrize(
    "command",
    [
        ["agent", "--max-tokens", "100", "--model", "x"],
        ["agent", "--api-key", "--verbose", "task"],
        ["agent", "--key-file", "k.txt", "--sort-key", "name"],
        ["python", "-c", "print(1 == 2)", "key=value", "monkey", "token"],
        ["--token", "x"],
    ],
)
def test_what_is_none_stays_as_it_is(command: list[str]) -> None:
    assert recordable(command) == tuple(command)
