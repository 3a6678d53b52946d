"""A wire format as a client and an upstream of it write and read it: by hand, by nothing of the proxy's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """`arguments` is JSON; a stream brings it in pieces of a few characters, where its format has pieces."""

    name: str
    arguments: str = "{}"

    @property
    def id(self) -> str:
        return f"call_{self.name}"

    @property
    def pieces(self) -> list[str]:
        return [self.arguments[at : at + 6] for at in range(0, len(self.arguments), 6)]


@dataclass(frozen=True)
class Understood:
    """What a client makes of a reply: its text, its calls with their arguments, and the message of its error."""

    text: str = ""
    calls: tuple[tuple[str, Any], ...] = ()
    error: str = ""


@dataclass(frozen=True)
class ModelFormat:
    """`events` are those of a stream that says a text in two pieces and then makes its calls."""

    name: str
    path: str
    streams_at: str
    ask: Callable[[list[str], list[str], bool], Json]
    whole: Callable[[list[str], list[Call]], Json]
    events: Callable[[list[str], list[Call]], list[bytes]]
    read: Callable[[Json], Understood]
    gather: Callable[[list[Json]], Understood]
    offered: Callable[[Json], list[str]]
    refusal_status: int = 400

    def body(self, *texts: str, tools: tuple[str, ...] = (), streamed: bool = False) -> bytes:
        return json.dumps(self.ask(list(texts), list(tools), streamed)).encode()

    def reply(self, *texts: str, calls: tuple[Call, ...] = ()) -> bytes:
        return json.dumps(self.whole(list(texts), list(calls))).encode()

    def stream(self, *texts: str, calls: tuple[Call, ...] = ()) -> list[bytes]:
        return self.events(list(texts), list(calls))

    def understood(self, body: bytes, *, streamed: bool) -> Understood:
        if not streamed:
            return self.read(json.loads(body))
        return self.gather(list(events_of(body)))


def events_of(stream: bytes) -> Iterator[Json]:
    for event in stream.replace(b"\r\n", b"\n").split(b"\n\n"):
        for line in event.split(b"\n"):
            if line.startswith(b"data: ") and line != b"data: [DONE]":
                yield json.loads(line[6:])


def halves(text: str) -> list[str]:
    return [text[: len(text) // 2], text[len(text) // 2 :]]


def error_of(value: Json) -> str:
    error = value.get("error")
    return str(error.get("message")) if isinstance(error, dict) else ""


def offered(asked: Json) -> list[str]:
    """Names of the tools in a request."""
    return [(tool.get("function") or tool)["name"] for tool in asked.get("tools") or ()]
