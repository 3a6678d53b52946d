"""Written as the attacker: whatever could reach a tool as something that its rule would not have let pass."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from policies.arguments.argument import described
from policies.arguments.rule import ToolArguments
from policies.arguments.settings import ArgumentConditions
from policies.engine import Engine
from policies.memory_ledger import MemoryLedger
from policies.settings import ToolSettings
from policies.verdict import ALLOW, AWAIT_ARGUMENTS, Refuse, Verdict
from trajectory.events import CallProposed, ToolAsked

RULES = {
    "shell_exec": {"command": {"allow": [r"ls( -la)?( [\w./-]+)?", "git (status|diff)"], "deny": [r"(?i)\brm\b"]}},
    "http_get": {"url": {"hosts": ["api.example.com", "*.docs.example.com", "build.example.com:8443"]}},
    "file_*": {"path": {"under": ["/workspace", "data"]}},
    "transfer": {"amount": {"min": 0, "max": 100}, "note": {"deny": ["secret"], "optional": True}},
}


def rule(rules: object = RULES) -> ToolArguments:
    return ToolArguments(ToolSettings.model_validate({"arguments": rules}).arguments)


ENGINE = Engine([rule()], MemoryLedger())


def called(tool: str, arguments: object, rules: object = RULES) -> Verdict:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    engine = ENGINE if rules is RULES else Engine([rule(rules)], MemoryLedger())
    return engine.judge(CallProposed("t", tool, "c1", text))


def refused(tool: str, arguments: object, rules: object = RULES) -> Refuse:
    verdict = called(tool, arguments, rules)
    assert isinstance(verdict, Refuse), arguments
    assert (verdict.code, verdict.rule) == ("tool_arguments_refused", "tool_arguments")
    return verdict


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("shell_exec", {"command": "ls"}),
        ("shell_exec", {"command": "ls -la src/x.py", "timeout": 3}),
        ("http_get", {"url": "https://api.example.com/v1?q=a@b#c"}),
        ("http_get", {"url": "HTTP://API.Example.COM"}),
        ("http_get", {"url": "https://a.b.docs.example.com:443/x"}),
        ("http_get", {"url": "https://build.example.com:8443/x"}),
        ("file_write", {"path": "/workspace/a b/c.txt", "content": "../../etc"}),
        ("file_read", {"path": "/workspace"}),
        ("file_read", {"path": "./data//x/[id].tsx"}),
        ("file_read", {"path": "/workspace/Zo\u00eb/cafe\u0301.md"}),
        ("transfer", {"amount": 100}),
        ("transfer", {"amount": 0.1, "note": "rent"}),
        ("weather", {"city": "Paris"}),
        ("weather", "not even JSON"),
    ],
)
def test_what_meets_its_conditions_passes(tool: str, arguments: object) -> None:
    assert called(tool, arguments) is ALLOW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[]",
        '"ls"',
        '[{"command":"ls"}]',
        '{"command":"ls"',
        '{"command":"ls"}x',
        '{"command":"ls"}{"command":"id"}',
        '{"command":"ls",}',
        "{'command':'ls'}",
        '{"command":"ls"/**/}',
        '\ufeff{"command":"ls"}',
        '{"command":"id","command":"ls"}',
        '{"command":"ls","x":{"a":1,"a":2}}',
        '{"command":"ls","n":NaN}',
        '{"command":"ls","n":Infinity}',
        '{"command":"ls","n":' + "9" * 5000 + "}",
        '{"command":"ls","n":1e' + "9" * 30 + "}",
        '{"command":"ls","Command":"id"}',
        '{"command":"ls","COMMAND":"id"}',
        '{"command":"ls","\\uff43ommand":"id"}',
        '{"command":"ls","comm\\u200band":"id"}',
        '{"command":"ls"," command":"id"}',
        '{"Command":"ls"}',
        '{"command":["ls"]}',
        '{"command":{"text":"ls"}}',
        '{"command":null}',
        '{"command":true}',
        '{"command":1}',
        '{"command":"ls\\ud800"}',
        '{"command":"ls\\u0000; id"}',
        "command=ls",
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 5_000 + "1" + "}" * 5_000,
        '{"command":"ls"}' + " " * (1024 * 1024),
    ],
)
def test_arguments_that_two_readers_could_read_in_two_ways_are_refused(text: str) -> None:
    refused("shell_exec", text)


@pytest.mark.parametrize(
    "command",
    [
        "ls; id",
        "ls\nid",
        "ls -la\n",
        " ls",
        "ls ",
        "lsof",
        "id",
        "ls rm",
        "ls x/RM",
        "git push",
        "",
        "ls " + "a" * 20_000,
    ],
)
def test_an_allowed_pattern_matches_all_of_a_text_and_a_denied_one_any_part(command: str) -> None:
    refused("shell_exec", {"command": command})


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/workspace/../etc/passwd",
        "/workspace/a/../../etc",
        "/workspace/..",
        "/workspace/...",
        "/workspace/.. /x",
        "/workspace2/x",
        "/workspacex",
        "/Workspace/x",
        "//workspace/x",
        "//host/workspace",
        "/workspace/%2e%2e/etc",
        "/workspace/%2fetc",
        "/workspace\\..\\etc",
        "\\workspace\\x",
        "/workspace/a\x00.txt",
        "/workspace/a\n/etc",
        "/workspace/\u202ex",
        "/workspace/\uff0e\uff0e/etc",
        "/workspace/\u2025/etc",
        "/workspace/..\uff0fetc",
        "~/x",
        "/workspace/~root/x",
        "/workspace/$HOME",
        "/workspace/`id`",
        "/workspace/a; id",
        "/workspace/a' '/etc/passwd",
        "/workspace/* /etc/x",
        " /workspace/x",
        "/workspace/x ",
        "file:///workspace/x",
        "C:/workspace",
        "data:x",
        "other/x",
        "data/../x",
        "workspace/x",
        "",
        "/",
        ".",
        "/workspace/" + "a" * 5000,
    ],
)
def test_a_path_is_below_its_folder_by_every_reading(path: str) -> None:
    refused("file_write", {"path": path})


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.com/",
        "https://api.example.com.evil.com/",
        "https://evil.com/api.example.com",
        "https://evil.com?https://api.example.com",
        "https://api.example.com@evil.com/",
        "https://api.example.com:443@evil.com/",
        "https://user:pw@api.example.com/",
        "https://api.example.com%2eevil.com/",
        "https://api.example.com%00.evil.com/",
        "https://api.example.com\\@evil.com/",
        "https://evil.com\\.api.example.com/",
        "https://api.example.com#@evil.com/",
        "https://api.example.com?@evil.com/",
        "https:/api.example.com/",
        "https:api.example.com",
        "https:///api.example.com",
        "//api.example.com/",
        "api.example.com",
        "ftp://api.example.com/",
        "file:///etc/passwd",
        "javascript://api.example.com/%0aalert(1)",
        " https://api.example.com/",
        "https://api.example.com/ x",
        "https://api.exa\tmple.com/",
        "https://api.example.com\r\nHost: evil.com/",
        "https://api.\u00adexample.com/",
        "https://docs.example.com/",
        "https://build.example.com/",
        "http://build.example.com:80/",
        "https://[::1]/",
        "https://2130706433/",
        "https://api.example.com:99999/",
        "https://\u0430pi.example.com/",
        "https://api.example.com/" + "a" * 9000,
    ],
)
def test_a_url_is_of_its_host_by_every_reading(url: str) -> None:
    refused("http_get", {"url": url})


@pytest.mark.parametrize(
    "amount",
    [
        "100.01",
        "100.00000000000000001",
        "-0.0000000000000001",
        "1e3",
        "1E400",
        '"1"',
        '"100"',
        "true",
        "null",
        "[1]",
        "{}",
    ],
)
def test_a_number_is_a_number_and_within_its_bounds(amount: str) -> None:
    refused("transfer", f'{{"amount":{amount}}}')


def test_an_optional_argument_may_be_left_out_and_is_judged_where_it_is_not() -> None:
    assert called("transfer", {"amount": 1}) is ALLOW
    refused("transfer", {"amount": 1, "note": "a secret"})
    refused("transfer", {"note": "rent"})


def test_each_entry_that_matches_a_name_must_be_met() -> None:
    rules = {"file_*": {"path": {"under": ["/workspace"]}}, "file_write": {"path": {"deny": [r"\.env$"]}}}
    assert called("file_read", {"path": "/workspace/.env"}, rules) is ALLOW
    refused("file_write", {"path": "/workspace/.env"}, rules)
    refused("file_write", {"path": "/etc/x"}, rules)


def test_before_the_arguments_are_there_only_calls_that_they_concern_wait() -> None:
    engine = Engine([rule()], MemoryLedger())
    assert engine.reads_arguments and not Engine([], MemoryLedger()).reads_arguments
    assert engine.judge(CallProposed("t", "shell_exec")) is AWAIT_ARGUMENTS
    assert engine.judge(CallProposed("t", "weather")) is ALLOW


def test_a_call_that_waits_is_refused_at_once_where_its_name_is() -> None:
    class Never:
        name = "never"
        events = frozenset({CallProposed})

        def judge(self, event: object, ledger: object) -> Verdict:
            return Refuse("tool_not_allowed", "never", "no")

    verdict = Engine([rule(), Never()], MemoryLedger()).judge(CallProposed("t", "shell_exec"))
    assert isinstance(verdict, Refuse) and verdict.code == "tool_not_allowed"


def asked(arguments: str, tool: str = "transfer", unread: str = "", **more: object) -> Verdict:
    event = ToolAsked("t", "shop", "h", tool, "d", 0, arguments, unread=unread, **more)  # type: ignore[arg-type]
    return Engine([rule()], MemoryLedger()).judge(event)


@pytest.mark.parametrize("path", ["v1/transfer", "transfer/7", "v1/transfer/7/now"])
def test_a_call_of_a_path_is_judged_wherever_the_name_stands_in_it(path: str) -> None:
    assert isinstance(asked('{"amount": 500}', tool=path), Refuse) and asked('{"amount": 5}', tool=path) is ALLOW
    assert asked('{"amount": 500}', tool="transfers/7") is ALLOW


def test_a_call_over_http_is_judged_by_its_body_or_its_query() -> None:
    assert asked('{"amount": 5}') is ALLOW
    assert asked("amount=5&note=rent+due") is ALLOW
    for query in ("amount=500", "amount=5&amount=6", "amount=5&note=a%20sec%72et", "amount", "amount=5;amount=900",
                  "amount=%ff", "amount=5&Amount=900", "amount=1e9", "amount=5.", "amount=\u0665", "amount=--5",
                  "amount=+5", '"amount=5', "amount=5&" * 2000):  # fmt: skip
        assert isinstance(asked(query), Refuse), query
    assert isinstance(asked('{"amount": 5}', unread="a query stands beside the body"), Refuse)
    assert asked("{}", tool="weather", unread="whatever") is ALLOW


def test_a_call_is_judged_by_the_rules_of_all_its_names() -> None:
    assert isinstance(asked('{"amount": 500}', tool="send", aliases=("transfer",)), Refuse)


def test_what_is_said_names_the_condition_and_quotes_no_value() -> None:
    said = refused("shell_exec", {"command": "rm -rf PRIVATE"}).message
    assert "policies.tools.arguments" in said and '"command"' in said and "PRIVATE" not in said
    assert "git (status|diff)" in said
    assert "at most 100" in refused("transfer", {"amount": 987654}).message
    assert "987654" not in refused("transfer", {"amount": 987654}).message
    assert "/workspace" in refused("file_read", {"path": "/PRIVATE"}).message


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ({}, "no condition"),
        ({"optional": True}, "no condition"),
        ({"allow": []}, "at least 1"),
        ({"allow": ["("]}, "unclosed group"),
        ({"allow": ["a)|(b"]}, "unopened group"),
        ({"deny": [r"(?=x)"]}, "look-around"),
        ({"deny": [r"(x)\1"]}, "backreferences"),
        ({"deny": ["(?:.{1,200}){1,200}x"]}, "size limit"),
        ({"deny": ["x" * 2000]}, "1000 characters"),
        ({"under": ["/a/../b"]}, "a folder is a path"),
        ({"hosts": ["http://x"]}, "host"),
        ({"min": 2, "max": 1}, "min is more than max"),
        ({"max": "100"}, "valid number"),
        ({"max": 1, "allow": ["1"]}, "a number has no text"),
        ({"under": ["/a"], "hosts": ["b.com"]}, "both a path"),
        ({"regex": "x"}, "Extra inputs"),
    ],
)
def test_conditions_that_cannot_be_meant_are_refused_when_they_are_read(conditions: object, why: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(why)):
        rule({"tool": {"argument": conditions}})


def test_no_pattern_can_hang_the_proxy() -> None:
    """Patterns that take a backtracking engine longer than the universe has; the timeout of this test is the proof."""
    for pattern in ("(a+)+$", "(a|a)*b", "(.*)*(.*)*(.*)*x"):
        refused("t", {"x": "a" * 16_000}, {"t": {"x": {"allow": [pattern + "y"]}}})
    refused("t", {"x": "a" * 16_385}, {"t": {"x": {"deny": ["b"]}}})


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=200))
def test_whatever_the_text_it_is_allowed_or_refused_and_never_fails(text: str) -> None:
    for tool in RULES:
        for arguments in (text, json.dumps({"command": text, "url": text, "path": text, "amount": text})):
            verdict = called(tool, arguments)
            assert verdict is ALLOW or (isinstance(verdict, Refuse) and verdict.code == "tool_arguments_refused")


@settings(deadline=None)
@given(st.lists(st.sampled_from(["..", ".", "a", "workspace", "", "~", "\uff0e."]), max_size=6).map("/".join))
def test_no_path_that_passes_leads_out_of_its_folder(path: str) -> None:
    if called("file_read", {"path": path}) is ALLOW:
        names = [name for name in path.split("/") if name not in ("", ".")]
        assert ".." not in names and names[:1] in (["workspace"], ["data"])


@pytest.mark.parametrize("name", ["Shell_Exec", "SHELL_EXEC", " shell_exec\n", "shell_exec\u200b", "\uff53hell_exec"])
def test_a_name_that_an_agent_may_take_for_the_tool_is_judged_like_it(name: str) -> None:
    """Some agents look a name up in lower case, or trim it, where they know no tool of that very name."""
    refused(name, {"command": "rm -rf /"})
    assert called(name, {"command": "ls"}) == ALLOW
    refused("FILE_read", {"path": "/etc/passwd"})
    assert ENGINE.judge(CallProposed("t", name)) == AWAIT_ARGUMENTS


def test_a_bound_is_said_as_it_is_meant() -> None:
    """A model that is told 1e+06 in the place of 1000001 cannot keep to it."""
    bounds = ArgumentConditions(min=-0.1, max=1_000_001)
    assert described(bounds) == "a number, at least -0.1 and at most 1000001"
