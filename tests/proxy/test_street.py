"""Another street behind the gateway: what it is asked, and that its answers are judged like any upstream's."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace as changed

from proxy.arrivals import Headers
from proxy.effects import Forward
from proxy.street import Answer, SendOn, Street
from tests.support.driving import asking, completion
from tests.support.gateway import joined, serve
from tests.support.gateway_client import CHAT, exchanged, recorded, upstreams
from tests.support.scripted import Scripted, answering, whole


class Written:
    """A reply that nobody sent."""

    status = 200
    length: int | None = None

    def __init__(self, body: bytes) -> None:
        self.headers: Headers = (("Content-Type", "application/json"),)
        self._parts = [body, b""]

    async def next_part(self) -> bytes:
        return self._parts.pop(0)

    def close(self) -> None:
        pass


class Invented(Street):
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.asked: list[Forward] = []

    async def ask(self, request: Forward, send_on: SendOn) -> Answer:
        self.asked.append(request)
        return Written(self.body)


class Rewritten(Street):
    async def ask(self, request: Forward, send_on: SendOn) -> Answer:
        return await send_on(changed(request, path=request.path + "?elsewhere=1"))


async def test_a_street_answers_in_place_of_the_upstream_for_its_session_only(tmp_path: Path) -> None:
    real = completion("from the upstream")
    async with Scripted(answering(whole(real))) as model, serve(tmp_path, **upstreams(model)) as served:
        street = Invented(completion("from the street"))
        served.doors.hall.streets["s1"] = street
        _, _, got = await exchanged(served, f"/s/s1/m{CHAT}", asking("one"))
        attempt = await recorded(served)
        _, _, other = await exchanged(served, f"/s/s2/m{CHAT}", asking("two"))
    assert (got, other) == (street.body, real)
    assert joined(attempt.reply) == street.body
    assert [asked.body for asked in street.asked] == [asking("one")]
    assert [asked.body for asked in model.seen] == [asking("two")]


async def test_what_a_street_answers_is_judged(tmp_path: Path) -> None:
    async with Scripted(answering(whole(b"{}"))) as model, serve(tmp_path, **upstreams(model)) as served:
        served.doors.hall.streets["s1"] = Invented(b'{"choices":[')
        status, _, told = await exchanged(served, f"/s/s1/m{CHAT}", asking())
    assert status == 502
    assert b"upstream_unreadable" in told


async def test_a_street_may_send_another_request_on(tmp_path: Path) -> None:
    async with Scripted(answering(whole(completion("x")))) as model, serve(tmp_path, **upstreams(model)) as served:
        served.doors.hall.streets["s1"] = Rewritten()
        await exchanged(served, f"/s/s1/m{CHAT}", asking())
    (asked,) = model.seen
    assert asked.target == f"{CHAT}?elsewhere=1"
