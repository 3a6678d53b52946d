"""The headers in which MCP 2026-07-28 repeats a request: they must say what the body says, or the request is refused.

Something between the client and the server may route or decide by them: what it saw must be what was judged.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.arrivals import Headers
from proxy.wire.mcp import Message, is_stateless
from trajectory.errors import FormatError

VERSION, METHOD, NAME, PARAM = "mcp-protocol-version", "mcp-method", "mcp-name", "mcp-param-"
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_ENCODED = re.compile(r"=\?base64\?(.*)\?=")
_INTEGER = re.compile(r"(-?[0-9]+)(?:\.0+)?")

Mirrors = Mapping[str, tuple[str, ...]]
"""Header name (lower case, without Mcp-Param-) -> the keys that lead to the argument that it repeats."""


class HeaderMismatchError(FormatError):
    """The headers of an MCP request do not say what its body says."""


def check_headers(headers: Headers, message: Message, mirrors: Mirrors | None) -> None:
    """Raises HeaderMismatchError. `mirrors` are those of the called tool; None where its definition was never seen."""
    given = _given(headers)
    version = given.get(VERSION, "")
    _equal(VERSION, given, message.version or None, required=bool(message.version))
    stateless = is_stateless(message.version or version) and message.is_request
    if message.method:
        _equal(METHOD, given, message.method, required=stateless)
    if (key := _NAMED_BY.get(message.method)) is not None:
        named = message.params.get(key)
        _equal(NAME, given, named if isinstance(named, str) else None, required=stateless and isinstance(named, str))
    if message.method == "tools/call":
        _check_params(given, message.params.get("arguments"), mirrors)


def mirrors_of(schema: object) -> dict[str, tuple[str, ...]]:
    """What a tool's input schema marks with `x-mcp-header`; only chains of plain `properties` count."""
    return {token.lower(): path for path, token in _marked(schema, ())}


def decoded(value: str) -> str | None:
    """A header's text; None for one that claims to be base64 of UTF-8 and is not."""
    match = _ENCODED.fullmatch(value)
    if match is None:
        return value
    try:
        data = base64.b64decode(match[1], validate=True)
        return data.decode() if base64.b64encode(data).decode() == match[1] else None
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def _given(headers: Headers) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in (VERSION, METHOD, NAME) or lower.startswith(PARAM):
            if lower in given:
                raise HeaderMismatchError(f"the header {name} stands there twice")
            given[lower] = value
    return given


def _equal(name: str, given: Mapping[str, str], said: str | None, *, required: bool) -> None:
    """`said` is what the body says; None where it says nothing that could be compared."""
    if name not in given:
        if required:
            raise HeaderMismatchError(f"the header {name} is missing, and this version of MCP requires it")
    elif said is not None and decoded(given[name]) != said:
        raise HeaderMismatchError(f"the header {name} does not say what the body says")


def _check_params(given: Mapping[str, str], arguments: object, mirrors: Mirrors | None) -> None:
    for name in given:
        if not name.startswith(PARAM):
            continue
        value = decoded(given[name])
        path = mirrors.get(name.removeprefix(PARAM)) if mirrors is not None else None
        # a tool that was never listed here: the value must at least be one of the arguments'
        candidates = _scalars(arguments) if path is None else iter([_at(arguments, path)])
        if value is None or not any(_says(value, candidate) for candidate in candidates):
            raise HeaderMismatchError(f"the header {name} does not say what the arguments say")


def _says(text: str, value: object) -> bool:
    if isinstance(value, bool):
        return text == ("true" if value else "false")
    if isinstance(value, int | float):
        match = _INTEGER.fullmatch(text)
        if match is not None and len(text) < 400 and (isinstance(value, int) or value.is_integer()):
            return int(match[1]) == int(value)
        return text == str(value)
    return isinstance(value, str) and text == value


def _scalars(value: object) -> Iterator[object]:
    stack = [value]
    while stack:
        here = stack.pop()
        if isinstance(here, dict):
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)
        else:
            yield here


def _at(value: object, path: tuple[str, ...]) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _marked(schema: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    stack: list[tuple[tuple[str, ...], Any]] = [(path, schema)]
    while stack:
        here, node = stack.pop()
        if not isinstance(node, dict):
            continue
        token = node.get("x-mcp-header")
        if here and isinstance(token, str):
            yield here, token
        inner = node.get("properties")
        if isinstance(inner, dict):
            stack.extend(((*here, key), value) for key, value in inner.items())
