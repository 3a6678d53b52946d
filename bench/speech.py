"""What a model or tool server says on each wire format, and what it is asked: shared by the load and its upstream.

Each chunk of a stream carries the time it was sent as `t=<monotonic ns> `, in a field that no rule reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TEXT = "The agent reads a file, calls a tool with arguments and waits for its output before it goes on. " * 13
_WORDS = TEXT.split()
_PROSE = (
    "The agent reads the file and calls the tool again. It waits for the output, compares what came back with what "
    "it had expected, and writes down the difference before it goes on to the next step of the task. "
)
_OBJECT = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
_NAMES = ("tool_0", "tool_1")
Json = dict[str, Any]


@dataclass(frozen=True)
class Speech:
    """`body` gives a request from its turns (the last one is a mark), its model, and whether it is to stream.

    `chunk` gives the frame of a word; `ends` those behind the last word, given all the text.
    """

    name: str
    path: str
    body: Callable[[list[str], str, bool], Json]
    whole: Json
    begins: bytes
    chunk: Callable[[str, str], bytes]
    ends: Callable[[str], bytes]
    stream_path: str = ""
    stream_type: str = "text/event-stream"
    headers: str = ""

    def halves(self, size: int, model: str = "bench") -> tuple[bytes, bytes]:
        """A body of about `size` bytes in two halves: a new last message goes between them."""
        turns: list[str] = []
        prose = _PROSE * (1 if size < 10_000 else 8)
        while len(json.dumps(self.body([*turns, "\0"], model, "-n" in model))) < size - 200:
            missing = size - 200 - len(json.dumps(self.body([*turns, "\0"], model, "-n" in model)))
            turns.append(f"Turn {len(turns)}. " + prose[: max(100, missing)])
        body = json.dumps(self.body([*turns, "\0"], model, "-n" in model), separators=(",", ":"))
        before, after = body.split("\\u0000")
        return before.encode(), after.encode()

    def target(self, model: str = "bench") -> str:
        """Path of a request; some formats name the model there."""
        path = self.stream_path if "-n" in model and self.stream_path else self.path
        return path.replace("MODEL", model)

    def word(self, number: int, sent_ns: int) -> bytes:
        return self.chunk(f"word {_WORDS[number % len(_WORDS)]} ", f"t={sent_ns} ")

    def end(self, count: int) -> bytes:
        return self.ends("".join(f"word {_WORDS[number % len(_WORDS)]} " for number in range(count)))


def _data(value: Json, name: str = "", end: str = "\n") -> bytes:
    head = f"event: {name}{end}" if name else ""
    return f"{head}data: {json.dumps(value)}{end}{end}".encode()


def _roles(turns: list[str], *, assistant: str = "assistant") -> list[tuple[str, str]]:
    return [("user" if (len(turns) - place) % 2 else assistant, text) for place, text in enumerate(turns)]


# OpenAI chat completions


def _chat_body(turns: list[str], model: str, streams: bool) -> Json:
    messages = [{"role": "system", "content": _PROSE * 2}] + [{"role": r, "content": t} for r, t in _roles(turns)]
    functions = [{"name": name, "description": _PROSE[:80], "parameters": _OBJECT} for name in _NAMES]
    tools = [{"type": "function", "function": function} for function in functions]
    return {"model": model, "messages": messages, "tools": tools, **({"stream": True} if streams else {})}


def _chat_chunk(text: str, sent: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    head = {"id": sent, "object": "chat.completion.chunk", "created": 1, "model": "bench"}
    return _data({**head, "choices": [choice]})


CHAT = Speech(
    "chat",
    "/v1/chat/completions",
    _chat_body,
    {
        "id": "chatcmpl-bench", "object": "chat.completion", "created": 1, "model": "bench",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 500, "completion_tokens": 320, "total_tokens": 820},
    },
    b"",
    _chat_chunk,
    lambda _: _chat_chunk("", "end", "stop") + b"data: [DONE]\n\n",
)  # fmt: skip


# OpenAI Responses


def _responses_body(turns: list[str], model: str, streams: bool) -> Json:
    items = [{"role": role, "content": text} for role, text in _roles(turns)]
    tools = [{"type": "function", "name": n, "description": _PROSE[:80], "parameters": _OBJECT} for n in _NAMES]
    head = {"model": model, "instructions": _PROSE * 2, "input": items, "tools": tools}
    return {**head, **({"stream": True} if streams else {})}


def _message(text: str, status: str = "completed") -> Json:
    content = [{"type": "output_text", "annotations": [], "text": text}] if text else []
    return {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": content}


def _response(status: str, *output: Json) -> Json:
    usage = {"input_tokens": 500, "output_tokens": 320, "total_tokens": 820}
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "bench",
        "output": list(output), "usage": usage if output else None,
    }  # fmt: skip


_PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


def _responses_event(kind: str, **fields: Any) -> bytes:
    return _data({"type": f"response.{kind}", "sequence_number": 0, **fields}, f"response.{kind}")


def _responses_ends(text: str) -> bytes:
    part = {"type": "output_text", "annotations": [], "text": text}
    return (
        _responses_event("output_text.done", **_PLACE, text=text)
        + _responses_event("content_part.done", **_PLACE, part=part)
        + _responses_event("output_item.done", output_index=0, item=_message(text))
        + _responses_event("completed", response=_response("completed", _message(text)))
    )


RESPONSES = Speech(
    "responses",
    "/v1/responses",
    _responses_body,
    _response("completed", _message(TEXT)),
    _responses_event("created", response=_response("in_progress"))
    + _responses_event("output_item.added", output_index=0, item=_message("", "in_progress"))
    + _responses_event("content_part.added", **_PLACE, part={"type": "output_text", "annotations": [], "text": ""}),
    lambda text, sent: _responses_event("output_text.delta", **_PLACE, delta=text, logprobs=[], obfuscation=sent),
    _responses_ends,
)


# Anthropic Messages


def _messages_body(turns: list[str], model: str, streams: bool) -> Json:
    messages = [{"role": role, "content": text} for role, text in _roles(turns)]
    tools = [{"name": name, "description": _PROSE[:80], "input_schema": _OBJECT} for name in _NAMES]
    head = {"model": model, "max_tokens": 999, "system": _PROSE * 2, "messages": messages, "tools": tools}
    return {**head, **({"stream": True} if streams else {})}


def _messages_event(kind: str, **fields: Any) -> bytes:
    return _data({"type": kind, **fields}, kind)


_SAID = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "bench", "stop_sequence": None,
    "usage": {"input_tokens": 500, "output_tokens": 320},
}  # fmt: skip
MESSAGES = Speech(
    "messages",
    "/v1/messages",
    _messages_body,
    {**_SAID, "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn"},
    _messages_event("message_start", message={**_SAID, "content": [], "stop_reason": None})
    + _messages_event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    lambda text, sent: _messages_event(
        "content_block_delta", index=0, delta={"type": "text_delta", "text": text}, p=sent
    ),
    lambda _: (
        _messages_event("content_block_stop", index=0)
        + _messages_event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 320})
        + _messages_event("message_stop")
    ),
)


# Gemini generateContent: CRLF frames


def _gemini_body(turns: list[str], model: str, streams: bool) -> Json:
    contents = [{"role": role, "parts": [{"text": text}]} for role, text in _roles(turns, assistant="model")]
    declared = [{"name": name, "description": _PROSE[:80], "parameters": _OBJECT} for name in _NAMES]
    head = {"systemInstruction": {"parts": [{"text": _PROSE * 2}]}, "contents": contents}
    return {**head, "tools": [{"functionDeclarations": declared}]}


def _gemini_reply(text: str, sent: str, finish: str | None = None) -> Json:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    usage = {"promptTokenCount": 500, "candidatesTokenCount": 320, "totalTokenCount": 820, "trafficType": sent}
    finished = {"finishReason": finish} if finish else {}
    return {
        "candidates": [{**candidate, **finished}], "usageMetadata": usage, "modelVersion": "bench", "responseId": "r1"
    }  # fmt: skip


GEMINI = Speech(
    "gemini",
    "/v1beta/models/MODEL:generateContent",
    _gemini_body,
    _gemini_reply(TEXT, "", "STOP"),
    b"",
    lambda text, sent: _data(_gemini_reply(text, sent), end="\r\n"),
    lambda _: _data(_gemini_reply("", "end", "STOP"), end="\r\n"),
    stream_path="/v1beta/models/MODEL:streamGenerateContent?alt=sse",
)


# Gemini Interactions


def _interactions_body(turns: list[str], model: str, streams: bool) -> Json:
    kinds = {"user": "user_input", "assistant": "model_output"}
    steps = [{"type": kinds[role], "content": [{"type": "text", "text": text}]} for role, text in _roles(turns)]
    tools = [{"type": "function", "name": n, "description": _PROSE[:80], "parameters": _OBJECT} for n in _NAMES]
    head = {"model": model, "system_instruction": _PROSE * 2, "input": steps, "tools": tools}
    return {**head, **({"stream": True} if streams else {})}


def _interactions_event(kind: str, **fields: Any) -> bytes:
    return _data({"event_type": kind, **fields}, kind)


_USED = {"total_input_tokens": 500, "total_output_tokens": 320, "total_tokens": 820}
_DONE: Json = {"id": "i1", "model": "bench", "status": "completed", "usage": _USED}
INTERACTIONS = Speech(
    "interactions",
    "/v1/interactions",
    _interactions_body,
    {**_DONE, "steps": [{"type": "model_output", "content": [{"type": "text", "text": TEXT}]}]},
    _interactions_event("interaction.created", interaction={"id": "i1", "model": "bench", "status": "queued"})
    + _interactions_event("step.start", index=0, step={"type": "model_output"}),
    lambda text, sent: _interactions_event("step.delta", index=0, delta={"type": "text", "text": text}, event_id=sent),
    lambda _: (
        _interactions_event("step.stop", index=0)
        + _interactions_event("interaction.completed", interaction=_DONE)
        + b"event: done\ndata: [DONE]\n\n"
    ),
)


# Ollama: lines of JSON


def _ollama_body(turns: list[str], model: str, streams: bool) -> Json:
    return {**_chat_body(turns, model, streams), "stream": streams}


def _ollama_line(text: str, sent: str, **more: Any) -> bytes:
    message = {"role": "assistant", "content": text}
    return (
        json.dumps({"model": "bench", "created_at": sent, "message": message, "done": False, **more}).encode() + b"\n"
    )


_COUNTS = {"done": True, "done_reason": "stop", "prompt_eval_count": 500, "eval_count": 320}
OLLAMA = Speech(
    "ollama",
    "/api/chat",
    _ollama_body,
    {"model": "bench", "created_at": "now", "message": {"role": "assistant", "content": TEXT}, **_COUNTS},
    b"",
    _ollama_line,
    lambda _: _ollama_line("", "end", **_COUNTS),
    stream_type="application/x-ndjson",
)


# MCP: a tool that reports progress before it answers


def _mcp_body(turns: list[str], model: str, streams: bool) -> Json:
    params = {"name": "tool_0", "arguments": {"path": model, "turns": turns}, "_meta": {"progressToken": 1}}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def _mcp_progress(text: str, sent: str) -> bytes:
    params = {"progressToken": 1, "progress": 1, "message": text, "_meta": {"sent": sent}}
    return _data({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}, "message", "\r\n")


_RESULT = {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": TEXT}], "isError": False}}
MCP = Speech(
    "mcp",
    "/mcp",
    _mcp_body,
    _RESULT,
    b"",
    _mcp_progress,
    lambda _: _data(_RESULT, "message", "\r\n"),
    headers="Accept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\n",
)

SPEECHES = {s.name: s for s in (CHAT, RESPONSES, MESSAGES, GEMINI, INTERACTIONS, OLLAMA, MCP)}
