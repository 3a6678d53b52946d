"""Written as the attacker: a name that the agent takes for the tool, and the rule does not."""

from __future__ import annotations

import json

import pytest

from policies.arguments.reading import UnclearError
from policies.arguments.rule import ToolArguments
from policies.calls_within import CallsWithin
from policies.engine import Engine
from policies.memory_ledger import MemoryLedger
from policies.rule import Rule
from policies.settings import ToolSettings
from policies.tool_names import PARALLEL, ToolEntry, calls_within, is_wrapper, readings
from policies.tools import ToolAllowlist
from policies.verdict import ALLOW, AWAIT_ARGUMENTS, Refuse, Verdict
from trajectory.events import CallProposed

CAREFUL = ToolArguments(ToolSettings.model_validate({"arguments": {"bash": {"command": {"allow": ["ls"]}}}}).arguments)


def engine_of(*rules: Rule) -> Engine:
    return Engine([*rules, CallsWithin(rules)], MemoryLedger())


ENGINE = engine_of(CAREFUL)


def called(name: str, arguments: object, engine: Engine = ENGINE) -> Verdict:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return engine.judge(CallProposed("t", name, "c", text))


def parallel(*uses: tuple[str, object]) -> dict[str, object]:
    return {"tool_uses": [{"recipient_name": name, "parameters": parameters} for name, parameters in uses]}


@pytest.mark.parametrize(
    "name",
    [
        "functions.bash",
        "default_api.bash",
        "default_api:bash",
        "tools/bash",
        "mcp.shell/bash",
        "print(default_api.bash",
        "functions.BASH",
        "functions\u200b.bash",
        "functions.\uff42ash",
        "functions\uff0ebash",
        "bash\ufe0f",
        "ba\u00adsh",
        "bash<|channel|>commentary",
        "functions.bash<|constrain|>json",
        "`bash`",
        "bash()",
        '"bash"',
        "a." * 500 + "bash",
    ],
)
def test_a_name_that_some_agent_takes_for_the_tool_is_judged_like_it(name: str) -> None:
    assert ENGINE.judge(CallProposed("t", name)) is AWAIT_ARGUMENTS
    assert isinstance(called(name, {"command": "id"}), Refuse)
    assert called(name, {"command": "ls"}) is ALLOW


@pytest.mark.parametrize("name", ["bash2", "rebash", "bash.run", "\u0432ash", "ba.sh", "weather"])
def test_another_name_is_another_tool(name: str) -> None:
    assert ENGINE.judge(CallProposed("t", name)) is ALLOW


def test_names_are_the_same_whatever_joins_their_words() -> None:
    entry, prefix = ToolEntry.of("shell_exec"), ToolEntry.of("file_*")
    assert all(entry.concerns(readings(name)) for name in ("shell.exec", "shell-exec", "Shell exec", "x:shell_exec"))
    assert all(prefix.concerns(readings(name)) for name in ("file.read", "file-write", "functions.file_x"))
    assert not prefix.concerns(readings("filet")) and ToolEntry.of("*").concerns(readings("anything"))


def test_the_allowlist_knows_exact_names_only() -> None:
    engine = engine_of(ToolAllowlist(["bash"]))
    for name in ("functions.bash", "tools/bash", "Bash", PARALLEL, "b\u0430sh"):
        assert isinstance(called(name, {}, engine), Refuse)


@pytest.mark.parametrize(
    "name", [PARALLEL, "functions." + PARALLEL, "Multi_Tool_Use/Parallel", "multi_tool_use-parallel"]
)
def test_each_call_within_a_wrapper_is_judged(name: str) -> None:
    assert is_wrapper(name) and ENGINE.judge(CallProposed("t", name)) is AWAIT_ARGUMENTS
    good, bad = ("functions.bash", {"command": "ls"}), ("functions.bash", {"command": "id"})
    assert called(name, parallel(good, ("weather", {}))) is ALLOW
    assert isinstance(called(name, parallel(good, bad)), Refuse)
    assert isinstance(called(name, parallel((name, parallel(bad)))), Refuse)
    assert isinstance(called(name, parallel((name, parallel(good)))), Refuse)


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "{}",
        "[]",
        '{"tool_uses":[]}',
        '{"tool_uses":{}}',
        '{"tool_uses":[{"recipient_name":"bash"}]}',
        '{"tool_uses":[{"recipient_name":1,"parameters":{}}]}',
        '{"tool_uses":[{"recipient_name":"x","parameters":{},"name":"bash"}]}',
        '{"tool_uses":[{"recipient_name":"x","parameters":{}}],"tool_calls":[]}',
        '{"tool_uses":[{"recipient_name":"bash","recipient_name":"x","parameters":{}}]}',
        '{"tool_uses":[{"recipient_name":"x\\ud800","parameters":{}}]}',
        '{"tool_uses":[{"recipient_name":"x","parameters":{},"Recipient_Name":"bash"}]}',
        json.dumps(parallel(*[("x", {})] * 200)),
    ],
)
def test_a_wrapper_whose_calls_cannot_be_told_is_refused(arguments: str) -> None:
    assert isinstance(called(PARALLEL, arguments), Refuse)
    with pytest.raises(UnclearError):
        calls_within(arguments)


def test_a_wrapper_on_the_allowlist_brings_in_no_tool_that_is_not() -> None:
    engine = engine_of(ToolAllowlist(["weather", PARALLEL]))
    assert engine.reads_arguments and not engine_of(ToolAllowlist(["weather"])).reads_arguments
    assert engine.judge(CallProposed("t", PARALLEL)) is AWAIT_ARGUMENTS
    assert called(PARALLEL, parallel(("weather", {})), engine) is ALLOW
    verdict = called(PARALLEL, parallel(("weather", {}), ("bash", {})), engine)
    assert isinstance(verdict, Refuse) and verdict.code == "tool_not_allowed"


def test_arguments_within_are_judged_as_they_are_written() -> None:
    text = '{"tool_uses": [{"recipient_name": "pay", "parameters": {"amount": 100.00000000000000001}}]}'
    assert calls_within(text) == (("pay", '{"amount": 100.00000000000000001}'),)
