"""The official google-genai client, fed with bytes instead of a network."""

from __future__ import annotations

from functools import cache
from typing import Any

_answer: dict[str, Any] = {}


@cache
def _client() -> Any:
    """Made once: it takes a tenth of a second."""
    import httpx2
    from google import genai

    http = httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(**_answer)))
    return genai.Client(api_key="x", http_options={"base_url": "http://model.test", "httpx_client": http})


def client(reply: bytes, content_type: str, status: int = 200) -> Any:
    """A client that gets `reply` to whatever it asks, until the next call of this."""
    _answer.update(status_code=status, headers={"content-type": content_type}, content=reply)
    return _client()


def chunks(stream: bytes) -> list[Any]:
    """What a streaming client reads out of a stream of generateContent replies."""
    made = client(stream, "text/event-stream")
    return list(made.models.generate_content_stream(model="m", contents="x"))


def parsed(body: bytes) -> Any:
    return client(body, "application/json").models.generate_content(model="m", contents="x")


def text_and_calls(replies: list[Any]) -> tuple[str, list[tuple[str, str, Any]]]:
    """Text without thoughts, and (id, name, arguments) of each call, over all chunks of one candidate."""
    parts = [p for r in replies for c in r.candidates or () if c.content for p in c.content.parts or ()]
    text = "".join(p.text for p in parts if p.text and not p.thought)
    return text, [
        (p.function_call.id or "", p.function_call.name, p.function_call.args) for p in parts if p.function_call
    ]


def streamed_interaction(stream: bytes) -> list[Any]:
    return list(client(stream, "text/event-stream").interactions.create(model="m", input="x", stream=True))


def interaction(body: bytes) -> Any:
    return client(body, "application/json").interactions.create(model="m", input="x")
