from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.openai_responses import OpenAIResponses
from tests.support import responses as r
from tests.support.judging import notice
from tests.support.strict import Item, call, say
from tests.support.strict_responses import StrictResponses
from tests.support.talking import Talk

STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def talk() -> Talk:
    made = Talk(OpenAIResponses(), StrictResponses())
    made.user("Clean up.")
    return made


def items(talk: Talk) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(talk.sent[-1])["input"]
    return listed


def kinds(talk: Talk) -> list[str]:
    return [item.get("type", item.get("role")) for item in items(talk) if item.get("type") != "reasoning"]


@STREAMED
def test_a_refused_call_is_put_back_in_its_place_and_its_output_behind_the_response(stream: bool) -> None:
    chat = talk()
    chat.results(chat.turn(say("Now."), call("bad", b=2), call("ok", a=1), stream=stream))
    chat.turn(say("Done."), stream=stream)
    assert kinds(chat) == ["user", "message", "function_call", "function_call", *["function_call_output"] * 2]
    refused = next(item for item in items(chat) if item.get("name") == "bad")
    assert (refused["id"], refused["arguments"]) == (f"fc_{refused['call_id']}", '{"b": 2}')
    output = {"type": "function_call_output", "call_id": refused["call_id"], "output": notice("bad")}
    assert items(chat)[-2] == output


@STREAMED
def test_reasoning_stays_valid_over_many_turns_of_refused_calls(stream: bool) -> None:
    chat = talk()
    for _ in range(4):
        chat.results(chat.turn(call("bad"), say("And"), call("ok"), call("bad"), stream=stream))
        chat.turn(call("bad"), stream=stream)
        chat.user("Go on.")
    chat.turn(say("Done."), stream=stream)
    for before, after in zip(chat.sent, chat.sent[1:], strict=False):
        assert after.startswith(before[: before.rindex(b"]")])


@STREAMED
@pytest.mark.parametrize("following", ["string", "message", "results"])
def test_a_response_that_the_server_holds_gets_its_outputs_first(stream: bool, following: str) -> None:
    chat = talk()
    server = chat.upstream
    assert isinstance(server, StrictResponses)
    got = chat.turn(call("bad"), *([call("ok")] if following == "results" else []), stream=stream)
    for _ in range(3):
        chat.history.clear()
        chat.results(got)
        if following == "message":
            chat.user("Go on.")
        more = {"previous_response_id": server.response}
        if following == "string":
            body = server.request([], streamed=stream, **more).replace(b'"input": []', b'"input": "Go on."')
            request = chat.pass_on(body)
            assert server.problem(request) is None
            got = server.got(chat.answered(server.said(request, [call("bad")]), stream=stream), streamed=stream)
        else:
            got = chat.turn(call("bad"), *([call("ok")] if following == "results" else []), stream=stream, **more)
        assert items(chat)[0] == {"type": "function_call_output", "call_id": items(chat)[0]["call_id"],
                                  "output": notice("bad")}  # fmt: skip


def test_a_branch_off_an_older_response_answers_the_calls_of_that_one() -> None:
    chat = talk()
    server = chat.upstream
    assert isinstance(server, StrictResponses)
    chat.turn(call("bad"))
    first = server.response
    for _ in range(2):
        chat.history = [server.user("Go on.")]
        chat.turn(call("bad"), previous_response_id=first)
        assert len(items(chat)) == 2


def test_a_conversation_that_the_server_holds_waits_only_for_the_calls_of_its_latest_response() -> None:
    chat = talk()

    def asked(said: list[Item]) -> int:
        chat.pass_on(
            json.dumps({"model": "m", "conversation": "conv_1", "input": [{"role": "user", "content": "x"}]}).encode()
        )
        chat.answered(said, stream=False)
        return len(items(chat))

    assert asked([r.function("bad")]) == 1
    assert asked([r.message("So.")]) == 2
    assert asked([r.message("So.")]) == 1


@STREAMED
def test_references_to_items_are_those_to_what_the_server_holds(stream: bool) -> None:
    chat = talk()
    got = chat.turn(call("bad"), call("ok"), stream=stream)
    chat.history[1:] = [{"type": "item_reference", "id": item["id"]} for item in got]
    chat.results(got)
    chat.turn(say("Done."), stream=stream)
    assert [item["id"][:3] for item in items(chat) if item.get("type") == "item_reference"] == ["rs_", "fc_"] * 2


@pytest.mark.parametrize(
    ("item", "output"),
    [
        (r.custom("bad", "rm"), {"type": "custom_tool_call_output", "output": notice("bad")}),
        (r.shell("rm -rf /"), {"type": "shell_call_output", "output": [{"stdout": "", "stderr": notice("shell"),
                               "outcome": {"type": "exit", "exit_code": 1}}]}),
        ({"id": "ap_1", "type": "apply_patch_call", "call_id": "call_p", "status": "completed",
          "operation": {"type": "delete_file", "path": "x"}},
         {"type": "apply_patch_call_output", "status": "failed", "output": notice("apply_patch")}),
    ],
)  # fmt: skip
@STREAMED
def test_calls_of_other_kinds_get_outputs_of_their_kind(item: Item, output: Item, stream: bool) -> None:
    chat = Talk(OpenAIResponses(), StrictResponses(), refused=("bad", "shell", "apply_patch"))
    chat.user("Clean up.")
    chat.pass_on(chat.upstream.request(chat.history, streamed=stream))
    chat.history += chat.upstream.got(chat.answered([item], stream=stream), streamed=stream)
    chat.user("And?")
    chat.turn(say("No."), stream=stream)
    assert items(chat)[1] == item
    assert items(chat)[2] == {"call_id": item["call_id"], **output}


def test_a_call_whose_result_cannot_be_made_up_stays_a_notice() -> None:
    chat = Talk(OpenAIResponses(), StrictResponses(), refused=("computer",))
    chat.user("Click.")
    chat.pass_on(chat.upstream.request(chat.history, streamed=False))
    click = {"id": "cu_1", "type": "computer_call", "call_id": "call_c", "action": {"type": "click", "x": 1, "y": 1}}
    chat.history += json.loads(chat.answered([click], stream=False))["output"]
    chat.user("And?")
    body = chat.upstream.request(chat.history, streamed=False)
    chat.pass_on(body)
    assert chat.sent[-1] == body


def test_results_may_follow_their_calls_one_by_one() -> None:
    chat = talk()
    got = chat.turn(call("ok"), call("bad"))
    first, second = got[:2], got[2:]
    chat.history[1:] = [*first, *chat.upstream.results(chat.upstream.calls(got)), *second]
    chat.user("Go on.")
    chat.pass_on(chat.upstream.request(chat.history, streamed=False))
    assert kinds(chat) == [
        "user",
        "function_call",
        "function_call_output",
        "function_call",
        "function_call_output",
        "user",
    ]


@pytest.mark.parametrize("change", ["text", "calls", "more calls", "none behind", "gone"])
def test_a_turn_that_is_not_there_as_the_client_got_it_goes_out_as_it_came(change: str) -> None:
    chat = talk()
    chat.results(chat.turn(call("ok"), call("bad")))
    match change:
        case "text":
            chat.history[4]["content"][0]["text"] += " Really."
        case "calls":
            chat.history[2]["call_id"] = "call_9"
        case "more calls":
            chat.history.insert(2, r.function("ok"))
        case "none behind":
            del chat.history[5:]
        case "gone":
            del chat.history[4]
    body = chat.upstream.request(chat.history, streamed=False)
    chat.pass_on(body)
    assert chat.sent[-1] == body


def test_a_first_request_of_one_string_is_found_again_as_an_item() -> None:
    chat = talk()
    server = chat.upstream
    body = server.request([], streamed=False).replace(b'"input": []', b'"input": "Clean up."')
    request = chat.pass_on(body)
    chat.history += server.got(chat.answered(server.said(request, [call("bad")]), stream=False), streamed=False)
    chat.user("Go on.")
    chat.turn(say("Done."))
    assert kinds(chat) == ["user", "function_call", "function_call_output", "user"]
