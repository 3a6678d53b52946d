"""Model providers on loopback, one for each wire format, that refuse what the real ones refuse.

Each answers its script turn by turn. Its own turns must come back to it as it gave them, reasoning and signatures
included; whatever else it finds wrong is an error in its format, and stands in `faults`.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.support.scripted_model import Answer, scripted

Json = dict[str, Any]
_GEMINI_SCHEMA = frozenset(
    {"type", "format", "title", "description", "enum", "items", "minItems", "maxItems", "minimum", "maximum"}
    | {"minLength", "maxLength", "pattern", "anyOf", "properties", "required", "propertyOrdering", "nullable"}
)


class WrongError(Exception):
    """A request that the real provider would refuse."""


@dataclass(frozen=True)
class Turn:
    """What the model says and calls: (name, arguments)."""

    text: str = ""
    calls: tuple[tuple[str, Json], ...] = ()


@dataclass
class Provider:
    """`turns` are given one after the other, the last one for ever. `asked` are the bodies, `paths` their paths."""

    wire: str
    turns: tuple[Turn, ...]
    url: str = ""
    asked: list[Json] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    own: list[Any] = field(default_factory=list)
    """Its turns so far, as the next request must hold them."""
    strict: bool = True
    """False: it takes whatever it is asked, as of agents that speak its own format."""

    def answer(self, body: Json) -> Answer:
        self.asked.append(body)
        check, say, refuse, _ = _WIRES[self.wire]
        try:
            if self.strict:
                check(body, self.own)
        except WrongError as wrong:
            self.faults.append(str(wrong))
            return Answer(json.dumps(refuse(str(wrong))).encode(), status=400)
        number = min(len(self.asked), len(self.turns)) - 1
        reply, own = say(self.turns[number], len(self.asked))
        self.own.append(own)
        return Answer(json.dumps(reply).encode())


@asynccontextmanager
async def provider(wire: str, *turns: Turn, strict: bool = True) -> AsyncIterator[Provider]:
    made = Provider(wire, turns, strict=strict)
    async with scripted(made.answer) as server:
        made.url, made.paths = server.url, server.paths
        yield made
    assert made.faults == []
    place = _WIRES[wire][3]
    assert all(re.fullmatch(f"POST {place}", path) for path in made.paths), made.paths


def demand(condition: object, what: str) -> None:
    if not condition:
        raise WrongError(what)


def known(value: Json, keys: str, where: str) -> None:
    demand(not (extra := value.keys() - set(keys.split())), f"{where}: extra inputs {sorted(extra)}")


# --- chat completions

_CHAT = (
    "model messages tools tool_choice parallel_tool_calls max_completion_tokens temperature top_p stop seed "
    "presence_penalty frequency_penalty reasoning_effort verbosity response_format safety_identifier"
)


def check_chat(body: Json, own: list[Any]) -> None:
    known(body, _CHAT, "request")
    demand(isinstance(body.get("model"), str), "a model is required")
    demand(body.get("messages"), "messages are required")
    waiting: list[str] = []
    for message in body["messages"]:
        known(message, "role content tool_calls tool_call_id reasoning_content", "message")
        if message["role"] == "tool":
            demand(message["tool_call_id"] in waiting, "a tool message must follow its call")
            demand(isinstance(message["content"], str), "a tool's content is text")
            waiting.remove(message["tool_call_id"])
            continue
        demand(not waiting, "every tool_call_id must be answered")
        waiting = [call["id"] for call in message.get("tool_calls", ())]
        demand(all(0 < len(one) <= 40 for one in waiting), "ids of at most 40 characters")
        demand(len(set(waiting)) == len(waiting), "ids must differ")
        demand(message["role"] == "assistant" or message.get("content"), "content is required")
        for call in message.get("tool_calls", ()):
            demand(isinstance(call[call["type"]].get("arguments", ""), str), "arguments are a string")
    demand(not waiting, "every tool_call_id must be answered")
    for tool in body.get("tools", ()):
        inner = tool[tool["type"]]
        demand(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", inner["name"]), f"the name {inner['name']!r}")
        demand(tool["type"] == "custom" or inner["parameters"]["type"] == "object", "parameters are an object")
    demand("tools" in body or "tool_choice" not in body, "tool_choice without tools")
    demand(len(body.get("stop", ())) <= 4, "at most four stops")
    _all_there(own, body["messages"])


def _all_there(own: list[Any], sent: list[Any]) -> None:
    for turn in own:
        demand(turn in sent, f"a turn of the model's own came back changed: {json.dumps(turn)[:300]}")


def say_chat(turn: Turn, number: int) -> tuple[Json, Any]:
    message: Json = {"role": "assistant", "content": turn.text or None, "reasoning_content": f"thought {number}"}
    if turn.calls:
        message["tool_calls"] = [
            {"id": f"call_{number}_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}
            for n, (name, args) in enumerate(turn.calls)
        ]
    finish = "tool_calls" if turn.calls else "stop"
    usage = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    reply = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1, "model": "chat-1"}
    own = {key: value for key, value in message.items() if value is not None}
    return {**reply, "choices": [choice], "usage": usage}, own


# --- Messages

_MESSAGES = (
    "model messages system tools tool_choice max_tokens temperature top_p top_k stop_sequences metadata output_config"
)


def check_messages(body: Json, own: list[Any]) -> None:
    known(body, _MESSAGES, "request")
    demand(isinstance(body.get("max_tokens"), int), "max_tokens is required")
    demand(0 <= body.get("temperature", 0) <= 1, "temperature lies between 0 and 1")
    roles = [message["role"] for message in body["messages"]]
    demand(roles and roles[0] == "user", "the first message must be the user's")
    demand(all(a != b for a, b in pairwise(roles)), "roles must alternate")
    waiting: list[str] = []
    seen: set[str] = set()
    for message in body["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else [{"type": "text", "text": "x"}]
        demand(blocks, "a message must have content")
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        demand(sorted(results) == sorted(waiting), f"tool_use ids without tool_result: {waiting} and {results}")
        demand(all(block["type"] == "tool_result" for block in blocks[: len(results)]), "results come first")
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        demand(all(re.fullmatch(r"[a-zA-Z0-9_-]+", one) for one in waiting), "ids of calls")
        demand(not seen & set(waiting), "ids of calls must be unique")
        seen |= set(waiting)
        for block in blocks:
            demand(block["type"] != "text" or block["text"].strip(), "text must not be empty")
            demand(block["type"] != "tool_use" or isinstance(block["input"], dict), "input is an object")
            demand(block["type"] != "thinking" or block["signature"].startswith("sig-of-"), "Invalid signature")
    demand(not waiting, "tool_use ids without tool_result at the end")
    for tool in body.get("tools", ()):
        known(tool, "name description input_schema strict", "tool")
        demand(re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["name"]), f"the name {tool['name']!r}")
        schema = tool["input_schema"]
        demand(schema.get("type") == "object" and not {"oneOf", "anyOf", "allOf"} & schema.keys(), "input_schema")
    _all_there(own, body["messages"])


def say_messages(turn: Turn, number: int) -> tuple[Json, Any]:
    content: list[Json] = [{"type": "thinking", "thinking": f"thought {number}", "signature": f"sig-of-{number}"}]
    if turn.text:
        content.append({"type": "text", "text": turn.text})
    content += [
        {"type": "tool_use", "id": f"toolu_{number}_{n}", "name": name, "input": args}
        for n, (name, args) in enumerate(turn.calls)
    ]
    reply = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": "messages-1",
        "content": content,
        "stop_reason": "tool_use" if turn.calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 15, "cache_read_input_tokens": 5, "output_tokens": 9},
    }
    return reply, {"role": "assistant", "content": content}


# --- Responses

_RESPONSES = (
    "model input instructions tools tool_choice parallel_tool_calls max_output_tokens temperature top_p store "
    "reasoning text safety_identifier"
)


def check_responses(body: Json, own: list[Any]) -> None:
    known(body, _RESPONSES, "request")
    demand(body.get("store") is False, "nothing is stored for a replay")
    demand(body.get("max_output_tokens", 16) >= 16, "max_output_tokens is at least 16")
    waiting: list[str] = []
    for item in body["input"]:
        if item["type"].endswith("_output"):
            demand(item["call_id"] in waiting, f"no tool call found for {item['call_id']}")
            waiting.remove(item["call_id"])
        elif item["type"].endswith("_call"):
            demand(len(item["call_id"]) <= 64, "ids of at most 64 characters")
            waiting.append(item["call_id"])
        elif item["type"] == "message":
            demand(not waiting, f"No tool output found for {waiting}")
            kind = "output_text" if item["role"] == "assistant" else "input_text"
            taken = {kind} if kind == "output_text" else {kind, "input_image", "input_file"}
            demand({part["type"] for part in item["content"]} <= taken, f"what an {item['role']} may say")
        else:
            demand(item["type"] == "reasoning" and item.get("encrypted_content"), "items are not stored")
    demand(not waiting, f"No tool output found for {waiting}")
    for tool in body.get("tools", ()):
        demand(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tool["name"]), f"the name {tool['name']!r}")
        if tool["type"] == "function":
            known(tool, "type name description parameters strict", "tool")
            demand(not tool["strict"] or tool["parameters"].get("additionalProperties") is False, "strict")
    sent = [{key: value for key, value in item.items() if key != "id"} for item in body["input"]]
    _all_there([{k: v for k, v in item.items() if k != "id"} for turn in own for item in turn], sent)


def say_responses(turn: Turn, number: int) -> tuple[Json, Any]:
    output: list[Json] = [
        {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": f"sealed {number}"}
    ]
    if turn.text:
        part = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
        message = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed"}
        output.append({**message, "content": [part]})
    for n, (name, args) in enumerate(turn.calls):
        call = {"type": "function_call", "id": f"fc_{number}{n}", "call_id": f"call_{number}_{n}", "name": name}
        output.append({**call, "arguments": json.dumps(args), "status": "completed"})
    usage = {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 5},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 29,
    }
    head = {"id": f"resp_{number}", "object": "response", "created_at": 1, "status": "completed", "error": None}
    return {**head, "model": "responses-1", "output": output, "usage": usage}, output


# --- generateContent

_GEMINI = "contents systemInstruction tools toolConfig generationConfig"


def check_gemini(body: Json, own: list[Any]) -> None:
    known(body, _GEMINI, "request")
    demand(body["contents"][0]["role"] == "user", "the first turn must be the user's")
    waiting = 0
    for content in body["contents"]:
        known(content, "role parts", "content")
        demand(content["parts"], "parts are required")
        answers = [part for part in content["parts"] if "functionResponse" in part]
        demand(len(answers) == waiting, "as many function responses as function calls")
        demand(all(isinstance(one["functionResponse"]["response"], dict) for one in answers), "response is an object")
        calls = [part for part in content["parts"] if "functionCall" in part]
        demand(not calls or "thoughtSignature" in calls[0], "Function call is missing a thought_signature")
        demand(all(isinstance(call["functionCall"]["args"], dict) for call in calls), "args is an object")
        waiting = len(calls)
    demand(not waiting, "function calls without responses")
    for tool in body.get("tools", ()):
        for one in tool["functionDeclarations"]:
            known(one, "name description parametersJsonSchema", "functionDeclaration")
            demand(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}", one["name"]), f"the name {one['name']!r}")
            for schema in schemas_in(one.get("parametersJsonSchema")):
                demand(schema.keys() <= _GEMINI_SCHEMA, f"schema keywords {sorted(schema.keys() - _GEMINI_SCHEMA)}")
    _all_there(own, body["contents"])


def say_gemini(turn: Turn, number: int) -> tuple[Json, Any]:
    parts: list[Json] = [{"text": f"thought {number}", "thought": True}]
    if turn.text:
        parts.append({"text": turn.text})
    calls: list[Json] = [{"functionCall": {"name": name, "args": args}} for name, args in turn.calls]
    if calls:
        calls[0]["thoughtSignature"] = "c2ln"
    content = {"role": "model", "parts": parts + calls}
    usage = {"promptTokenCount": 20, "candidatesTokenCount": 5, "thoughtsTokenCount": 4, "totalTokenCount": 29}
    candidate = {"content": content, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-1", "responseId": "r"}, content


Check = Callable[[Json, list[Any]], None]
_WIRES: dict[str, tuple[Check, Callable[[Turn, int], tuple[Json, Any]], Callable[[str], Json], str]] = {
    "openai.chat": (
        check_chat,
        say_chat,
        lambda why: {"error": {"message": why, "type": "invalid_request_error", "param": None, "code": "bad"}},
        r"/v1/chat/completions",
    ),
    "anthropic.messages": (
        check_messages,
        say_messages,
        lambda why: {"type": "error", "error": {"type": "invalid_request_error", "message": why}},
        r"/v1/messages",
    ),
    "openai.responses": (
        check_responses,
        say_responses,
        lambda why: {"error": {"message": why, "type": "invalid_request_error", "param": None, "code": "bad"}},
        r"/v1/responses",
    ),
    "gemini.generate": (
        check_gemini,
        say_gemini,
        lambda why: {"error": {"code": 400, "message": why, "status": "INVALID_ARGUMENT"}},
        r"/v1beta/models/[^/]+:generateContent",
    ),
}

SAYS = {wire: say for wire, (_, say, *_) in _WIRES.items()}
CHECKS = {wire: check for wire, (check, *_) in _WIRES.items()}


def schemas_in(schema: Any) -> Iterator[Json]:
    """A schema and all that lie in it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for one in (*schema.get("properties", {}).values(), *schema.get("anyOf", ()), schema.get("items")):
        yield from schemas_in(one)
