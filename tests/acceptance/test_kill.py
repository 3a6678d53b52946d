"""kill -9 of the proxy during traffic: what a client got in full is in the store, whole, and nothing needs repair."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from tests.support.medagent_servers import LoopbackServer

if TYPE_CHECKING:
    from tests.support.house import House, StartHouse
    from trajectory.record import Attempt

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

KILLS = 20
CLIENTS = 6
PIECES = 8
SEED = 20261123


class Echo(LoopbackServer):
    """A model that says the last message back, in `PIECES` events where a stream is asked for."""

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/chat/completions", self._complete)]

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        said = asked["messages"][-1]["content"]
        if not asked.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
            return web.json_response({"id": said, "object": "chat.completion", "model": "m", "choices": [choice]})
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(PIECES):
            last = number == PIECES - 1
            delta = {} if last else {"content": f"{said}-{number} "}
            choice = {"index": 0, "delta": delta, "finish_reason": "stop" if last else None}
            event = {"id": said, "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
            await response.write(f"data: {json.dumps(event)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response


@dataclass
class Traffic:
    """What the clients of one round have got until the proxy was killed at the `moment`-th piece of a reply."""

    house: House
    moment: int
    pieces: int = 0
    whole: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Session, operation (x-ironcage-step) and body of each reply that was received in full."""
    broken: int = 0

    async def client(self, session: str, http: aiohttp.ClientSession) -> None:
        """A conversation that grows by a question and its answer, until the connection breaks."""
        history: list[dict[str, str]] = []
        number = 0
        while True:
            number += 1
            history.append({"role": "user", "content": f"{session} question {number} " + "x" * 200})
            stream = number % 2 == 0
            body = {"model": "m", "messages": history, "stream": stream}
            got, step = b"", ""
            try:
                url = f"{self.house.base('openai', session)}/v1/chat/completions"
                async with http.post(url, json=body) as reply:
                    step = reply.headers["x-ironcage-step"]
                    while piece := await reply.content.readany():
                        got += piece
                        self._received()
                    assert reply.status == 200, got
            except (aiohttp.ClientError, ConnectionError):
                self.broken += bool(got)
                if stream and got.endswith(b"data: [DONE]\n\n"):  # the client's parser stops here, whatever follows
                    self.whole.append((session, step, got))
                return
            self.whole.append((session, step, got))
            history.append({"role": "assistant", "content": f"answer {number}"})

    def _received(self) -> None:
        self.pieces += 1
        if self.pieces == self.moment:
            self.house.kill_now()


async def test_what_a_client_got_in_full_survives_kill_9_at_any_moment(start_house: StartHouse) -> None:
    moments = random.Random(SEED)
    received, broken = 0, 0
    async with Echo() as upstream:
        # all of the traffic comes by the base-URL door, so each start is spared the loading of the other
        house = await start_house(upstreams={"openai": {"base_url": upstream.origin}}, forward_listen=None)
        for number in range(KILLS):
            if number:
                await house.start()
            traffic = Traffic(house, moments.randint(1, 150))
            async with aiohttp.ClientSession() as http:
                await asyncio.gather(*(traffic.client(f"r{number}-c{client}", http) for client in range(CLIENTS)))
            await house.kill()
            assert traffic.pieces >= traffic.moment
            await asyncio.to_thread(assert_recorded, house, traffic)
            received += len(traffic.whole)
            broken += traffic.broken
        assert received > KILLS, "replies came in full before the kills"
        assert broken > 0, "and some were cut by them"

        await house.start()
        last = Traffic(house, moment=25)
        async with aiohttp.ClientSession() as http:
            await last.client("last", http)
        await house.kill()
        await asyncio.to_thread(assert_recorded, house, last)
    assert "ERROR" not in house.said
    assert await asyncio.to_thread(count_whole_attempts, house) >= received


def assert_recorded(house: House, traffic: Traffic) -> None:
    assert_sound(house)
    sessions = {session for session, *_ in traffic.whole}
    with house.store() as store:
        kept: dict[str, list[Attempt]] = {session: list(store.attempts(session)) for session in sessions}
    for session, step, body in traffic.whole:
        found = [attempt for attempt in kept[session] if (attempt.operation, whole(attempt.reply)) == (step, body)]
        assert [attempt.end for attempt in found] == ["complete"], f"{session} got a reply that is not in the record"


def assert_sound(house: House) -> None:
    with closing(sqlite3.connect(house.database)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


def count_whole_attempts(house: House) -> int:
    """Attempts in the store, each read with its bodies, and each with all that belongs to it."""
    count = 0
    with house.store() as store:
        for found in store.find(limit=100_000):
            steps = store.trajectory(found.id).steps
            attempts = list(store.attempts(found.id))
            assert sum(len(step.attempts) for step in steps) == len(attempts)
            for attempt in attempts:
                count += 1
                assert_whole(attempt)
    return count


def assert_whole(attempt: Attempt) -> None:
    request: dict[str, Any] = json.loads(whole(attempt.request))
    assert attempt.streamed == request["stream"]
    assert len(whole(attempt.request)) == attempt.request_bytes
    if attempt.end != "complete":
        return
    reply = whole(attempt.reply)
    assert len(reply) == attempt.reply_bytes
    asked = request["messages"][-1]["content"]
    assert attempt.answer is not None
    if attempt.streamed:
        assert reply.endswith(b"data: [DONE]\n\n")
        assert attempt.answer.text == "".join(f"{asked}-{number} " for number in range(PIECES - 1))
    else:
        assert json.loads(reply)["id"] == asked == attempt.answer.text


def whole(body: tuple[Any, ...]) -> bytes:
    return b"".join(span.data for span in body)
