"""The parts of chat completion replies that are read; all else passes by. Lenient, as compatible servers vary."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.wire.case import ReplyKeys
from proxy.wire.counts import count
from trajectory.conversation import Finish, ToolCall, Usage
from trajectory.errors import FormatError

REPLY_KEYS = ReplyKeys(
    "choices", "delta", "message", "tool_calls", "function_call", "function", "custom", "name", "arguments", "input"
)

_FINISH: dict[str, Finish] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
    "error": "error",
}


def finish_of(reason: object) -> Finish | None:
    """The neutral finish; an unknown reason counts as an ordinary end."""
    return _FINISH.get(reason, "end") if isinstance(reason, str) else None


def finish_with(finish: Finish | None, *, has_calls: bool, failed: bool) -> Finish | None:
    """The finish of a whole reply: some servers end one that calls tools with `stop`."""
    if failed:
        return "error"
    return "tool_call" if has_calls and finish == "end" else finish


def usage_of(raw: Any) -> Usage | None:
    if not isinstance(raw, dict):
        return None
    prompt = raw.get("prompt_tokens_details")
    completion = raw.get("completion_tokens_details")
    return Usage(
        input_tokens=count(raw.get("prompt_tokens")),
        output_tokens=count(raw.get("completion_tokens")),
        cache_read_tokens=count(prompt.get("cached_tokens")) if isinstance(prompt, dict) else None,
        reasoning_tokens=count(completion.get("reasoning_tokens")) if isinstance(completion, dict) else None,
    )


class Function(msgspec.Struct):
    name: Any = None
    arguments: Any = None
    input: Any = None

    @property
    def key(self) -> str:
        """Where the arguments stand."""
        return "input" if self.arguments is None else "arguments"

    @property
    def given(self) -> Any:
        return self.input if self.arguments is None else self.arguments

    def text(self) -> str:
        """The raw arguments; some servers send an object where the API says string. Raises FormatError for two."""
        if self.arguments is not None and self.input is not None:
            raise FormatError("a tool call says its arguments twice")
        value = self.given
        if value is None:
            return ""
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class Call(msgspec.Struct):
    index: Any = None
    id: Any = None
    function: Function | None = None
    custom: Function | None = None

    @property
    def inner(self) -> Function:
        """Raises FormatError for a call that is two things at once: readers would differ about which."""
        if self.function is not None and self.custom is not None:
            raise FormatError("a tool call is both a function and a custom tool")
        return self.function or self.custom or Function()


def text_of(parts: list[Any]) -> str:
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


class Turn(msgspec.Struct):
    """A whole message, or the delta of one."""

    content: Any = None
    refusal: Any = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    """The same, as other servers name it; some write both."""

    @property
    def reasoning_bytes(self) -> int:
        if self.reasoning_content is None and self.reasoning is None:
            return 0
        thoughts = (one for one in (self.reasoning_content, self.reasoning) if isinstance(one, str))
        return max((len(one.encode("utf-8", "surrogatepass")) for one in thoughts), default=0)

    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content or (self.refusal if isinstance(self.refusal, str) else "")
        if isinstance(self.content, list):
            return text_of(self.content)
        return self.refusal if isinstance(self.refusal, str) else ""

    def all_calls(self) -> list[ToolCall]:
        """Proposed calls; the legacy function_call comes last."""
        calls = [
            ToolCall(str(c.id or ""), c.inner.name if isinstance(c.inner.name, str) else "", c.inner.text())
            for c in self.tool_calls or ()
        ]
        if self.function_call is not None:
            name = self.function_call.name
            calls.append(ToolCall("", name if isinstance(name, str) else "", self.function_call.text()))
        return calls


class Choice(msgspec.Struct):
    message: Turn = msgspec.field(default_factory=Turn)
    finish_reason: Any = None
    error: Any = None


class Completion(msgspec.Struct):
    choices: list[Choice] = []
    model: Any = None
    usage: Any = None
    error: Any = None

    def has_failed(self) -> bool:
        return self.error is not None or any(tells_of_error(choice) for choice in self.choices)


def tells_of_error(choice: Choice | ChunkChoice) -> bool:
    """A provider broke off in the middle; OpenRouter says so in the choice alone."""
    return choice.error is not None or choice.finish_reason == "error"


class ChunkChoice(msgspec.Struct):
    index: int | None = 0
    delta: Turn | None = None
    message: Turn | None = None
    finish_reason: Any = None
    error: Any = None


class Chunk(msgspec.Struct):
    choices: list[ChunkChoice] | None = None
    model: Any = None
    usage: Any = None
    error: Any = None
