"""The official anthropic client, fed with bytes instead of a network."""

from __future__ import annotations

from functools import cache
from typing import Any

ASKED: dict[str, Any] = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}

_answer: dict[str, Any] = {}


@cache
def _modules() -> tuple[Any, Any]:
    import anthropic
    import httpx2

    return anthropic, httpx2


@cache
def _client() -> Any:
    """Made once: it takes some milliseconds."""
    anthropic, httpx2 = _modules()
    http = httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(**_answer)))
    return anthropic.Anthropic(api_key="x", base_url="http://model.test", http_client=http, max_retries=0)


def client(reply: bytes, content_type: str, status: int = 200) -> Any:
    """A client that gets `reply` to whatever it asks, and never asks twice; until the next call of this."""
    _answer.update(status_code=status, headers={"content-type": content_type}, content=reply)
    return _client()


def accumulated(stream: bytes, *, beta: bool = True) -> Any:
    """What the client's own accumulator makes of an event stream."""
    made = client(stream, "text/event-stream")
    messages = made.beta.messages if beta else made.messages
    with messages.stream(**ASKED) as events:
        for _ in events:
            pass
        return events.get_final_message()


def parsed(body: bytes) -> Any:
    return client(body, "application/json").beta.messages.create(**ASKED)


def error_of(body: bytes, status: int) -> Any:
    """The error that the client raises for a reply."""
    anthropic, _ = _modules()
    try:
        client(body, "application/json", status).messages.create(**ASKED)
    except anthropic.APIStatusError as error:
        return error
    raise AssertionError("no error was raised")


def errors() -> Any:
    """What the client raises for an error that a stream tells of."""
    return _modules()[0].APIError
