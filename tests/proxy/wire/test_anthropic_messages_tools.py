from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.layout import Layout, read_layout
from tests.support.anthropic_requests import HI, PATH, WIRE, layout, raw, sent, tool


def names(laid: Layout) -> list[str]:
    return [one.name for one in WIRE.read_request(laid, PATH).tools]


def server(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "url", "name": name, "url": f"https://{name}.example/mcp", **more}


def toolset(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "mcp_toolset", "mcp_server_name": name, **more}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (tool("a"), ["a"]),
        (tool("a", type="custom", defer_loading=True), ["a"]),
        ({"type": None, "name": "a", "input_schema": {}}, ["a"]),
        ({"type": "bash_20250124", "name": "bash"}, ["bash"]),
        ({"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}, ["str_replace_based_edit_tool"]),
        ({"type": "memory_20250818", "name": "memory"}, ["memory"]),
        ({"type": "computer_20251124", "name": "computer"}, ["computer"]),
        ({"type": "web_search_20260209", "name": "web_search"}, ["web_search_20260209"]),
        ({"type": "web_fetch_20260309", "name": "web_fetch"}, ["web_fetch_20260309"]),
        ({"type": "code_execution_20260521", "name": "code_execution"}, ["code_execution_20260521"]),
        ({"type": "tool_search_tool_bm25_20251119", "name": "t"}, ["tool_search_tool_bm25_20251119"]),
        ({"type": "advisor_20260301", "name": "advisor", "model": "m"}, ["advisor_20260301"]),
        ({"type": "computer_toolset_20260801"}, ["computer_toolset_20260801"]),
        ({"type": "browser_toolset_20260801", "configs": {}}, ["browser_toolset_20260801"]),
        ({"type": "from_the_future", "name": "bash"}, ["from_the_future"]),
        (toolset("files"), ["mcp.files.*"]),
        (toolset("files", tools=[tool("read"), tool("write")]), ["mcp.files.read", "mcp.files.write"]),
        (
            toolset("files", default_config={"enabled": False}, configs={"read": {"enabled": True}, "rm": {}}),
            ["mcp.files.read"],
        ),
    ],
)
def test_each_kind_of_tool_has_a_name_for_the_allowlist(entry: dict[str, Any], expected: list[str]) -> None:
    assert names(layout(tools=[entry])) == expected
    laid = layout(tools=[tool("kept"), entry], tool_choice={"type": "any"})
    WIRE.drop_tools(laid, frozenset(expected))
    assert sent(laid)["tools"] == [tool("kept")]
    assert sent(laid)["tool_choice"] == {"type": "any"}


def test_dropping_tools_leaves_every_other_byte() -> None:
    before = b'{ "tools" : [ {"name":"a"},  {"name":"b"} , {"name":"c"}],"model":"m", "messages":[ {"role":"user"} ] }'
    laid = read_layout(before, "messages")
    WIRE.drop_tools(laid, frozenset("b"))
    assert raw(laid) == before.replace(b',  {"name":"b"}', b"")


def test_a_request_without_any_tool_left_names_none() -> None:
    laid = layout(tools=[tool("a")], tool_choice={"type": "auto"}, mcp_servers=[server("files")])
    WIRE.drop_tools(laid, frozenset({"a", "mcp.files.*"}))
    assert sent(laid).keys() == {"model", "max_tokens", "messages"}


def test_an_mcp_server_goes_with_its_toolset() -> None:
    listed = [tool("a"), toolset("files", tools=[tool("read"), tool("rm")]), toolset("web")]
    laid = layout(tools=listed, mcp_servers=[server("files"), server("web")])
    assert set(names(laid)) == {"a", "mcp.files.read", "mcp.files.rm", "mcp.web.*"}
    WIRE.drop_tools(laid, frozenset({"mcp.files.rm"}))
    assert sent(laid)["tools"] == [tool("a"), toolset("web")]
    assert sent(laid)["mcp_servers"] == [server("web")]


def test_an_mcp_server_of_the_older_beta_brings_tools_without_a_toolset() -> None:
    listed = [server("files", tool_configuration={"allowed_tools": ["read"]}), server("web")]
    laid = layout(mcp_servers=listed)
    assert names(laid) == ["mcp.files.read", "mcp.web.*"]
    WIRE.drop_tools(laid, frozenset({"mcp.web.*"}))
    assert sent(laid)["mcp_servers"] == [listed[0]]


def addition(entry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_addition", "tool": entry}


def defining(entry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_definition", "definition": entry}


CHANGED = [
    HI,
    {"role": "system", "content": [addition(defining(tool("a"))), {"type": "text", "text": "new tools"},
                                   addition(defining({"type": "web_search_20260209", "name": "web_search"})),
                                   addition({"type": "tool_reference", "name": "b"})]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [
        {"type": "tool_reference", "tool_name": "b"}, {"type": "tool_reference", "tool_name": "c"}]}]},
    {"role": "system", "content": [{"type": "tool_removal", "tool": {"type": "tool_reference", "name": "a"}}]},
]  # fmt: skip


def test_tools_that_come_in_mid_conversation_are_offered_and_kept_out() -> None:
    laid = layout(messages=CHANGED, tools=[tool("b", defer_loading=True), tool("c")])
    assert names(laid) == ["b", "c", "a", "web_search_20260209"]
    WIRE.drop_tools(laid, frozenset({"a", "b", "web_search_20260209"}))
    out = sent(laid)["messages"]
    assert [b["type"] for b in out[1]["content"]] == ["text"] * 4
    assert out[1]["content"][1]["text"] == "new tools"
    assert [b["type"] for b in out[2]["content"][0]["content"]] == ["text", "tool_reference"]
    assert [b["type"] for b in out[3]["content"]] == ["text"]
    assert b'"a"' not in raw(laid)


def test_a_tool_kept_out_stays_out_in_later_turns_byte_for_byte() -> None:
    first = layout(messages=CHANGED, tools=[tool("b"), tool("c")])
    names(first)
    WIRE.drop_tools(first, frozenset("a"))
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [*CHANGED, HI], "tools": [tool("b"), tool("c")]})
    second = read_layout(body.encode(), "messages", first)
    assert second.kept == len(CHANGED)
    assert "a" in names(second)
    WIRE.drop_tools(second, frozenset("a"))
    assert sent(second)["messages"][: len(CHANGED)] == sent(first)["messages"]


def test_a_message_of_which_nothing_is_left_still_says_what_the_client_brought() -> None:
    added = {"role": "system", "content": [addition(defining(tool("a")))]}
    first = layout(messages=[HI, added])
    WIRE.drop_tools(first, frozenset("a"))
    second = read_layout(
        json.dumps({"model": "m", "max_tokens": 9, "messages": [HI, added, HI]}).encode(), "messages", first
    )
    assert names(second) == ["a"]


def test_a_tool_added_within_a_compacted_range_is_offered_too() -> None:
    block = {"type": "compaction", "content": "…", "signature": "s", "tool_changes": [addition(defining(tool("a")))]}
    laid = layout(messages=[{"role": "assistant", "content": [block]}, HI])
    assert names(laid) == ["a"]
    WIRE.drop_tools(laid, frozenset("a"))
    assert b"does a" not in raw(laid)


def test_a_toolset_of_an_mcp_server_is_kept_out_mid_conversation() -> None:
    content = [
        addition(defining(toolset("files"))),
        addition({"type": "mcp_toolset_reference", "server_name": "files"}),
        addition({"type": "mcp_tool_reference", "server_name": "files", "name": "read"}),
        addition({"type": "mcp_tool_reference", "server_name": "web", "name": "read"}),
    ]
    laid = layout(messages=[HI, {"role": "system", "content": content}])
    assert names(laid) == ["mcp.files.*"]
    WIRE.drop_tools(laid, frozenset({"mcp.files.*"}))
    assert [b["type"] for b in sent(laid)["messages"][1]["content"]] == ["text"] * 3 + ["tool_addition"]
