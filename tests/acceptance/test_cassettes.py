"""Everything recorded of real providers passes through the running gateway as if it were not there.

A loopback upstream answers each of the 1,817 recorded requests with the recorded status, headers and bytes; rules of
every kind are on, and none has a reason to fire. What the upstream got, what the client got and what the store
holds are the recorded bytes.
"""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ironcage.assembly import open_doors
from ironcage.settings import Loaded, Settings
from proxy.wire.choose import wire_of
from tests.support.cassettes import Recorded, cassettes, recorded_in
from tests.support.gateway_client import Client
from tests.support.reenacting import MARK, Reenactor, of_message
from trajectory.formats.jsonl import export_trajectory
from trajectory.ids import trajectory_id
from trajectory.sql.opening import open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from ironcage.assembly import Doors
    from trajectory.store import Store

IN_ALL = 1817
CLIENTS = 4

# What is refused, and rightly: four of all.
_BACKGROUND = "'background' is not supported: its result would come by another way, unjudged"
REFUSED = {
    "test_background_mode_with_tool_vcr.yaml#0": _BACKGROUND,
    "test_background_mode_with_tool_vcr.yaml#2": _BACKGROUND,
    "test_background_mode_streaming_continuation_vcr.yaml#0": _BACKGROUND,
    "test_background_mode_streaming_starting_after_vcr.yaml#0": _BACKGROUND,
}
# Answered with 200; that they failed they tell in an event.
FAILED_IN_THE_STREAM = frozenset(
    {
        "test_tool_use_failed_error_streaming.yaml#0",
        "test_tool_use_failed_error_streaming_with_text.yaml#0",
        "test_openrouter_stream_error.yaml#0",
    }
)
# No calls of a model, or none that can be judged: an operator lists them, or they are refused.
LISTED = {
    "api.openai.com": (
        "POST /v1/completions", "POST /v1/embeddings", "POST /v1/images/generations", "POST /v1/traces/ingest",
        "GET /v1/responses/*", "POST /v1/conversations", "DELETE /v1/conversations/*",
        "POST /v1/assistants", "GET /v1/assistants/*", "POST /v1/threads", "POST /v1/threads/*", "GET /v1/threads/*",
        "POST /v1/files", "DELETE /v1/files/*",
        "POST /v1/vector_stores", "POST /v1/vector_stores/*", "DELETE /v1/vector_stores/*",
    ),
    "api.anthropic.com": ("POST /v1/complete", "POST /v1/files", "DELETE /v1/files/*"),
    "generativelanguage.googleapis.com": (
        "POST /v1beta/cachedContents", "DELETE /v1beta/cachedContents/*", "POST /v1beta/fileSearchStores",
        "DELETE /v1beta/fileSearchStores/*", "POST /upload/v1beta/fileSearchStores/*",
    ),
    "api.cohere.com": ("POST /v2/chat",),
    "api.mistral.ai": ("POST /v1/embeddings",),
    "api.together.xyz": ("POST /v1/completions",),
    "test-resource.openai.azure.com": ("POST /openai/deployments/*",),
    "localhost": ("POST /v1/completions", "POST /v1/embeddings"),
    "127.0.0.1": ("POST /api/embeddings",),
}  # fmt: skip
# All that is looked for stands nowhere in the recordings.
REDACTION = {"types": [], "known_values": {"NAME": ["Wilhelmina Quarterstaff"]}}


@dataclass(frozen=True)
class Group:
    """Some of the cassettes, to be spread over processes. While redaction is on, what nobody here can read is refused
    (a Bedrock model's own format) or not written down (compressed, on routes that are not judged): it has a group of
    its own without.
    """

    name: str
    redaction: dict[str, Any] | None
    number: int = 0
    of: int = 1

    def sessions(self) -> dict[str, tuple[Recorded, ...]]:
        """Exchanges by session: the agent of one cassette goes on with its own conversation."""
        mine = [one for one in cassettes() if is_opaque(one) is (self.redaction is None)]
        return {f"c{at}": recorded_in(cassette) for at, cassette in enumerate(mine[self.number :: self.of])}


def is_opaque(cassette: Path) -> bool:
    wires = ((one, wire_of(one.method, one.path)) for one in recorded_in(cassette))
    return any(wire == "bedrock.invoke" or (wire is None and one.coded_reply is not None) for one, wire in wires)


GROUPS = (Group("opaque", None), *(Group(f"readable-{n}", REDACTION, n, 6) for n in range(6)))


@dataclass(frozen=True)
class Replied:
    status: int
    headers: dict[str, str]
    body: bytes


async def asked(doors: Doors, exchanges: dict[int, Recorded], session: dict[int, str]) -> dict[int, Replied]:
    """Replies to all of one client's requests, sent one after another over one connection."""
    replies: dict[int, Replied] = {}
    async with Client(*await asyncio.open_connection("127.0.0.1", doors.port)) as client:
        for place, one in exchanges.items():
            headers = {**of_message(one.request_headers), MARK: str(place)}
            await client.send(f"/s/{session[place]}/{upstream_of(one)}{target(one)}", one.asked, one.method, **headers)
            status, answered = await client.head()
            replies[place] = Replied(status, answered, await client.rest(answered))
    return replies


def upstream_of(one: Recorded) -> str:
    return one.host.replace(".", "-")


def target(one: Recorded) -> str:
    return one.path + (f"?{one.query}" if one.query else "")


@asynccontextmanager
async def opened(
    folder: Path, exchanges: Iterable[Recorded], origin: str, *, redaction: object = None, listed: bool = True
) -> AsyncIterator[Doors]:
    upstreams = {
        upstream_of(one): {"base_url": origin, "allow_paths": LISTED.get(one.host, ()) if listed else ()}
        for one in exchanges
    }
    limits = {"max_retries": 100_000, "allowed_tools": ["*"], "network_egress_limit_mb": 100_000}
    settings = Settings.model_validate(
        {
            "listen": "127.0.0.1:0",
            "store": f"sqlite:///{folder}/record.db",
            "upstreams": upstreams,
            "constraints": {"constraints": limits},
            "policies": {"redaction": redaction},
        }
    )
    async with open_doors(Loaded(settings=settings, constraints=settings.constraints, folder=folder)) as doors:  # type: ignore[arg-type]
        yield doors


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
async def test_what_was_recorded_passes_untouched_and_is_kept_byte_for_byte(group: Group, tmp_path: Path) -> None:
    sessions = group.sessions()
    session = dict(enumerate(name for name, exchanges in sessions.items() for _ in exchanges))
    exchanges = dict(enumerate(one for found in sessions.values() for one in found))
    shares: list[dict[int, Recorded]] = [{} for _ in range(CLIENTS)]
    for place, one in exchanges.items():
        shares[int(session[place][1:]) % CLIENTS][place] = one
    async with (
        Reenactor(list(exchanges.values())) as upstream,
        opened(tmp_path, exchanges.values(), upstream.origin, redaction=group.redaction) as doors,
    ):
        found = await asyncio.gather(*(asked(doors, share, session) for share in shares))
    replies = {place: reply for share in found for place, reply in share.items()}
    for place, one in exchanges.items():
        reply = replies[place]
        if one.name in REFUSED:
            assert (reply.status, place in upstream.seen) == (400, False)
            assert REFUSED[one.name] in reply.body.decode()
            continue
        got = upstream.seen[place]
        assert (one.name, got.method, got.target) == (one.name, one.method, target(one))
        assert got.body == one.asked, one.name
        assert of_message(got.headers).items() >= of_message(one.request_headers).items(), one.name
        assert (one.name, reply.status) == (one.name, one.status)
        assert reply.body == (one.coded_reply or one.answered), one.name
        came = {**of_message(one.reply_headers), "content-type": one.content_type}
        assert of_message(tuple(reply.headers.items())).items() >= came.items(), one.name
    with closing(open_store(f"sqlite:///{tmp_path}/record.db")) as store:
        for name, held in sessions.items():
            exports_the_same(store, trajectory_id(name, None), held)


def exports_the_same(store: Store, trajectory: str, exchanges: tuple[Recorded, ...]) -> None:
    attempts = list(store.attempts(trajectory))
    exported = list(bodies_of(export_trajectory(store, trajectory)))
    assert len(attempts) == len(exported) == len(exchanges)
    for one, attempt, export in zip(exchanges, attempts, exported, strict=True):
        held = (store.body(attempt.id, "request") or b"", store.body(attempt.id, "reply") or b"")
        if one.name in REFUSED:
            assert (attempt.end, *held) == ("refused", b"", b"")  # not judged, so not searched either
            continue
        is_opened = attempt.kind == "model" or one.coded_reply is None
        assert held == export == (one.asked, one.answered if is_opened else one.coded_reply), one.name
        assert store.body(attempt.id, "client_reply") is None
        has_failed = one.status >= 400 or one.name in FAILED_IN_THE_STREAM
        assert (one.name, attempt.end) == (one.name, "failed" if has_failed else "complete")


def bodies_of(lines: Iterable[str]) -> Iterable[tuple[bytes, bytes]]:
    """(request, reply) of each attempt of an exported trajectory."""
    spans: dict[str, bytes] = {}
    for line in map(json.loads, lines):
        if line["line"] == "span":
            spans[line["digest"]] = line["text"].encode() if "text" in line else base64.b64decode(line["base64"])
        elif line["line"] == "attempt":
            request, reply = (b"".join(spans[digest] for digest in line[side]) for side in ("request", "reply"))
            yield request, reply


def test_every_recorded_exchange_is_in_one_group() -> None:
    names = [one.name for group in GROUPS for held in group.sessions().values() for one in held]
    assert len(names) == IN_ALL
    assert set(names) >= REFUSED.keys()


async def test_what_no_one_can_judge_passes_only_where_it_is_listed(tmp_path: Path) -> None:
    unjudged = {
        (one.method, one.host, one.path): one
        for cassette in cassettes()
        for one in recorded_in(cassette)
        if wire_of(one.method, one.path) is None
    }
    exchanges = dict(enumerate(unjudged.values()))
    async with (
        Reenactor(list(exchanges.values())) as upstream,
        opened(tmp_path, exchanges.values(), upstream.origin, listed=False) as doors,
    ):
        replies = await asked(doors, exchanges, dict.fromkeys(exchanges, "s"))
    assert not upstream.seen
    assert {reply.headers["x-ironcage-refusal"] for reply in replies.values()} == {"route_refused"}
