"""The strings of a recorded event stream, as one would read them: pieces of one string joined."""

from __future__ import annotations

from typing import Any

from proxy.wire.spans import Texts, read_json
from proxy.wire.sse import Framer, data_of
from trajectory.errors import FormatError

_Path = tuple[str | int, ...]


def texts_of_stream(stream: bytes) -> Texts:
    """(key, text) for each place where the events' JSON holds strings, joined over all events.

    A value may be cut anywhere between two events, so only joined can it be searched; what a stream says in fields
    that nobody here reads (reasoning, citations) is searched too. Raises FormatError for events that are not JSON.
    """
    joined: dict[_Path, list[str]] = {}
    if stream.lstrip()[:1] in (b"[", b"{"):  # Google's streams are JSON arrays where nobody asks for events
        for element in _elements(stream):
            _join(element, (), joined)
        return _texts(joined)
    framer = Framer()
    for frame in (*framer.feed(stream), framer.rest()):
        data = data_of(frame).strip()
        if data and data != b"[DONE]":
            _join(read_json(data)[0], (), joined)
    return _texts(joined)


def _elements(stream: bytes) -> list[Any]:
    """Of an array, or of lines that are a JSON object each (Ollama)."""
    try:
        array = read_json(stream)[0]
    except FormatError:
        return [read_json(line)[0] for line in stream.split(b"\n") if line.strip()]
    return array if isinstance(array, list) else [array]


def _texts(joined: dict[_Path, list[str]]) -> Texts:
    return tuple((_key(path), "".join(pieces)) for path, pieces in joined.items())


def _join(value: Any, path: _Path, joined: dict[_Path, list[str]]) -> None:
    if isinstance(value, str):
        joined.setdefault(path, []).append(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _join(inner, (*path, key), joined)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            # pieces belong together by the index that they name, else by their place
            index = inner.get("index") if isinstance(inner, dict) else None
            _join(inner, (*path, index if isinstance(index, int) else place), joined)


def _key(path: _Path) -> str:
    return next((step for step in reversed(path) if isinstance(step, str)), "")
