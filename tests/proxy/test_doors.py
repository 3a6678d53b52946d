"""What holds at every door where no rule fires, or before any is asked. For rules see test_parity.py."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ironcage.reach import ca_folder
from tests.support.driving import DONE, asking, completion, event
from tests.support.gateway import Served, joined, serve
from tests.support.medagent_servers import make_certificate
from tests.support.scripted import STREAM_HEAD, Script, Scripted, answering, piece, whole

CHAT = "/v1/chat/completions"


@dataclass
class Visit:
    """A client at one door, in session s1, with one model behind it."""

    served: Served
    upstream: Scripted
    session: aiohttp.ClientSession
    prefix: str
    options: dict[str, Any] = field(default_factory=dict)

    async def post(self, body: bytes, path: str = CHAT) -> tuple[int, Any, bytes]:
        headers = {"Content-Type": "application/json"}
        async with self.session.post(self.prefix + path, data=body, headers=headers, **self.options) as got:
            return got.status, got.headers, await got.read()

    @property
    def last(self) -> Any:
        return self.served.attempts[-1]


@asynccontextmanager
async def visiting(door: str, folder: Path, state: Path, script: Script, **settings: Any) -> AsyncIterator[Visit]:
    tls, certificate = make_certificate(folder) if door == "proxy_tls" else (None, None)
    trusted = {"ca_file": str(certificate)} if certificate else {}
    async with Scripted(script, tls=tls) as upstream:
        places = {"m": {"base_url": upstream.origin, **trusted}}
        listening = {"forward_listen": "127.0.0.1:0", "state_dir": str(state)} if door != "base_url" else {}
        async with serve(folder, upstreams=places, **listening, **settings) as served:
            prefix = served.url("m")
            options: dict[str, Any] = {}
            if door != "base_url":
                prefix = upstream.origin
                options["proxy"] = str(served.doors.proxy_url).replace("http://", "http://s1:x@")
                if door == "proxy_tls":
                    options["ssl"] = ssl.create_default_context(cafile=str(ca_folder(served.doors.loaded) / "ca.pem"))
            async with aiohttp.ClientSession() as session:
                yield Visit(served, upstream, session, prefix, options)


def stream_of(*parts: bytes) -> bytes:
    return STREAM_HEAD + b"".join(piece(part) for part in parts) + piece(b"")


async def untouched(visit: Visit) -> None:
    body = asking("hi", x=1.5).replace(b", ", b" ,")
    status, _, got = await visit.post(body)
    assert (status, got) == (200, completion())
    assert visit.upstream.seen[0].body == body and visit.upstream.seen[0].target == CHAT
    assert joined(visit.last.request) == body and joined(visit.last.reply) == got
    assert (visit.last.end, visit.last.kind, visit.last.session, visit.last.client_reply) == (
        "complete",
        "model",
        "s1",
        None,
    )


async def untouched_stream(visit: Visit) -> None:
    status, headers, got = await visit.post(asking(stream=True))
    assert (status, headers["Content-Type"]) == (200, "text/event-stream")
    assert got == event({"content": "hello"}) + event({}, "stop") + DONE == joined(visit.last.reply)
    assert visit.last.answer.text == "hello"


async def unknown_path(visit: Visit) -> None:
    status, headers, _ = await visit.post(b"{}", "/v1/files")
    assert (status, headers["x-ironcage-refusal"]) == (400, "route_refused")
    assert visit.upstream.seen == [] and visit.last.end == "refused"


async def unreadable(visit: Visit) -> None:
    status, headers, _ = await visit.post(b'{"model":"m","messages":[],"messages":[]}')
    assert (status, headers["x-ironcage-refusal"]) == (400, "unreadable_body")
    assert visit.upstream.seen == []


async def broken_stream(visit: Visit) -> None:
    _, _, got = await visit.post(asking(stream=True))
    assert b"upstream_unreadable" in got and b"broken" not in got
    assert visit.last.end == "cut"


@dataclass(frozen=True)
class Case:
    check: Callable[[Visit], Awaitable[None]]
    reply: bytes = whole(completion())
    settings: dict[str, Any] = field(default_factory=dict)


REDACTED = {"policies": {"redaction": {"types": ["EMAIL"]}}}
CASES = [
    Case(untouched),
    Case(untouched_stream, stream_of(event({"content": "hello"}), event({}, "stop"), DONE)),
    Case(untouched_stream, stream_of(event({"content": "hello"}), event({}, "stop"), DONE), REDACTED),
    Case(unknown_path),
    Case(unreadable),
    Case(broken_stream, stream_of(event({"content": "a"}), b"data: {broken\n\n")),
]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One authority for all cases: making its key takes longer than a case."""
    return tmp_path_factory.mktemp("state")


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c.check.__name__}" for i, c in enumerate(CASES)])
@pytest.mark.parametrize("door", ["base_url", "proxy", "proxy_tls"])
async def test_every_case_is_the_same_at_every_door(tmp_path: Path, state: Path, door: str, case: Case) -> None:
    async with visiting(door, tmp_path, state, answering(case.reply), **case.settings) as visit:
        await case.check(visit)
        assert {a.door for a in visit.served.attempts} == {"base_url" if door == "base_url" else "proxy"}
        assert {a.session for a in visit.served.attempts} == {"s1"}
