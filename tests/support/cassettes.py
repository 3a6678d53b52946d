"""Real exchanges with providers, from the cassettes of open-source projects."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.support.shared import shared_path

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One exchange. `reply` is None where the cassette holds it only as parsed JSON."""

    name: str
    host: str
    path: str
    request: bytes | None
    status: int
    content_type: str
    reply: bytes | None
    request_json: Any = None
    reply_json: Any = None
    """What the cassette holds as parsed JSON in place of bytes."""


@cache
def exchanges(path_end: str) -> tuple[Recorded, ...]:
    """All recorded exchanges whose URL path ends so; skips the test where the recordings are absent."""
    found: list[Recorded] = []
    root = shared_path("data", "cassettes")
    for index in sorted(root.glob("*/index.jsonl")):
        for line in index.read_text().splitlines():
            entry = json.loads(line)
            file = index.parent / entry["file"]
            if path_end.strip("/").split("/")[-1].encode() not in file.read_bytes():
                continue
            found += [
                one for one in _read(file.name, yaml.load(file.read_bytes(), _LOADER)) if one.path.endswith(path_end)
            ]
    return tuple(found)


def streams(path_end: str) -> list[tuple[str, bytes]]:
    """(name, bytes) of each recorded event stream that was answered with 200."""
    return [
        (one.name, one.reply)
        for one in exchanges(path_end)
        if one.status == 200 and one.reply is not None and b"data:" in one.reply[:200]
    ]


def _read(name: str, cassette: dict[str, Any]) -> Iterator[Recorded]:
    for number, one in enumerate(cassette["interactions"]):
        request, response = one["request"], one["response"]
        url = urlsplit(request.get("uri") or request.get("url") or "")
        status = response.get("status")
        code = response.get("code") or (status.get("code") if isinstance(status, dict) else 0)
        headers = {k.lower(): v for k, v in (response.get("headers") or {}).items()}
        kind = headers.get("content-type") or [""]
        body = response.get("body")
        yield Recorded(
            f"{name}#{number}",
            url.hostname or "",
            url.path,
            _bytes(request.get("body")),
            int(code or 0),
            kind[0] if isinstance(kind, list) else kind,
            _bytes(body.get("string") if isinstance(body, dict) else body),
            request.get("parsed_body"),
            response.get("parsed_body"),
        )


def _bytes(body: Any) -> bytes | None:
    if isinstance(body, dict):
        body = body.get("string")
    if body is None or body == "":
        return None
    raw = body.encode() if isinstance(body, str) else bytes(body)
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
