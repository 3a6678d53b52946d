"""What the official SDKs make of recorded replies, written as `Seen`; mappings as in each API's reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support import anthropic_sdk, genai_sdk, mistral_sdk, openai_sdk, responses
from tests.support.seen import Seen, parsed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trajectory.conversation import Finish

# --- openai and mistralai: chat completions ---

_CHAT_FINISH: dict[Any, Finish | None] = {
    None: None, "stop": "end", "length": "length", "tool_calls": "tool_call", "function_call": "tool_call",
    "content_filter": "content_filter", "error": "error", "eos": "end",
}  # fmt: skip


def chat(body: bytes) -> Seen:
    return _completion(openai_sdk.parsed(body))


def mistral(body: bytes) -> Seen:
    return _completion(mistral_sdk.parsed(body))


def _completion(made: Any) -> Seen:
    messages = [choice.message for choice in made.choices or () if choice.message]
    calls = [call for m in messages for call in m.tool_calls or ()]
    old = [m.function_call for m in messages if getattr(m, "function_call", None)]
    finish = next((choice.finish_reason for choice in made.choices or () if choice.finish_reason), None)
    return Seen(
        "\n".join(text for m in messages if (text := _said(m.content) or getattr(m, "refusal", None))),
        (*map(_called, calls), *((call.name, parsed(call.arguments)) for call in old)),
        "tool_call" if (calls or old) and finish == "stop" else _CHAT_FINISH[finish],
        *_chat_usage(made.usage),
        made.model,
    )


def _called(call: Any) -> tuple[str, Any]:
    custom = getattr(call, "custom", None)
    return (custom.name, parsed(custom.input)) if custom else (call.function.name, parsed(call.function.arguments))


def _said(content: Any) -> str:
    """Text, or (with Mistral) a list of parts of which some are text."""
    if not isinstance(content, list):
        return content or ""
    parts = [part if isinstance(part, dict) else part.model_dump() for part in content]
    return "".join(part["text"] for part in parts if part.get("type") == "text")


def _chat_usage(used: Any) -> tuple[int | None, ...]:
    if not used:
        return (None,) * 4
    details = getattr(used, "prompt_tokens_details", None), getattr(used, "completion_tokens_details", None)
    cached, thought = (_count(d, name) for d, name in zip(details, ("cached_tokens", "reasoning_tokens"), strict=True))
    return used.prompt_tokens, used.completion_tokens, cached, thought


def _count(details: Any, name: str) -> int | None:
    return details.get(name) if isinstance(details, dict) else getattr(details, name, None)


def accumulated_chat(stream: bytes) -> Seen:
    made = openai_sdk.accumulated(stream)
    if made.usage is None:  # the accumulator forgets it where one more chunk follows
        made.usage = next((one.usage for one in openai_sdk.chunks(stream) if one.usage), None)
    return _completion(made)


def chat_chunks(stream: bytes) -> Seen:
    """Of servers whose streams the SDK's accumulator does not take."""
    return _merged(openai_sdk.chunks(stream))


def mistral_chunks(stream: bytes) -> Seen:
    return _merged(mistral_sdk.chunks(stream))


def _merged(made: Iterable[Any]) -> Seen:
    text: dict[int, str] = {}
    calls: dict[Any, list[str]] = {}
    finish = used = model = None
    for one in made:
        used, model = one.usage or used, one.model or model
        for choice in one.choices or ():
            finish = choice.finish_reason or finish
            text[choice.index] = text.get(choice.index, "") + _said(choice.delta.content)
            for place, call in enumerate(choice.delta.tool_calls or ()):
                known = calls.setdefault((choice.index, call.index if call.index is not None else place), ["", ""])
                known[0] = known[0] or call.function.name
                known[1] += call.function.arguments or ""
    return Seen(
        "\n".join(said for said in text.values() if said),
        tuple((name, parsed(arguments)) for name, arguments in calls.values()),
        "tool_call" if calls and finish == "stop" else _CHAT_FINISH[finish],
        *_chat_usage(used),
        model,
    )


# --- openai: Responses ---

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}


def response(body: bytes) -> Seen:
    return _response(responses.parsed(body))


def accumulated_response(stream: bytes) -> Seen:
    return _response(responses.accumulated(stream))


def _response(made: Any) -> Seen:
    items = [item for item in made.output if item.type in _CALLS]
    calls = [(_in_namespace(item), parsed(getattr(item, _CALLS[item.type]))) for item in items]
    calls += [(item.type.removesuffix("_call"), item.arguments) for item in made.output if _is_search(item)]
    finish: Finish | None = "tool_call" if calls else "end"
    if made.status == "incomplete":
        finish = "content_filter" if made.incomplete_details.reason == "content_filter" else "length"
    if made.status in ("in_progress", "queued"):
        finish = None
    used = made.usage
    return Seen(
        made.output_text,
        tuple(calls),
        finish,
        *(used.input_tokens, used.output_tokens) if used else (None, None),
        *(used.input_tokens_details.cached_tokens, used.output_tokens_details.reasoning_tokens)
        if used
        else (None,) * 2,
        made.model,
        made.id,
    )


def _in_namespace(item: Any) -> str:
    family = getattr(item, "namespace", None)
    return f"{family}.{item.name}" if family and family != item.name else str(item.name)


def _is_search(item: Any) -> bool:
    """A search for tools that the client is to make."""
    return item.type == "tool_search_call" and item.execution == "client"


# --- anthropic ---

_MESSAGE_FINISH: dict[str | None, Finish | None] = {
    "end_turn": "end", "stop_sequence": "end", "tool_use": "tool_call", "max_tokens": "length",
    "model_context_window_exceeded": "length", "refusal": "refusal", "pause_turn": "pause", None: None,
}  # fmt: skip


def message(body: bytes) -> Seen:
    return _message(anthropic_sdk.parsed(body))


def accumulated_message(stream: bytes) -> Seen:
    return _message(anthropic_sdk.accumulated(stream))


def _message(made: Any) -> Seen:
    texts = [""]
    for block in made.content:
        if block.type == "text":
            texts[-1] += block.text
        else:
            texts.append("")
    used = made.usage
    cached = (used.cache_read_input_tokens or 0) + (used.cache_creation_input_tokens or 0)
    details = getattr(used, "output_tokens_details", None)
    return Seen(
        "\n".join(filter(None, texts)),
        tuple((block.name, block.input) for block in made.content if block.type == "tool_use"),
        _MESSAGE_FINISH[made.stop_reason],
        used.input_tokens + cached,
        used.output_tokens,
        used.cache_read_input_tokens,
        getattr(details, "thinking_tokens", None),
        made.model,
        made.id,
    )


# --- google-genai ---

_GEMINI_FINISH: dict[str | None, Finish | None] = {
    None: None, "STOP": "end", "MAX_TOKENS": "length", "SAFETY": "content_filter",
    "PROHIBITED_CONTENT": "content_filter", "MALFORMED_FUNCTION_CALL": "error", "UNEXPECTED_TOOL_CALL": "error",
}  # fmt: skip


def generated(body: bytes) -> Seen:
    return _generated([genai_sdk.parsed(body)])


def generated_stream(stream: bytes) -> Seen:
    """The client has no accumulator of its own."""
    return _generated(genai_sdk.chunks(stream))


def _generated(made: list[Any]) -> Seen:
    text, calls = genai_sdk.text_and_calls(made)
    finish = next((c.finish_reason.value for one in made for c in one.candidates or () if c.finish_reason), None)
    used = next((one.usage_metadata for one in reversed(made) if one.usage_metadata), None)
    counts: tuple[int | None, ...] = (None,) * 4
    if used is not None:
        given = (used.prompt_token_count or 0) + (used.tool_use_prompt_token_count or 0)
        made_tokens = (used.candidates_token_count or 0) + (used.thoughts_token_count or 0)
        counts = (given, made_tokens, used.cached_content_token_count, used.thoughts_token_count)
    return Seen(
        text,
        tuple((name, arguments or {}) for _, name, arguments in calls),
        "tool_call" if calls and finish == "STOP" else _GEMINI_FINISH[finish],
        *counts,
        made[-1].model_version,
        made[-1].response_id,
    )
