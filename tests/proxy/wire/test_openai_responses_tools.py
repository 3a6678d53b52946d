from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.format import Asked
from proxy.wire.layout import Layout, read_layout
from proxy.wire.openai_responses import OpenAIResponses
from tests.support import responses as r
from tests.support.judging import Judge

WIRE = OpenAIResponses()
PATH = "/v1/responses"


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": {"type": "object"}, **more}


def laid(previous: Layout | None = None, **body: Any) -> Layout:
    return read_layout(json.dumps({"model": "m-1", **body}, indent=1).encode(), WIRE.list_key, previous)


def asked(**body: Any) -> Asked:
    return WIRE.read_request(laid(**body), PATH)


def offered(**body: Any) -> list[str]:
    return [tool.name for tool in asked(**body).tools]


def sent(layout: Layout) -> Any:
    return json.loads(b"".join(span.data for span in layout.assembled()))


def dropped(*names: str, **body: Any) -> Any:
    layout = laid(**body)
    WIRE.read_request(layout, PATH)
    WIRE.drop_tools(layout, frozenset(names))
    return sent(layout)


NAMESPACE = {"type": "namespace", "name": "crm", "description": "d", "tools": [tool("find"), tool("drop")]}
MCP = {"type": "mcp", "server_label": "trusted", "server_url": "https://u:p@Mcp.Example.com:8443/x", "allowed_tools": 3}
SEARCHED = {"type": "tool_search_output", "call_id": "c1", "tools": [tool("found"), NAMESPACE]}
ADDITIONAL = {"type": "additional_tools", "role": "developer", "tools": [tool("late"), {"type": "shell"}]}


def test_every_place_that_brings_tools_is_offered() -> None:
    builtin = ["web_search", "file_search", "code_interpreter", "computer_use_preview", "local_shell", "apply_patch"]
    tools = [tool("a"), {"type": "custom", "name": "free"}, NAMESPACE, MCP, *({"type": kind} for kind in builtin)]
    assert offered(tools=tools, input=[SEARCHED, ADDITIONAL, {"role": "user", "content": "x"}]) == [
        "a", "free", "crm.find", "crm.drop", "mcp:mcp.example.com:8443", *builtin,
        "found", "crm.find", "crm.drop", "late", "shell",
    ]  # fmt: skip
    assert offered(tools=[{"type": "mcp", "server_label": "x", "connector_id": "connector_gmail"}]) == [
        "mcp:connector_gmail"
    ]
    assert offered(tools=[{"type": "namespace", "name": "n", "tools": []}]) == ["n.*"]


def test_a_built_in_tool_goes_by_its_type_whatever_it_calls_itself() -> None:
    assert offered(tools=[{"type": "web_search", "name": "get_weather"}, {"type": "newer", "name": "a"}]) == [
        "web_search", "newer",
    ]  # fmt: skip


def test_a_function_in_a_namespace_of_its_own_name_goes_by_that_name() -> None:
    assert offered(tools=[{"type": "namespace", "name": "a", "tools": [tool("a")]}]) == ["a"]
    judge = Judge()
    WIRE.read_reply(r.body(r.function("a", namespace="a"), r.function("b", namespace="a")), judge)
    assert [name for name, _ in judge.asked] == ["a", "a.b"]


@pytest.mark.parametrize(
    ("choice", "forced"),
    [
        ("auto", None), ("required", None), (None, None),
        ({"type": "function", "name": "a"}, "a"), ({"type": "custom", "name": "free"}, "free"),
        ({"type": "function", "name": "find"}, "crm.find"), ({"type": "function", "name": "unknown"}, "unknown"),
        ({"type": "shell"}, "shell"), ({"type": "web_search_preview"}, "web_search_preview"),
        ({"type": "mcp", "server_label": "trusted", "name": "x"}, "mcp:mcp.example.com:8443"),
        ({"type": "mcp", "server_label": "other"}, "other"),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "a"}]}, None),
    ],
)  # fmt: skip
def test_a_forced_tool_is_named(choice: Any, forced: str | None) -> None:
    tools = [tool("a"), NAMESPACE, MCP]
    assert asked(tools=tools, tool_choice=choice).forced_tool == forced


def test_a_stored_prompt_counts_as_a_tool_that_must_be_used() -> None:
    prompt = {"id": "pmpt_1", "variables": {"x": "y"}}
    assert asked(prompt=prompt).forced_tool == "prompt.pmpt_1"
    assert asked(prompt=prompt, tool_choice={"type": "function", "name": "a"}).forced_tool == "prompt.pmpt_1"


def test_dropped_tools_leave_the_bytes_of_the_others() -> None:
    layout = laid(tools=[tool("a"), NAMESPACE, MCP, tool("b")], input=[SEARCHED, ADDITIONAL], store=False)
    WIRE.read_request(layout, PATH)
    WIRE.drop_tools(layout, frozenset({"a", "crm.drop", "mcp:mcp.example.com:8443", "late"}))
    left = sent(layout)
    crm = {**NAMESPACE, "tools": [tool("find")]}
    assert left["tools"] == [crm, tool("b")]
    assert left["input"] == [{**SEARCHED, "tools": [tool("found"), crm]}, {**ADDITIONAL, "tools": [{"type": "shell"}]}]
    out = b"".join(span.data for span in layout.assembled())
    assert json.dumps(tool("b"), indent=1)[1:-1].replace("\n", "\n  ").encode() in out


def test_tools_dropped_from_an_item_stay_dropped_in_the_turns_after_it() -> None:
    turns = [ADDITIONAL, r.message("ok"), {"role": "user", "content": "x"}]
    before: Layout | None = None
    for count in (1, 2, 3):
        layout = laid(before, input=turns[:count])
        assert layout.kept == count - 1
        WIRE.read_request(layout, PATH)
        WIRE.drop_tools(layout, frozenset({"late"}))
        assert sent(layout)["input"] == [{**ADDITIONAL, "tools": [{"type": "shell"}]}, *turns[1:count]]
        if before is not None:  # what was edited and masked once is neither edited nor masked again
            assert layout.items[0].section is before.items[0].section
        before = layout


def test_the_choice_follows_what_is_left() -> None:
    a, b = {"type": "function", "name": "a"}, {"type": "function", "name": "b"}
    both = {"type": "allowed_tools", "mode": "auto", "tools": [a, b]}
    tools = [tool("a"), tool("b")]
    assert dropped("a", tools=tools, tool_choice=both)["tool_choice"] == {**both, "tools": [b]}
    assert dropped("a", tools=tools, tool_choice="required")["tool_choice"] == "required"
    assert "tool_choice" not in dropped("a", tools=tools, tool_choice={**both, "tools": [a]})
    assert "tool_choice" not in dropped("a", tools=tools, tool_choice=a)
    nothing = dropped("a", "b", tools=tools, tool_choice="required", parallel_tool_calls=False)
    assert nothing == {"model": "m-1", "parallel_tool_calls": False}
    shell = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "trusted"}, b]}
    narrowed = dropped("mcp:mcp.example.com:8443", tools=[MCP, tool("b")], tool_choice=shell)
    assert narrowed["tool_choice"]["tools"] == [b]
