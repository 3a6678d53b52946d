"""Calls that wait for people, on real sockets: what clients get meanwhile, who gives up, and what is left then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.approvals import ApprovalAsked, Decision
from tests.support.approving import ALLOWED, DENIED, People
from tests.support.driving import asking, completion
from tests.support.gateway import Served, serve
from tests.support.gateway_client import CHAT, Client, exchanged, recorded, upstreams
from tests.support.parity.format import Call
from tests.support.parity.formats import MODEL_FORMATS
from tests.support.scripted import STREAM_HEAD, Scripted, answering, piece, whole

POLICIES = {"approvals": {"tools": {"pay": {}}}}
PAY = b'{"to": "acme"}'


@asynccontextmanager
async def opened(folder: Path, upstream: Scripted, people: People) -> AsyncIterator[Served]:
    async with serve(folder, policies=POLICIES, **upstreams(upstream)) as served:
        served.doors.hall.approver = people
        yield served


async def test_a_client_of_a_stream_hears_that_it_goes_on_and_then_gets_it_whole(tmp_path: Path) -> None:
    events = MODEL_FORMATS[0].stream("Let me pay.", calls=(Call("pay", PAY.decode()),))
    body = STREAM_HEAD + b"".join(map(piece, (*events, b"")))
    people = People()
    async with Scripted(answering(body)) as model, opened(tmp_path, model, people) as served:
        served.doors.gateway.asking.patience_s = 0.001
        async with await Client.of(served) as client:
            await client.send(f"/s/s1/m{CHAT}", asking(stream=True))
            _, headers = await client.head()
            got = b""
            while got.count(b": waiting\n") < 3:
                got += await client.chunk()
            assert b"acme" not in got
            people.settle(await people.question(), ALLOWED)
            got += await client.rest(headers)
        attempt = await recorded(served)
    assert got.replace(b": waiting\n", b"") == b"".join(events)
    assert attempt.end == "complete" and attempt.client_reply is None and float(attempt.extra["waited_s"]) > 0


async def test_a_client_that_leaves_withdraws_its_question(tmp_path: Path) -> None:
    people = People()
    async with Scripted(answering(b"")) as tool, opened(tmp_path, tool, people) as served:
        async with await Client.of(served) as client:
            await client.send("/s/s1/t/pay", PAY)
            asked = await people.question()
            client.leave()
            attempt = await recorded(served)
        assert people.withdrawn == [asked] and tool.seen == []
    assert (attempt.end, [note.code for note in attempt.verdicts]) == ("aborted", ["withdrawn"])


async def test_a_gateway_that_closes_waits_for_nobody(tmp_path: Path) -> None:
    people = People()
    reply = whole(completion(calls=(("c1", "pay", PAY.decode()),)), "application/json")
    async with Scripted(answering(reply)) as model:
        async with opened(tmp_path, model, people) as served:
            call = asyncio.create_task(exchanged(served, f"/s/s1/m{CHAT}", asking()))
            asked = await people.question()
            async with asyncio.timeout(5):
                await served.doors.gateway.close()
                _, _, got = await call
        assert people.withdrawn == [asked] and b"acme" not in got and b"nobody could be asked" in got
    (attempt,) = served.attempts
    assert [note.code for note in attempt.verdicts] == ["withdrawn", "policy_failed"]


async def test_an_approver_that_breaks_lets_nothing_pass(tmp_path: Path) -> None:
    def breaks(_: ApprovalAsked) -> Decision:
        raise RuntimeError("the desk is on fire")

    async with Scripted(answering(b"")) as tool, opened(tmp_path, tool, People(breaks)) as served:
        status, headers, _ = await exchanged(served, "/s/s1/t/pay", PAY)
        attempt = await recorded(served)
    assert (status, headers["x-ironcage-refusal"], attempt.end) == (400, "policy_failed", "refused")
    assert tool.seen == []


async def test_the_same_call_at_the_same_time_is_asked_about_one_after_the_other(tmp_path: Path) -> None:
    """However the people are asked: no decision can be for two."""
    people = People()
    async with (
        Scripted(answering(whole(b"paid", "text/plain"))) as tool,
        opened(tmp_path, tool, people) as served,
    ):
        calls = [asyncio.create_task(exchanged(served, "/s/s1/t/pay", PAY)) for _ in range(3)]
        for decision in (ALLOWED, DENIED, DENIED):
            asked = await people.question()
            assert people.waiting == 1
            people.settle(asked, decision)
        statuses = sorted([(await call)[0] for call in calls])
    assert statuses == [200, 400, 400] and len(tool.seen) == 1
