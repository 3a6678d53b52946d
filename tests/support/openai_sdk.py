"""The official openai client, fed with bytes instead of a network."""

from __future__ import annotations

from functools import cache
from typing import Any

_answer: dict[str, Any] = {}


@cache
def _modules() -> tuple[Any, Any]:
    import httpx2
    import openai

    return openai, httpx2


@cache
def _client() -> Any:
    """Made once: it takes some milliseconds."""
    openai, httpx2 = _modules()
    http = httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(**_answer)))
    return openai.OpenAI(api_key="x", base_url="http://model.test/v1", http_client=http, max_retries=0)


def client(reply: bytes, content_type: str, status: int = 200) -> Any:
    """A client that gets `reply` to whatever it asks, and never asks twice; until the next call of this."""
    _answer.update(status_code=status, headers={"content-type": content_type}, content=reply)
    return _client()


def accumulated(stream: bytes) -> Any:
    """What the client's own accumulator makes of an event stream of chat completions."""
    made = client(stream, "text/event-stream").chat.completions.stream(model="m", messages=[])
    with made as events:
        for _ in events:
            pass
        return events.get_final_completion()


def chunks(stream: bytes) -> list[Any]:
    return list(client(stream, "text/event-stream").chat.completions.create(model="m", messages=[], stream=True))


def parsed(body: bytes) -> Any:
    return client(body, "application/json").chat.completions.create(model="m", messages=[])


def errors() -> Any:
    """What the client raises for an error that a stream tells of."""
    return _modules()[0].APIError
