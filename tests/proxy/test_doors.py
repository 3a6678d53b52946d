"""One set of cases for every door: whatever a rule says, it says it through the base URL and through HTTPS_PROXY.

The start of the parity matrix: a case is a row, a door is a column, and no cell is left out.
"""

from __future__ import annotations

import json
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

EMAIL = "bob@example.org"
CHAT = "/v1/chat/completions"
REFUSED_CALL = (("c1", "bad", '{"x":1}'), ("c2", "good", '{"y":2}'))


@dataclass
class Visit:
    """A client at one door, in session s1, with one upstream behind it that is a model and, below /tool, a tool."""

    served: Served
    upstream: Scripted
    session: aiohttp.ClientSession
    prefixes: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)

    async def post(self, body: bytes, path: str = CHAT, upstream: str = "m") -> tuple[int, Any, bytes]:
        url = self.prefixes[upstream] + path
        async with self.session.post(
            url, data=body, headers={"Content-Type": "application/json"}, **self.options
        ) as got:
            return got.status, got.headers, await got.read()

    @property
    def last(self) -> Any:
        return self.served.attempts[-1]


@asynccontextmanager
async def visiting(door: str, folder: Path, state: Path, script: Script, **settings: Any) -> AsyncIterator[Visit]:
    tls, certificate = make_certificate(folder) if door == "proxy_tls" else (None, None)
    trusted = {"ca_file": str(certificate)} if certificate else {}
    async with Scripted(script, tls=tls) as upstream:
        places = {
            "m": {"base_url": upstream.origin, **trusted},
            "t": {"base_url": f"{upstream.origin}/tool", "kind": "tool", **trusted},
        }
        listening = {"forward_listen": "127.0.0.1:0", "state_dir": str(state)} if door != "base_url" else {}
        async with serve(folder, upstreams=places, **listening, **settings) as served:
            prefixes = {name: served.url(name) for name in places}
            options: dict[str, Any] = {}
            if door != "base_url":
                prefixes = {name: str(place["base_url"]) for name, place in places.items()}
                options["proxy"] = str(served.doors.proxy_url).replace("http://", "http://s1:x@")
                if door == "proxy_tls":
                    options["ssl"] = ssl.create_default_context(cafile=str(ca_folder(served.doors.loaded) / "ca.pem"))
            async with aiohttp.ClientSession() as session:
                yield Visit(served, upstream, session, prefixes, options)


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


async def refused_call(visit: Visit) -> None:
    _, _, got = await visit.post(asking())
    message = json.loads(got)["choices"][0]["message"]
    assert [c["function"]["name"] for c in message["tool_calls"]] == ["good"]
    assert '"bad" was called' in message["content"]
    assert [c.name for c in visit.last.answer.calls] == ["bad", "good"] and joined(visit.last.client_reply) == got


async def refused_call_in_stream(visit: Visit) -> None:
    _, _, got = await visit.post(asking(stream=True))
    assert b'"bad\\" was called' in got and b'"x' not in got and b'"good"' in got and got.endswith(DONE)
    assert [n.code for n in visit.last.verdicts] == ["tool_not_allowed"]


async def refused_offer(visit: Visit) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("bad", "good")]
    assert (await visit.post(asking(tools=tools)))[0] == 200
    assert [t["function"]["name"] for t in json.loads(visit.upstream.seen[0].body)["tools"]] == ["good"]


async def refused_tool(visit: Visit) -> None:
    status, headers, got = await visit.post(b"{}", "/bad", "t")
    assert (status, headers["x-ironcage-refusal"], headers["x-should-retry"]) == (400, "tool_not_allowed", "false")
    assert json.loads(got)["error"]["code"] == "tool_not_allowed"
    assert visit.upstream.seen == [] and visit.last.end == "refused"
    assert (await visit.post(b"{}", "/good", "t"))[0] == 200
    assert visit.upstream.seen[0].target == "/tool/good" and visit.last.tool.name == "good"


async def masked_and_restored(visit: Visit) -> None:
    status, _, got = await visit.post(asking(f"mail {EMAIL}"))
    token = json.loads(visit.upstream.seen[0].body)["messages"][0]["content"].removeprefix("mail ")
    assert status == 200 and token.startswith("PII_EMAIL_") and b"hello" in got
    visit.upstream.script = answering(whole(completion(f"sent to {token}")))
    assert json.loads((await visit.post(asking(f"mail {EMAIL}", "done?")))[2])["choices"][0]["message"]["content"] == (
        f"sent to {EMAIL}"
    )
    halves = event({"content": token[:9]}), event({"content": token[9:]}), event({}, "stop"), DONE
    visit.upstream.script = answering(stream_of(*halves))
    assert EMAIL.encode() in (await visit.post(asking(f"mail {EMAIL}", "again", stream=True)))[2]
    assert EMAIL not in repr(visit.served.attempts)


async def egress_cut(visit: Visit) -> None:
    status, _, got = await visit.post(asking(stream=True))
    assert status == 200 and got.count(b"x" * 1000) < 2000 and b"egress_budget_exhausted" in got
    assert visit.last.end == "refused" and visit.last.verdicts[-1].action == "cut"
    status, headers, _ = await visit.post(asking("x" * 600_000))
    assert (status, headers["x-ironcage-refusal"]) == (400, "egress_budget_exhausted")
    assert len(visit.upstream.seen) == 1


async def spent_retries(visit: Visit) -> None:
    answers = [await visit.post(asking()) for _ in range(3)]
    assert [status for status, _, _ in answers] == [429, 429, 400]
    assert answers[2][1]["x-ironcage-refusal"] == "retry_budget_exhausted"
    assert [(a.end, a.number) for a in visit.served.attempts] == [("failed", 1), ("failed", 2), ("refused", 3)]
    assert len({a.operation for a in visit.served.attempts}) == 1


async def spent_retries_of_a_tool(visit: Visit) -> None:
    answers = [await visit.post(b'{"id":7}', "/order", "t") for _ in range(3)]
    assert [status for status, _, _ in answers] == [429, 429, 400]


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


ALLOWED = {"constraints": {"allowed_tools": ["good"]}}
REDACTED = {"policies": {"redaction": {"types": ["EMAIL"]}}}
CALLS = [{"index": i, "id": c, "function": {"name": n, "arguments": a}} for i, (c, n, a) in enumerate(REFUSED_CALL)]
CASES = [
    Case(untouched),
    Case(untouched_stream, stream_of(event({"content": "hello"}), event({}, "stop"), DONE)),
    Case(untouched_stream, stream_of(event({"content": "hello"}), event({}, "stop"), DONE), REDACTED),
    Case(refused_call, whole(completion(None, REFUSED_CALL)), ALLOWED),
    Case(refused_call_in_stream, stream_of(event({"tool_calls": CALLS}), event({}, "tool_calls"), DONE), ALLOWED),
    Case(refused_offer, settings=ALLOWED),
    Case(refused_tool, settings=ALLOWED),
    Case(masked_and_restored, settings=REDACTED),
    Case(
        egress_cut,
        stream_of(*[event({"content": "x" * 1000})] * 2000, DONE),
        {"constraints": {"network_egress_limit_mb": 0.5}},
    ),
    Case(spent_retries, whole(b'{"error":{}}', status="429 Too Many Requests"), {"constraints": {"max_retries": 1}}),
    Case(spent_retries_of_a_tool, whole(b"{}", status="429 Too Many"), {"constraints": {"max_retries": 1}}),
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
