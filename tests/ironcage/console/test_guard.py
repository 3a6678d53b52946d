from __future__ import annotations

import pytest

from ironcage.console.guard import COOKIE, local_path
from tests.support.console import Browser, open_console
from trajectory.store import Store

TOKEN = "open-sesame-7"
BEHIND = ("/trajectories", "/trajectories/s-1", "/api/trajectories", "/api/attempts/a000000/reply", "/metrics", "/")


def cookie_of(text: str) -> str:
    return text.partition(";")[0]


@pytest.mark.parametrize("path", ["/trajectories", "/api/trajectories", "/assets/console.css", "/login"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8801", "127.0.0.1.evil.example", "[::2]:1", "::", ""])
async def test_foreign_host_name_is_refused_on_loopback(browser: Browser, path: str, host: str) -> None:
    assert (await browser.get(path, {"Host": host})).status == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "[::1]:8801", "127.8.8.8"])
async def test_each_loopback_name_is_served(browser: Browser, host: str) -> None:
    assert (await browser.get("/trajectories", {"Host": host})).status == 200


async def test_no_page_runs_script_or_lets_itself_be_framed(browser: Browser) -> None:
    for path in ("/trajectories", "/trajectories/s-1", "/bakeoffs", "/api/trajectories", "/no-such", "/metrics"):
        headers = (await browser.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script" not in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"


async def test_nothing_recorded_is_shown_without_the_token(store: Store) -> None:
    async with open_console(store, token=TOKEN) as browser:
        for path in BEHIND:
            answer = await browser.get(path)
            assert answer.status == 401
            assert "t-1" not in answer.text
            wrong = await browser.get(path, {"x-ironcage-token": "wrong"})
            assert wrong.status == 401
            assert (await browser.get(path, {"Cookie": f"{COOKIE}={TOKEN}"})).status == 401
        assert (await browser.get("/healthz")).status == 200


async def test_header_opens_the_api(store: Store) -> None:
    async with open_console(store, token=TOKEN) as browser:
        assert (await browser.get("/api/trajectories", {"x-ironcage-token": TOKEN})).status == 200


async def test_wrong_header_is_not_saved_by_a_cookie(store: Store) -> None:
    async with open_console(store, token=TOKEN) as browser:
        given = cookie_of((await browser.post("/login", token=TOKEN, next="/")).headers["Set-Cookie"])
        answer = await browser.get("/api/trajectories", {"x-ironcage-token": "wrong", "Cookie": given})
        assert answer.status == 401


async def test_form_sets_a_cookie_that_scripts_and_other_sites_cannot_use(store: Store) -> None:
    async with open_console(store, token=TOKEN) as browser:
        form = await browser.get("/trajectories?task=t-1")
        assert '<form method="post" action="/login">' in form.text
        assert 'value="/trajectories?task=t-1"' in form.text
        answer = await browser.post("/login", token=TOKEN, next="/trajectories?task=t-1")
        assert (answer.status, answer.headers["Location"]) == (303, "/trajectories?task=t-1")
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        page = await browser.get("/trajectories", {"Cookie": cookie_of(cookie)})
        assert (page.status, "t-1" in page.text) == (200, True)


async def test_wrong_token_in_the_form_sets_nothing(store: Store) -> None:
    async with open_console(store, token=TOKEN) as browser:
        answer = await browser.post("/login", token="wrong", next="/bakeoffs")
        assert answer.status == 401
        assert "Set-Cookie" not in answer.headers
        assert "not the token" in answer.text


async def test_token_in_the_address_is_traded_for_the_cookie_and_taken_out(store: Store) -> None:
    async with open_console(store, token=TOKEN) as browser:
        answer = await browser.get(f"/trajectories?task=t-1&token={TOKEN}")
        assert (answer.status, answer.headers["Location"]) == (303, "/trajectories?task=t-1")
        assert COOKIE in answer.headers["Set-Cookie"]
        wrong = await browser.get("/trajectories?token=wrong")
        assert wrong.status == 401
        assert 'value="/trajectories"' in wrong.text


async def test_cookie_of_another_token_does_not_open(store: Store) -> None:
    async with open_console(store, token="another") as browser:
        foreign = cookie_of((await browser.post("/login", token="another", next="/")).headers["Set-Cookie"])
    async with open_console(store, token=TOKEN) as browser:
        assert (await browser.get("/trajectories", {"Cookie": foreign})).status == 401


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example", "/a\\b", "/a\r\nb", ""]
)
async def test_sign_in_never_leads_to_another_host(store: Store, target: str) -> None:
    assert local_path(target) == "/"
    async with open_console(store, token=TOKEN) as browser:
        answer = await browser.post("/login", token=TOKEN, next=target)
        assert answer.headers["Location"] == "/"


async def test_off_loopback_any_host_name_is_served_to_those_who_have_the_token(store: Store) -> None:
    async with open_console(store, token=TOKEN, host="0.0.0.0") as browser:
        asked = {"Host": "console.example", "x-ironcage-token": TOKEN}
        assert (await browser.get("/trajectories", asked)).status == 200
        assert (await browser.get("/trajectories", {"Host": "console.example"})).status == 401
