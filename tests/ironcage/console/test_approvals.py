"""Decisions over the admin port: what no attacker gets, then what a person does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from proxy.approval_desk import Desk
from proxy.approvals import Decision
from tests.support.asking import ALLOWED, asked, leaves, waits
from tests.support.console import Answer, Browser, open_console
from trajectory.memory import MemoryStore

TOKEN = "the-operators-own-token"
ACCESS = "a-token-that-agents-carry"
JSON = {"Content-Type": "application/json", "x-ironcage-approvals-token": TOKEN}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Room:
    """A desk with the call q-1 on it, whose agent waits, and a console in front of it."""

    desk: Desk
    agent: asyncio.Task[Decision]
    browser: Browser

    @property
    def origin(self) -> str:
        return self.browser.url

    async def api(self, outcome: str = "allowed", *, question: str = "q-1", **headers: str) -> Answer:
        body = json.dumps({"outcome": outcome, "by": "ada"}).encode()
        return await self.browser.send("POST", f"/api/approvals/{question}", body, {**JSON, **headers})

    async def form(self, headers: dict[str, str] | None = None, **fields: str) -> Answer:
        given = {"token": TOKEN, "decision": "allowed:q-1", "by": "ada", **fields}
        return await self.browser.send("POST", "/approvals", urlencode(given).encode(), {**FORM, **(headers or {})})

    @property
    def still_waits(self) -> bool:
        return not self.agent.done() and [one.state for one in self.desk.questions()] == ["waiting"]


@pytest.fixture
async def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    monkeypatch.setenv("IRONCAGE_APPROVALS_TOKEN", TOKEN)
    desk = Desk()
    agent = await waits(desk, asked(1))
    async with open_console(MemoryStore(), desk=desk, folder=tmp_path) as browser:
        yield Room(desk, agent, browser)
    await leaves(agent)


# --- what an agent, or a page that a person has open, may try


@pytest.mark.parametrize("given", ["", "wrong", ACCESS])
async def test_without_the_approvals_token_nothing_is_decided(room: Room, given: str) -> None:
    assert (await room.api(**{"x-ironcage-approvals-token": given})).status == 403
    assert (await room.form(token=given)).status == 403
    assert (await room.form(token="", **{"decision": "allowed:q-1"})).status == 403
    assert room.still_waits


async def test_the_access_token_which_agents_carry_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRONCAGE_APPROVALS_TOKEN", TOKEN)
    desk = Desk()
    agent = await waits(desk, asked(1))
    async with open_console(MemoryStore(), desk=desk, folder=tmp_path, token=ACCESS) as browser:
        room = Room(desk, agent, browser)
        access = {"x-ironcage-token": ACCESS}
        assert (await room.api(**access, **{"x-ironcage-approvals-token": ACCESS})).status == 403
        assert (await room.form(access, token=ACCESS)).status == 403
        assert (await room.api()).status == 401, "and who lacks it does not come so far"
        assert room.still_waits
        assert (await room.api(**access)).status == 200
    assert (await agent).outcome == "allowed"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_what_a_page_elsewhere_sends_decides_nothing_even_with_the_token(
    room: Room, headers: dict[str, str]
) -> None:
    """Also one on another port of this machine, which an agent may serve."""
    assert (await room.api(**headers)).status == 403
    assert (await room.form(headers)).status == 403
    assert room.still_waits


async def test_a_rebound_name_decides_nothing(room: Room) -> None:
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert (await room.api(**rebound)).status == 421
    assert (await room.form(rebound)).status == 421
    assert (await room.browser.get("/approvals", rebound)).status == 421
    assert room.still_waits


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_form_can_send_is_no_decision_for_the_api(room: Room, kind: str) -> None:
    assert (await room.api(**{"Content-Type": kind})).status == 415
    assert room.still_waits


async def test_no_cookie_decides_or_is_set(room: Room) -> None:
    """Cookies are sent to each port of a host: what they could decide, an agent that serves a page could."""
    page = await room.browser.get("/approvals")
    decided = await room.form()
    assert "Set-Cookie" not in page.headers
    assert "Set-Cookie" not in decided.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_reading_decides_nothing(room: Room, method: str) -> None:
    for path in ("/approvals?decision=allowed:q-1&token=" + TOKEN, "/api/approvals/q-1?outcome=allowed"):
        await room.browser.send(method, path, b"", JSON)
    assert room.still_waits


async def test_no_page_can_be_framed_and_no_script_runs_but_its_own(room: Room) -> None:
    page = await room.browser.get("/approvals")
    policy = page.headers["Content-Security-Policy"]
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page.text, re.DOTALL)
    assert [attributes for attributes, _ in scripts] == [""]
    digest = base64.b64encode(hashlib.sha256(scripts[0][1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    assert policy.count("'self'") == 4, "connect, style, img, form-action"
    assert "frame-ancestors 'none'" in policy
    assert page.headers["X-Frame-Options"] == "DENY"
    assert not re.search(r"""(?:src|href|action)=["']?(?:https?:)?//""", page.text), "nothing from elsewhere"
    assert " on" + "click" not in page.text


async def test_what_an_agent_wrote_is_text_and_shows_all_that_it_is(room: Room) -> None:
    evil = asked(
        2,
        tool="wire_mоney<script>",  # noqa: RUF001 - that is the trick
        arguments='{"to": "<img src=x onerror=alert(1)>\\u202e\\u200b", "path": "\\u002fetc", '
        f'"pad": "a{" " * 400}b"}}',
        why="\x1b[2Jbecause",
        session="s</title>",
    )
    agent = await waits(room.desk, evil)
    page = await room.browser.get("/approvals")
    assert page.text.count("<script>") == 1
    assert "<img" not in page.text
    for invisible in ("\u202e", "\u200b", "\x1b", "mо"):  # noqa: RUF001
        assert invisible not in page.text
    shown = unescape(re.sub("</?mark>", "", page.text))
    assert "wire_m\\u043eney<script>" in shown
    assert '"to": "<img src=x onerror=alert(1)>\\u202e\\u200b"' in shown
    assert '"path": "/etc"' in shown
    assert '"pad": "a⟦400 blanks⟧b"' in shown
    assert "4 places that would hide something" in page.text
    await leaves(agent)


async def test_enter_in_a_field_decides_nothing(room: Room) -> None:
    """What Enter presses is the first button of a form: it must not be a decision."""
    page = await room.browser.get("/approvals")
    form = page.text[page.text.index("<form") : page.text.index("</form>")]
    assert re.findall(r"<button[^>]*>", form)[0] == '<button disabled hidden aria-hidden="true">'


async def test_arguments_too_long_to_read_are_not_shown_in_part(room: Room) -> None:
    agent = await waits(room.desk, asked(2, arguments=json.dumps({"script": "x" * 50_001})))
    page = await room.browser.get("/approvals")
    assert "xxx" not in page.text
    assert "50,015 characters: too long to be shown here" in page.text
    assert "x" * 50_001 in (await room.browser.get("/api/approvals")).text
    await leaves(agent)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"outcome": "timed_out"}', 400),
        (b'{"outcome": "allowed", "question": "q-2"}', 400),
        (b'{"outcome": "allowed", "reason": "' + b"x" * 501 + b'"}', 400),
        (b'{"outcome": "allowed", "by": "' + b"x" * 20_000 + b'"}', 413),
    ],
)
async def test_what_is_no_decision_is_said(room: Room, body: bytes, status: int) -> None:
    answer = await room.browser.send("POST", "/api/approvals/q-1", body, JSON)
    assert answer.status == status
    assert room.still_waits


@pytest.mark.parametrize("decision", ["", "q-1", "allowed", "timed_out:q-1", ":q-1"])
async def test_a_form_without_a_decision_is_said(room: Room, decision: str) -> None:
    assert (await room.form(decision=decision)).status in (400, 404)
    assert room.still_waits


# --- what a person does


async def test_a_call_is_shown_and_allowed_by_its_button(room: Room) -> None:
    page = await room.browser.get("/approvals")
    assert page.status == 200
    for said in ("wire_money", "acme", "Calls of wire_money wait for a person.", "s-1", "t-1"):
        assert said in unescape(page.text)
    assert page.headers["Referrer-Policy"] == "same-origin", "else browsers send this form with Origin: null"
    reasons = {"reason:q-1": "as agreed", "reason:q-2": "of another"}
    answer = await room.form({"Origin": room.origin, "Sec-Fetch-Site": "same-origin"}, **reasons)
    assert (answer.status, answer.headers["Location"]) == (303, "/approvals?decided=q-1")
    assert await room.agent == ALLOWED
    after = await room.browser.get(answer.headers["Location"])
    assert "Allowed by ada" in after.text


async def test_a_second_decision_is_told_of_the_first(room: Room) -> None:
    assert (await room.api("denied")).status == 200
    again = await room.api("allowed")
    assert again.status == 409
    assert re.match(r"Already denied by ada at 20\d\d-", json.loads(again.text)["error"])
    assert "Already denied by ada" in (await room.form()).text
    assert (await room.agent).outcome == "denied"


async def test_an_unknown_call_is_404(room: Room) -> None:
    assert (await room.api(question="q-9")).status == 404
    assert (await room.form(decision="allowed:q-9")).status == 404


async def test_a_decision_for_an_agent_that_has_gone_is_said_to_hold(room: Room) -> None:
    await leaves(room.agent)
    page = await room.browser.get("/approvals")
    assert "The agent has gone. Your decision holds for 15 min if it asks again." in page.text
    answer = await room.form()
    after = (await room.browser.get(answer.headers["Location"])).text
    assert "held for the agent that has gone" in after
    assert "The agent has gone: this holds for another" in after
    assert 'value="allowed:q-1"' not in after, "it is decided"


async def test_who_gives_no_name_is_called_somebody(room: Room) -> None:
    await room.form(by=" ")
    assert (await room.agent).by == "somebody with the approvals token"


async def test_a_long_poll_answers_with_the_next_change(room: Room) -> None:
    first: Any = await room.browser.json("/api/approvals")
    assert [one["asked"]["id"] for one in first["questions"]] == ["q-1"]
    poll = asyncio.ensure_future(room.browser.json(f"/api/approvals?since={first['version']}"))
    await room.api()
    second = await asyncio.wait_for(poll, 5)
    assert (second["questions"], second["version"] != first["version"]) == ([], True)


async def test_no_poll_holds_up_the_end_of_the_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRONCAGE_APPROVALS_TOKEN", TOKEN)
    desk = Desk()
    agent = await waits(desk, asked(1))
    async with open_console(MemoryStore(), desk=desk, folder=tmp_path) as browser:
        poll = asyncio.ensure_future(browser.json(f"/api/approvals?since={desk.version}"))
        await browser.get("/healthz")  # the poll was sent before it
        desk.close()
        assert [one["state"] for one in (await asyncio.wait_for(poll, 5))["questions"]] == ["waiting"]
        assert (await browser.get("/api/approvals?since=" + str(desk.version))).status == 200
    await leaves(agent)


async def test_metrics_count_what_waits_and_what_became_of_it(room: Room) -> None:
    text = (await room.browser.get("/metrics")).text
    assert "ironcage_approvals_waiting 1\n" in text
    await room.api()
    text = (await room.browser.get("/metrics")).text
    assert "ironcage_approvals_waiting 0\n" in text
    assert "# TYPE ironcage_approvals_total counter\n" in text
    assert 'ironcage_approvals_total{outcome="allowed"} 1\n' in text
    assert 'ironcage_approvals_total{outcome="timed_out"} 0\n' in text


async def test_where_no_call_waits_the_page_says_how_one_could(browser: Browser) -> None:
    assert "policies.approvals" in (await browser.get("/approvals")).text
    said = await browser.send("POST", "/api/approvals/q-1", b"{}", JSON)
    assert (said.status, "policies.approvals" in said.text) == (404, True)
