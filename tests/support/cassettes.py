"""Real exchanges with providers, from the cassettes of open-source projects."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.support.shared import shared_path

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One exchange. `request` and `reply` are None where there was none, or the cassette holds it as parsed JSON."""

    name: str
    host: str
    path: str
    request: bytes | None
    status: int
    content_type: str
    reply: bytes | None
    """Uncompressed."""
    request_json: Any = None
    reply_json: Any = None
    """What the cassette holds as parsed JSON in place of bytes."""
    method: str = "POST"
    query: str = ""
    request_headers: Headers = ()
    reply_headers: Headers = ()
    coded_reply: bytes | None = None
    """The reply as it was sent, where that was compressed."""

    @property
    def asked(self) -> bytes:
        """The request's body; parsed JSON written as the official SDKs write it."""
        if self.request is None and self.request_json is not None:
            return json.dumps(self.request_json, ensure_ascii=False, separators=(",", ":")).encode()
        return self.request or b""

    @property
    def answered(self) -> bytes:
        """The reply's body, uncompressed; parsed JSON written with the white space that Google has."""
        if self.reply is None and self.reply_json is not None:
            return json.dumps(self.reply_json, ensure_ascii=False, indent=2).encode()
        return self.reply or b""

    @property
    def is_event_stream(self) -> bool:
        return self.content_type.startswith("text/event-stream")


def cassettes() -> tuple[Path, ...]:
    """All cassette files; skips the test where the recordings are absent."""
    return _cassettes(shared_path("data", "cassettes"))


@cache
def _cassettes(root: Path) -> tuple[Path, ...]:
    return tuple(
        index.parent / json.loads(line)["file"]
        for index in sorted(root.glob("*/index.jsonl"))
        for line in index.read_text().splitlines()
    )


@cache
def recorded_in(cassette: Path) -> tuple[Recorded, ...]:
    return tuple(_read(cassette.name, yaml.load(cassette.read_bytes(), _LOADER)))


@cache
def exchanges(path_end: str) -> tuple[Recorded, ...]:
    """All recorded exchanges whose URL path ends so; skips the test where the recordings are absent."""
    mark = path_end.strip("/").split("/")[-1].encode()
    return tuple(
        one
        for cassette in cassettes()
        if mark in cassette.read_bytes()
        for one in recorded_in(cassette)
        if one.path.endswith(path_end)
    )


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
        headers = _headers(response.get("headers"))
        sent = _bytes(response.get("body"))
        reply = gzip.decompress(sent) if sent is not None and sent[:2] == b"\x1f\x8b" else sent
        kind = next((v for k, v in headers if k.lower() == "content-type"), "")
        body = request.get("body")
        yield Recorded(
            name=f"{name}#{number}",
            host=url.hostname or "",
            path=url.path,
            request=_bytes(body),
            status=int(code or 0),
            content_type=kind or _kind_of(reply),
            reply=reply,
            request_json=body if isinstance(body, dict) and "string" not in body else request.get("parsed_body"),
            reply_json=response.get("parsed_body"),
            method=request["method"].upper(),
            query=url.query,
            request_headers=_headers(request.get("headers")),
            reply_headers=headers,
            coded_reply=sent if sent is not reply else None,
        )


def _headers(written: dict[str, Any] | None) -> Headers:
    """One pair for each value. A value is text, or bytes, or a list of either."""
    return tuple(
        (name, value.decode() if isinstance(value, bytes) else str(value))
        for name, values in (written or {}).items()
        for value in (values if isinstance(values, list) else [values])
    )


def _kind_of(reply: bytes | None) -> str:
    """docker-cagent's cassettes have no headers."""
    return "text/event-stream" if (reply or b"").startswith((b"data:", b"event:")) else "application/json"


def _bytes(body: Any) -> bytes | None:
    if isinstance(body, dict):
        body = body.get("string")
    if body is None or body == "":
        return None
    return body.encode() if isinstance(body, str) else bytes(body)
