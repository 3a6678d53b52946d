"""Streams of OpenAI Responses as the API writes them, and what the official client makes of them."""

from __future__ import annotations

import json
from typing import Any

from tests.support import openai_sdk

Item = dict[str, Any]


def frame(kind: str, number: int | None, **fields: Any) -> bytes:
    whole = {"type": kind, "sequence_number": number, **fields} if number is not None else {"type": kind, **fields}
    return f"event: {kind}\ndata: {json.dumps(whole, ensure_ascii=False)}\n\n".encode()


def message(text: str, item_id: str = "msg_1") -> Item:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    return {"id": item_id, "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def function(name: str, arguments: str = "{}", **more: Any) -> Item:
    return {
        "id": f"fc_{name}", "type": "function_call", "status": "completed", "call_id": f"call_{name}",
        "name": name, "arguments": arguments, **more,
    }  # fmt: skip


def custom(name: str, text: str) -> Item:
    return {
        "id": f"ctc_{name}", "type": "custom_tool_call", "status": "completed", "call_id": f"call_{name}",
        "name": name, "input": text,
    }  # fmt: skip


def shell(*commands: str) -> Item:
    return {
        "id": "sh_1", "type": "shell_call", "status": "completed", "call_id": "call_sh",
        "action": {"commands": list(commands), "timeout_ms": 100},
    }  # fmt: skip


def reasoning(text: str = "thinking") -> Item:
    summary = [{"type": "summary_text", "text": text}]
    return {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": "gAAA" + text}


USAGE = {
    "input_tokens": 20, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
    "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 29,
}  # fmt: skip


def response(*output: Item, status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1", "object": "response", "created_at": 7, "status": status, "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "model": "m-1", "output": list(output),
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": USAGE, **more,
    }  # fmt: skip


def body(*output: Item, **more: Any) -> bytes:
    return json.dumps(response(*output, **more), ensure_ascii=False).encode()


class Stream:
    """Events with their numbers; `piece` is how many characters a delta holds."""

    def __init__(self, piece: int = 3) -> None:
        self._piece = piece
        self._frames: list[bytes] = []

    def add(self, kind: str, **fields: Any) -> None:
        self._frames.append(frame(f"response.{kind}", len(self._frames), **fields))

    def item(self, index: int, item: Item) -> None:
        fill = {
            "message": self._message, "function_call": self._arguments, "custom_tool_call": self._input,
            "shell_call": self._commands,
        }.get(item["type"])  # fmt: skip
        empty = {"content": [], "arguments": "", "input": "", "action": {"commands": []}}
        begun = {**item, **{k: v for k, v in empty.items() if k in item}}
        self.add("output_item.added", output_index=index, item={**begun, "status": "in_progress"})
        if fill is not None:
            fill(index, item)
        self.add("output_item.done", output_index=index, item=item)

    def _cut(self, text: str) -> list[str]:
        return [text[at : at + self._piece] for at in range(0, len(text), self._piece)]

    def _message(self, index: int, item: Item) -> None:
        for place, part in enumerate(item["content"]):
            where = {"item_id": item["id"], "output_index": index, "content_index": place}
            self.add("content_part.added", **where, part={**part, "text": ""})
            for piece in self._cut(part["text"]):
                self.add("output_text.delta", **where, delta=piece, logprobs=[])
            self.add("output_text.done", **where, text=part["text"], logprobs=[])
            self.add("content_part.done", **where, part=part)

    def _arguments(self, index: int, item: Item) -> None:
        where = {"item_id": item["id"], "output_index": index}
        for piece in self._cut(item["arguments"]):
            self.add("function_call_arguments.delta", **where, delta=piece, obfuscation="x")
        self.add("function_call_arguments.done", **where, arguments=item["arguments"])

    def _input(self, index: int, item: Item) -> None:
        where = {"item_id": item["id"], "output_index": index}
        for piece in self._cut(item["input"]):
            self.add("custom_tool_call_input.delta", **where, delta=piece)
        self.add("custom_tool_call_input.done", **where, input=item["input"])

    def _commands(self, index: int, item: Item) -> None:
        for place, command in enumerate(item["action"]["commands"]):
            where = {"output_index": index, "command_index": place}
            first, *rest = self._cut(command)
            self.add("shell_call_command.added", **where, command=first)
            for piece in rest:
                self.add("shell_call_command.delta", **where, delta=piece)
            self.add("shell_call_command.done", **where, command=command)

    def bytes(self) -> bytes:
        return b"".join(self._frames)


def stream(*output: Item, piece: int = 3, status: str = "completed", **more: Any) -> bytes:
    made = Stream(piece)
    begun = response(status="in_progress", **{**more, "usage": None})
    made.add("created", response=begun)
    made.add("in_progress", response=begun)
    for index, item in enumerate(output):
        made.item(index, item)
    made.add(status, response=response(*output, status=status, **more))
    return made.bytes()


def events_of(out: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in out.decode().splitlines() if line.startswith("data: {")]


def accumulated(out: bytes) -> Any:
    """What the client's own accumulator makes of a stream, after every event of it."""
    made = openai_sdk.client(out, "text/event-stream").responses.stream(model="m", input="x")
    with made as events:
        for _ in events:
            pass
        return events.get_final_response()


def raw_events(out: bytes) -> list[Any]:
    made = openai_sdk.client(out, "text/event-stream")
    return list(made.responses.create(model="m", input="x", stream=True))


def parsed(reply: bytes) -> Any:
    return openai_sdk.client(reply, "application/json").responses.create(model="m", input="x")
