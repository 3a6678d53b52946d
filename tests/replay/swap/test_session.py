from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.effects import Forward
from proxy.wire.format import Rendered
from replay.swap.dialects import DIALECTS
from tests.support.swap_talks import LOOK, Talk, message, text, thinking, use
from trajectory.runs import Loss

USER = {"role": "user", "content": "hi"}


def chat(*messages: Any, **rest: Any) -> dict[str, Any]:
    return {"model": "prod", "messages": [USER, *messages], "tools": [LOOK], **rest}


def answered(reply: dict[str, Any], result: str = "in transit") -> list[Any]:
    """The reply's message as an agent sends it back, and a result for each of its calls."""
    said = reply["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": result} for call in said.get("tool_calls") or ()]
    return [said, *results]


# --- the candidate's own turns


def test_reasoning_goes_back_to_the_candidate_as_it_came() -> None:
    talk = Talk("openai.chat", "anthropic.messages")
    first = talk.said(chat(), message(thinking(1), text("I look."), use("toolu_1", "look"), stop="tool_use"))
    talk.said(chat(*answered(first)), message(text("done")))
    assert talk.sent[1]["messages"][1]["content"] == [thinking(1), text("I look."), use("toolu_1", "look")]
    assert talk.sent[1]["messages"][2]["content"][0]["tool_use_id"] == "toolu_1"


def test_turn_that_the_agent_changed_goes_without_its_reasoning_and_that_is_said() -> None:
    talk = Talk("openai.chat", "anthropic.messages")
    first = talk.said(chat(), message(thinking(1), use("toolu_1", "look", id=1), stop="tool_use"))
    turn = answered(first)
    turn[0]["tool_calls"][0]["function"]["arguments"] = '{"id": 2}'
    talk.said(chat(*turn), message(text("done")))
    assert talk.sent[1]["messages"][1]["content"] == [use("toolu_1", "look", id=2)]
    assert any("changed" in what for _, what in talk.lost("reasoning"))


def test_turn_behind_another_conversation_is_no_longer_bound_to_its_reasoning() -> None:
    talk = Talk("openai.chat", "anthropic.messages")
    first = talk.said(chat(), message(thinking(1), text("Hello."), stop="end_turn"))
    changed = {
        "model": "prod",
        "messages": [{"role": "user", "content": "HI"}, *answered(first), USER],
        "tools": [LOOK],
    }
    talk.said(changed, message(text("done")))
    assert talk.sent[1]["messages"][1]["content"] == [text("Hello.")]


def test_ids_that_a_candidate_gives_twice_are_told_apart_for_the_agent() -> None:
    talk = Talk("anthropic.messages", "openai.chat")
    body: dict[str, Any] = {"model": "prod", "max_tokens": 9, "messages": [USER]}
    call = {"id": "call_0", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    reply = {"choices": [{"message": {"role": "assistant", "content": None, "tool_calls": [call]}}]}
    ids = []
    for _ in range(2):
        said = talk.said(body, reply)
        ids.append(said["content"][0]["id"])
        result = {"type": "tool_result", "tool_use_id": ids[-1], "content": "x"}
        body["messages"] += [{"role": "assistant", "content": said["content"]}, {"role": "user", "content": [result]}]
    talk.said(body, reply)
    assert len(set(ids)) == 2
    assert [m.get("tool_call_id") for m in talk.sent[2]["messages"] if m["role"] == "tool"] == ["call_0", "call_0"]


def test_conversation_that_the_agent_continues_by_id_is_whole_again() -> None:
    talk = Talk("openai.responses", "anthropic.messages")
    tools = [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}]
    first = talk.said(
        {"model": "prod", "instructions": "Be brief.", "input": "where?", "tools": tools},
        message(thinking(1), use("toolu_1", "look"), stop="tool_use"),
    )
    (call,) = [item for item in first["output"] if item["type"] == "function_call"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "in transit"}
    talk.said(
        {
            "model": "prod",
            "instructions": "Be brief.",
            "previous_response_id": first["id"],
            "input": [output],
            "tools": tools,
        },
        message(text("done")),
    )
    sent = talk.sent[1]
    assert sent["system"] == "Be brief."
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["messages"][1]["content"] == [thinking(1), use("toolu_1", "look")]


def test_continued_reply_that_nobody_knows_is_an_error_in_the_agents_format() -> None:
    asked = Talk("openai.responses", "openai.chat").ask({"model": "m", "input": "x", "previous_response_id": "resp_9"})
    assert isinstance(asked, Rendered)
    assert asked.status == 400
    assert json.loads(asked.body)["error"]["code"] == "previous_response_not_found"


# --- what cannot be said


def test_tool_that_takes_plain_text_is_a_function_there_and_plain_again_for_the_agent() -> None:
    talk = Talk("openai.chat", "anthropic.messages")
    shell = {"type": "custom", "custom": {"name": "shell", "description": "Runs."}}
    said = talk.said({**chat(), "tools": [shell]}, message(use("toolu_1", "shell", input="ls -l"), stop="tool_use"))
    assert talk.sent[0]["tools"][0]["input_schema"]["properties"] == {"input": {"type": "string"}}
    (call,) = said["choices"][0]["message"]["tool_calls"]
    assert (call["type"], call["custom"]) == ("custom", {"name": "shell", "input": "ls -l"})
    assert ("tools[shell]", "it takes plain text: given as a function with one text") in talk.lost("tool_schema")


def test_name_that_is_too_long_is_renamed_there_and_back() -> None:
    talk = Talk("anthropic.messages", "openai.chat")
    name = "look_up_" + "x" * 80
    tool = {"name": name, "input_schema": {"type": "object", "properties": {}}}
    asked = talk.ask({"model": "m", "max_tokens": 9, "messages": [USER], "tools": [tool]})
    assert not isinstance(asked, Rendered | Forward)
    short = json.loads(asked.forward.body)["tools"][0]["function"]["name"]
    assert len(short) <= 64
    call = {"id": "c1", "type": "function", "function": {"name": short, "arguments": "{}"}}
    reply = {"choices": [{"message": {"role": "assistant", "tool_calls": [call]}}]}
    rendered, _ = talk.session.reply(asked, 200, (), json.dumps(reply).encode())
    assert json.loads(rendered.body)["content"][0]["name"] == name
    assert talk.lost("identifier") == {(f"tools[{name}].name", f"it is called {short} there")}


def test_arguments_that_are_no_json_reach_a_format_of_objects_and_are_named() -> None:
    talk = Talk("openai.chat", "anthropic.messages")
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{broken"}}
    turn = {"role": "assistant", "content": None, "tool_calls": [call]}
    talk.said(chat(turn, {"role": "tool", "tool_call_id": "c1", "content": "x"}), message(text("done")))
    assert talk.sent[0]["messages"][1]["content"][0]["input"] == {"_raw": "{broken"}
    assert talk.lost("tool")


def test_call_without_a_result_is_given_one_and_a_stray_result_becomes_words() -> None:
    talk = Talk("openai.chat", "anthropic.messages")
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    turn = {"role": "assistant", "content": None, "tool_calls": [call]}
    talk.said(chat(turn, {"role": "tool", "tool_call_id": "c9", "content": "lost"}, USER), message(text("done")))
    results = talk.sent[0]["messages"][2]["content"]
    assert results[0] == {
        "type": "tool_result",
        "tool_use_id": "c1",
        "content": "no result was recorded",
        "is_error": True,
    }
    assert "lost" in results[1]["text"]
    assert len(talk.lost("tool_result")) == 2


def test_signed_thoughts_of_another_model_are_stripped_and_gemini_gets_the_mark_that_it_documents() -> None:
    talk = Talk("anthropic.messages", "gemini.generate")
    history = [USER, {"role": "assistant", "content": [thinking(1), use("t1", "look")]}]
    result = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x", "is_error": True}],
    }
    reply = {"candidates": [{"content": {"role": "model", "parts": [{"text": "done"}]}, "finishReason": "STOP"}]}
    talk.said({"model": "m", "max_tokens": 9, "messages": [*history, result]}, reply)
    call, answer = talk.sent[0]["contents"][1]["parts"][0], talk.sent[0]["contents"][2]["parts"][0]
    assert call["thoughtSignature"] == "skip_thought_signature_validator"
    assert answer["functionResponse"] == {"id": "t1", "name": "look", "response": {"error": "x"}}
    assert ("messages[].content[] of type thinking", "another model's reasoning is bound to it, and was left out") in (
        talk.lost("reasoning")
    )


def test_schema_that_contains_itself_ends_somewhere() -> None:
    talk = Talk("openai.chat", "gemini.generate")
    node = {"type": "object", "properties": {"left": {"$ref": "#/$defs/n"}, "right": {"$ref": "#/$defs/n"}}}
    schema = {"type": "object", "properties": {"root": {"$ref": "#/$defs/n"}}, "$defs": {"n": node}}
    tool = {"type": "function", "function": {"name": "look", "parameters": schema}}
    asked = talk.ask({**chat(), "tools": [tool]})
    assert not isinstance(asked, Rendered | Forward)
    (declared,) = json.loads(asked.forward.body)["tools"][0]["functionDeclarations"]
    assert declared["parametersJsonSchema"]["properties"]["root"]["properties"]["left"] == {"type": "object"}
    assert ("tools[look]", "what contains itself is described as an object") in talk.lost("tool_schema")


def test_provider_run_tools_are_not_offered_and_a_demand_for_one_is_named() -> None:
    talk = Talk("anthropic.messages", "openai.chat")
    search = {"type": "web_search_20250305", "name": "web_search"}
    body = {"model": "m", "max_tokens": 9, "messages": [USER], "tools": [search], "tool_choice": {"type": "any"}}
    talk.said(body, {"choices": [{"message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]})
    assert "tools" not in talk.sent[0]
    assert {where for where, _ in talk.lost("tool")} == {"tools[] of type web_search_20250305"}
    assert talk.lost("tool_choice") == {("tool_choice", "no tool is left that could be called")}


@pytest.mark.parametrize("wire", DIALECTS)
def test_key_and_block_that_nobody_knows_are_named(wire: str) -> None:
    target = next(one for one in DIALECTS if one != wire)
    talk = Talk(wire, target)
    block = {"type": "hologram", "hologram": {"x": 1}}
    body = {
        "openai.chat": {"messages": [{"role": "user", "content": [block]}]},
        "openai.responses": {"input": [{"role": "user", "content": [block]}]},
        "anthropic.messages": {"max_tokens": 9, "messages": [{"role": "user", "content": [block]}]},
        "gemini.generate": {"contents": [{"role": "user", "parts": [{"hologram": {"x": 1}}]}]},
    }[wire]
    talk.ask({"model": "m", **body, "from_the_future": 1})
    assert ("from_the_future", "it is not available there, and was left out") in talk.lost("parameter")
    assert any("hologram" in loss.where for loss in talk.session.lost)


# --- what is answered otherwise


def test_error_of_a_provider_reaches_the_agent_in_its_own_shape_with_its_status() -> None:
    talk = Talk("openai.chat", "anthropic.messages")
    error = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "prompt is too long: 300000 tokens"},
    }
    said = talk.said(chat(), error, status=400)
    assert (talk.status, said["error"]["code"]) == (400, "context_length_exceeded")
    assert "prompt is too long" in said["error"]["message"]
    busy = talk.said(
        chat(), {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, status=529
    )
    assert (talk.status, busy["error"]["code"]) == (529, "overloaded_error")


def test_error_that_came_with_status_200_is_an_error_for_the_agent() -> None:
    talk = Talk("anthropic.messages", "openai.chat")
    said = talk.said(
        {"model": "m", "max_tokens": 9, "messages": [USER]}, {"error": {"message": "no route", "code": 400}}
    )
    assert (talk.status, said["error"]["message"]) == (502, "no route")


def test_reply_that_is_none_is_a_failure_of_the_upstream() -> None:
    talk = Talk("anthropic.messages", "openai.responses")
    said = talk.said({"model": "m", "max_tokens": 9, "messages": [USER]}, {"html": "<h1>"})
    assert (talk.status, said["type"]) == (502, "error")


def test_refusal_and_length_keep_their_meaning() -> None:
    talk = Talk("openai.chat", "anthropic.messages")
    declined = talk.said(chat(), message(text("I will not."), stop="refusal"))
    assert declined["choices"][0]["message"]["refusal"] == "I will not."
    cut = talk.said(chat(), message(text("The answer is"), stop="max_tokens"))
    assert cut["choices"][0]["finish_reason"] == "length"


def test_counting_tokens_is_declined_and_named() -> None:
    talk = Talk("anthropic.messages", "openai.chat")
    asked = talk.ask({"model": "m", "messages": [USER]}, "/v1/messages/count_tokens")
    assert isinstance(asked, Rendered)
    assert asked.status == 404
    assert talk.lost("unknown")


def test_format_that_is_not_translated_is_declined_in_its_own_shape() -> None:
    asked = Talk("openai.chat", "openai.chat").ask({"model": "m", "messages": [USER]}, "/api/chat")
    assert isinstance(asked, Rendered)
    assert asked.status == 400
    assert isinstance(json.loads(asked.body)["error"], str), "as Ollama says it"


def test_request_in_the_candidates_own_format_goes_on_as_it_came_but_for_parameters() -> None:
    talk = Talk("openai.chat", "openai.chat")
    asked = talk.ask(chat(logit_bias={"1": 2}))
    assert isinstance(asked, Forward)
    sent = json.loads(asked.body)
    assert sent == {**chat(logit_bias={"1": 2}), "model": "m", "seed": 7}
    assert dict(asked.headers) == {"Authorization": "Bearer k"}
    assert talk.session.lost == ()


def test_credentials_of_one_provider_never_reach_another() -> None:
    asked = Talk("openai.chat", "anthropic.messages").ask(chat())
    assert not isinstance(asked, Rendered | Forward)
    assert "authorization" not in {key.lower() for key, _ in asked.forward.headers}
    assert ("anthropic-version", "2023-06-01") in asked.forward.headers


def test_seed_is_named_where_the_candidates_format_has_none() -> None:
    talk = Talk("openai.chat", "anthropic.messages")
    talk.ask(chat())
    assert Loss(kind="parameter", where="seed", what="the candidate's format has none: trials are not seeded") in (
        talk.session.lost
    )


def test_base_url_with_a_version_of_its_own_keeps_it() -> None:
    gemini = DIALECTS["gemini.generate"]
    assert gemini.path("", "models/g 1") == "/v1beta/models/g%201:generateContent"
    assert gemini.path("/proxy/v1", "g") == "/proxy/v1/models/g:generateContent"
    assert DIALECTS["openai.chat"].path("/api/v1", "m") == "/api/v1/chat/completions"
