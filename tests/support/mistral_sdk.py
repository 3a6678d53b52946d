"""The official mistralai client, fed with bytes instead of a network."""

from __future__ import annotations

from functools import cache
from typing import Any

_answer: dict[str, Any] = {}


@cache
def _client() -> Any:
    """Made once: its models take most of a second to load."""
    import httpx2
    from mistralai.client import Mistral

    http = httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(**_answer)))
    return Mistral(api_key="x", server_url="http://model.test", client=http)


def client(reply: bytes, content_type: str, status: int = 200) -> Any:
    """A client that gets `reply` to whatever it asks, until the next call of this."""
    _answer.update(status_code=status, headers={"content-type": content_type}, content=reply)
    return _client()


def parsed(body: bytes) -> Any:
    return client(body, "application/json").chat.complete(model="m", messages=[])


def chunks(stream: bytes) -> list[Any]:
    """The client has no accumulator of its own."""
    return [one.data for one in client(stream, "text/event-stream").chat.stream(model="m", messages=[])]
