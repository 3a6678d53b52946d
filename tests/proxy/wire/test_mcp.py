from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.mcp import (
    is_stateless,
    read_message,
    rpc_error,
    sampled_calls,
    state_of,
    task_of,
    tool_lists,
    tool_refusal,
    without_tools,
)
from trajectory.errors import FormatError

CALL = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","arguments":{ "a" : 1 }}}'


def message(**fields: Any) -> Any:
    return read_message(json.dumps({"jsonrpc": "2.0", **fields}).encode())


def listed(*names: str, **rest: Any) -> Any:
    return message(id=1, result={"tools": [{"name": name} for name in names], **rest})


def test_a_call_is_read_with_its_raw_arguments() -> None:
    call = read_message(CALL)
    assert (call.method, call.tool, call.arguments, call.id, call.is_request) == (
        "tools/call", "add", '{ "a" : 1 }', b"7", True,
    )  # fmt: skip


def test_no_spelling_of_a_key_hides_the_arguments() -> None:
    assert read_message(CALL.replace(b'"arguments"', b'"argu\\u006dents"')).arguments == '{ "a" : 1 }'
    with pytest.raises(FormatError, match="not valid JSON"):
        _ = read_message(CALL.replace(b'"a" : 1', b'"\\ud800" : 1')).arguments


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"[]", "batches"),
        (b'[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}]', "batches"),
        (b'"x"', "not a JSON-RPC message"),
        (b"{}", "one of method"),
        (b'{"method":"a","result":{}}', "one of method"),
        (b'{"result":{},"error":{}}', "one of method"),
        (b'{"method":1}', "'method' must be"),
        (b'{"method":""}', "'method' must be"),
        (b'{"method":"a","id":null}', "'id' must be"),
        (b'{"method":"a","id":1.5}', "'id' must be"),
        (b'{"method":"a","id":true}', "'id' must be"),
        (b'{"method":"tools/call","id":1,"params":{}}', "must name a tool"),
        (b'{"method":"tools/call","id":1,"params":[{"name":"x"}]}', "must name a tool"),
        (b'{"method":"tools/call","id":1,"params":{"name":"a","name":"b"}}', "stands twice"),
        (b'{"method":"tools/call","id":1,"params":{"name":"a","Name":"b"}}', "take for a key in lower case"),
        (b'{"method":"ping","id":1,"Method":"tools/call"}', "take for a key in lower case"),
        (b'{"id":1,"result":{"Tools":[]}}', "take for a key in lower case"),
        (b'{"method":"a"} {}', "not valid JSON"),
        (b'\xef\xbb\xbf{"method":"a"}', "not valid JSON"),
        (b'{"method":"a\xff"}', "not valid JSON"),
        (b'{"method":"a","params":NaN}', "not valid JSON"),
        (b'{"a":' * 5000, "not valid JSON"),
    ],
)
def test_what_two_readers_could_take_for_two_things_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        read_message(raw)


def test_the_digest_is_that_of_the_same_request_sent_again() -> None:
    first = message(id=1, method="tools/call", params={"name": "a", "arguments": {"x": 1, "y": 2}, "_meta": {"p": 1}})
    again = message(id="z", method="tools/call", params={"arguments": {"y": 2, "x": 1}, "name": "a", "_meta": {"p": 2}})
    other = message(id=1, method="tools/call", params={"name": "a", "arguments": {"x": 1, "y": 3}})
    continued = message(id=2, method="tools/call", params={**first.params, "requestState": "s"})
    assert first.digest("u") == again.digest("u")
    assert len({m.digest("u") for m in (first, other, continued)} | {first.digest("v")}) == 4


@pytest.mark.parametrize(
    ("asked", "answered", "expected"),
    [(1, 1, True), (1, "1", False), (1, 2, False), ("a", "a", True), (1, None, True)],
)
def test_an_answer_has_the_id_of_its_request(asked: Any, answered: Any, expected: bool) -> None:
    reply = message(id=answered, error={"code": 1, "message": ""})
    assert reply.answers(message(id=asked, method="ping")) is expected


def test_a_request_of_the_server_is_no_answer() -> None:
    assert not message(id=1, method="roots/list").answers(message(id=1, method="tools/list"))


def test_versions_from_2026_07_28_on_are_stateless() -> None:
    assert [v for v in ("", "2025-11-25", "2026-07-28", "2027-01-01", "draft", "zzz") if is_stateless(v)] == [
        "2026-07-28", "2027-01-01",
    ]  # fmt: skip


def test_tools_are_found_wherever_a_message_brings_them() -> None:
    sampling = {"messages": [], "tools": [{"name": "a"}, {"name": "b"}], "toolChoice": {"mode": "required"}}
    asked = message(id=1, method="sampling/createMessage", params=sampling)
    wanted = {"q": {"method": "sampling/createMessage", "params": sampling}, "e": {"method": "elicitation/create"}}
    required = message(id=1, result={"resultType": "input_required", "inputRequests": wanted})
    assert [one.names for m in (listed("x", "y"), asked, required) for one in tool_lists(m)] == [
        ("x", "y"), ("a", "b"), ("a", "b"),
    ]  # fmt: skip
    assert tool_lists(message(id=1, method="tools/call", params={"name": "t", "tools": [{"name": "x"}]})) == []
    for one in (asked, required):
        kept = json.loads(without_tools(one, frozenset({"a"})))
        none = json.loads(without_tools(one, frozenset({"a", "b"})))
        params = (
            [m["params"] for m in (kept, none)]
            if one is asked
            else [m["result"]["inputRequests"]["q"]["params"] for m in (kept, none)]
        )
        assert (params[0]["tools"], params[0]["toolChoice"]) == ([{"name": "b"}], {"mode": "required"})
        assert (params[1]["tools"], params[1]["toolChoice"]) == ([], {"mode": "none"})


def test_a_filtered_list_keeps_bytes_and_order_of_the_rest() -> None:
    raw = (
        b'{"jsonrpc":"2.0", "id":1,"result":{"tools":[ {"name":"a","x":1.0} , {"name":"b"},\n{"name":"c","y":"\\u00e9"}'
        b' ],"nextCursor":"n","ttlMs":5,"cacheScope":"public"}}'
    )
    assert without_tools(read_message(raw), frozenset({"b"})) == (
        b'{"jsonrpc":"2.0", "id":1,"result":{"tools":[ {"name":"a","x":1.0},\n{"name":"c","y":"\\u00e9"}'
        b' ],"nextCursor":"n","ttlMs":5,"cacheScope":"private"}}'
    )


@given(st.lists(st.sampled_from("abcd"), max_size=6), st.frozensets(st.sampled_from("abcd")))
def test_filtering_leaves_just_the_others(names: list[str], refused: frozenset[str]) -> None:
    left = json.loads(without_tools(listed(*names, nextCursor="n"), refused))["result"]
    assert left == {"tools": [{"name": n} for n in names if n not in refused], "nextCursor": "n"}


def test_tools_without_a_name_go_by_the_empty_one() -> None:
    odd = message(id=1, result={"tools": [{"name": 3}, "x", None, {"name": "a"}]})
    assert tool_lists(odd)[0].names == ("", "", "", "a")
    assert json.loads(without_tools(odd, frozenset({""})))["result"]["tools"] == [{"name": "a"}]


def test_calls_that_the_client_sampled_are_found() -> None:
    use = {"type": "tool_use", "id": "1", "name": "shell", "input": {"command": "ls"}}
    called = ("shell", '{"command": "ls"}')
    assert sampled_calls(message(id=1, result={"role": "assistant", "content": use})) == (called,)
    assert sampled_calls(message(id=1, result={"content": [{"type": "text", "text": "x"}, use]})) == (called,)
    responses = {"q": {"role": "assistant", "content": [use, {"type": "tool_use"}]}}
    assert sampled_calls(message(id=1, method="tools/call", params={"name": "t", "inputResponses": responses})) == (
        called, ("", ""),
    )  # fmt: skip
    assert sampled_calls(message(id=1, result={"content": "x"})) == ()


def test_tasks_and_states_are_found_on_both_sides() -> None:
    assert task_of(message(id=1, result={"task": {"taskId": "t"}})) == "t"
    assert task_of(message(id=1, result={"resultType": "task", "taskId": "t"})) == "t"
    assert task_of(message(id=1, method="tasks/get", params={"taskId": "t"})) == "t"
    assert task_of(message(id=1, method="tools/call", params={"name": "x", "taskId": "t"})) == ""
    assert state_of(message(id=1, result={"requestState": "s"})) == "s"
    assert state_of(message(id=1, method="tools/call", params={"name": "x", "requestState": "s"})) == "s"


def test_a_refusal_is_the_result_of_a_tool_that_failed() -> None:
    call = read_message(CALL.replace(b"7", b'"a\\"b"'))
    old, new = (json.loads(tool_refusal(call, 'no "x" é', stateless=s)) for s in (False, True))
    assert old == {
        "jsonrpc": "2.0", "id": 'a"b', "result": {"content": [{"type": "text", "text": 'no "x" é'}], "isError": True},
    }  # fmt: skip
    assert new["result"].pop("resultType") == "complete"
    assert new == old


def test_an_error_has_the_id_of_the_request_where_there_is_one() -> None:
    assert json.loads(rpc_error(read_message(CALL), -32000, "no", "x"))["id"] == 7
    assert json.loads(rpc_error(message(method="notifications/initialized"), -32000, "no", "x"))["id"] is None
    assert json.loads(rpc_error(None, -32600, "no", "unreadable_body")) == {
        "jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no", "data": {"code": "unreadable_body"}},
    }  # fmt: skip


def test_a_tool_with_two_spellings_of_its_name_is_refused() -> None:
    with pytest.raises(FormatError, match="a tool has the key"):
        tool_lists(message(id=1, result={"tools": [{"name": "a", "NAME": "b"}]}))
