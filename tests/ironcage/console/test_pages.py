from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from ironcage.console.pages import STEPS_SHOWN
from tests.support.attempts import body, model_attempt, tool_attempt
from tests.support.console import Browser, open_console
from tests.support.scored_runs import table
from trajectory.conversation import Reply, ToolCall, ToolDefinition, Usage
from trajectory.memory import MemoryStore
from trajectory.record import ToolUse, VerdictNote
from trajectory.store import Store
from trajectory.trajectory import Launch

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}</textarea></title>"


class Tags(HTMLParser):
    """Every tag with its attributes, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    @property
    def dangerous(self) -> list[str]:
        names = [tag for tag, _ in self.found if tag in ("script", "img", "iframe", "object", "embed", "style", "base")]
        handlers = [name for _, attributes in self.found for name in attributes if name.startswith("on")]
        urls = [
            str(value)
            for _, attributes in self.found
            for name, value in attributes.items()
            if name in ("href", "src", "action") and not re.match(r"^(/(?!/)|#)", str(value))
        ]
        return [*names, *handlers, *urls]


def hostile_attempts() -> list[Any]:
    """EVIL in each field that a recording can carry text in."""
    note = VerdictNote("refuse", EVIL, EVIL, EVIL, EVIL)
    everywhere: dict[str, Any] = {
        "trajectory": EVIL, "session": EVIL, "upstream": EVIL, "host": EVIL, "method": EVIL, "path": EVIL,
        "wire": EVIL, "error": EVIL, "task": EVIL, "matched_by": EVIL, "verdicts": (note,), "digest": EVIL,
        "headers": ((EVIL, EVIL),), "extra": {EVIL: EVIL},
    }  # fmt: skip
    answer = Reply(EVIL, (ToolCall(EVIL, EVIL, EVIL),), "end", Usage(1, 2), EVIL)
    request = body('{"messages":[{"role":"user","content":"' + EVIL.replace('"', '\\"') + '"}]}')
    return [
        model_attempt(
            0, **everywhere | {"wire": "openai.chat", "id": EVIL}, model=EVIL, answer=answer, request=request,
            tools=(ToolDefinition(EVIL, EVIL, EVIL),), reply=body(EVIL),
        ),
        tool_attempt(1, **everywhere, tool=ToolUse(EVIL, EVIL, is_error=True), reply=body(EVIL)),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_hostile_recordings_are_text_in_every_field(kind: str, store: Store) -> None:
    store = MemoryStore() if kind == "memory" else store
    store.append(hostile_attempts())
    store.launched(EVIL, Launch((EVIL,), EVIL, 1, 1.0))
    store.label(EVIL, "failed", EVIL)
    bakeoff, runs = table({EVIL: {EVIL: [True, False]}})
    store.put_bakeoff(bakeoff)
    store.put_runs(runs)
    async with open_console(store) as browser:
        listing = await browser.get("/trajectories")
        links = [a["href"] for tag, a in Tags(listing.text).found if tag == "a" and a.get("class") == "row"]
        evil = next(link for link in links if link and "script" in link)
        page = await browser.get(evil)
        assert page.status == 200
        for side in ("request", "reply"):
            link = next(
                str(a["href"])
                for tag, a in Tags(page.text).found
                if tag == "a" and str(a.get("href", "")).startswith("/attempts/") and str(a["href"]).endswith(side)
            )
            shown = await browser.get(link)
            assert shown.status == 200
            assert Tags(shown.text).dangerous == []
            assert "&lt;script&gt;" in shown.text
        for answer in (
            listing,
            page,
            await browser.get("/bakeoffs"),
            await browser.get("/trajectories?task=" + "%22%3E"),
        ):
            assert Tags(answer.text).dangerous == []
            assert EVIL not in answer.text

        assert page.text.count("&lt;script&gt;") > 15
        assert "{{7*7}}" in page.text


async def test_hostile_report_runs_no_script_and_asks_for_nothing(store: Store) -> None:
    bakeoff, runs = table({EVIL: {EVIL: [True, False]}, "b": {EVIL: [False, False]}})
    store.put_bakeoff(bakeoff)
    store.put_runs(runs)
    async with open_console(store) as browser:
        report = await browser.get(f"/bakeoffs/{bakeoff.id}")
        assert report.status == 200
        assert not {tag for tag, _ in Tags(report.text).found} & {"script", "img", "iframe", "link"}
        policy = report.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
        assert "script" not in policy


async def test_timeline_shows_answers_calls_verdicts_and_retries(store: Store) -> None:
    usage = Usage(1200, 30)
    refused = VerdictNote(
        "refuse", "tool_allowlist", "tool_not_allowed", "send_email is not on the list.", "send_email"
    )
    answer = Reply("On it.", (ToolCall("c", "send_email", '{"to":"x"}'),), "tool_call", usage)
    same = {"operation": "op", "trajectory": "s-2", "session": "s-2", "digest": "same"}
    store.append([
        model_attempt(0, **same, number=1, status=503, end="failed", answer=None, error="http_503: overloaded"),
        model_attempt(1, **same, number=2, answer=answer, verdicts=(refused,)),
    ])  # fmt: skip
    async with open_console(store) as browser:
        text = (await browser.get("/trajectories/s-2")).text
    for shown in (
        "attempt 1 · 503 · failed", "attempt 2 · 200 · complete, a call refused", "http_503: overloaded", "On it.",
        "send_email is not on the list.", "Tool not allowed", "1,200 → 30 tokens", 'class="step model policy"',
        "<dt>retries</dt><dd>1</dd>", "<dt>refused</dt><dd>1</dd>",
    ):  # fmt: skip
        assert shown in text


async def test_opening_shows_what_the_user_asked(store: Store) -> None:
    request = body('{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Where is it?"}]}')
    store.append([model_attempt(5, trajectory="s-3", session="s-3", wire="openai.chat", request=request)])
    async with open_console(store) as browser:
        text = (await browser.get("/trajectories/s-3")).text
    assert "Where is it?" in text
    assert "<summary>System prompt</summary>" in text


async def test_sub_agent_is_reached_by_its_encoded_and_its_plain_path(browser: Browser) -> None:
    listing = (await browser.get("/trajectories")).text
    assert 'href="/trajectories/s-1%2Fhelper"' in listing
    for path in ("/trajectories/s-1%2Fhelper", "/trajectories/s-1/helper"):
        page = await browser.get(path)
        assert page.status == 200
        assert 'href="/trajectories/s-1"' in page.text


async def test_filters_and_their_page_links_keep_each_other(store: Store) -> None:
    store.append([model_attempt(n + 10, trajectory=f"x-{n}", session=f"x-{n}", task="bulk & <b>") for n in range(60)])
    async with open_console(store) as browser:
        first = (await browser.get("/trajectories?task=bulk+%26+%3Cb%3E")).text
        assert first.count('class="row"') == 50
        following = re.search(r'rel="next" href="([^"]+)"', first)
        assert following is not None
        second = (await browser.get(following[1].replace("&amp;", "&"))).text
        assert second.count('class="row"') == 10
        assert 'rel="next"' not in second
        assert 'rel="prev"' in second
        assert 'value="bulk &amp; &lt;b&gt;"' in second


@pytest.mark.parametrize("query", ["source=elsewhere", "label=maybe", "page=0", "page=x", "page=99999999999"])
async def test_filter_that_there_is_not_is_said(browser: Browser, query: str) -> None:
    assert (await browser.get(f"/trajectories?{query}")).status == 400


async def test_long_trajectory_comes_in_pages_of_steps(store: Store) -> None:
    count = STEPS_SHOWN + 3
    store.append(
        [model_attempt(n, id=f"l{n}", operation=f"l{n}", trajectory="long", session="long") for n in range(count)]
    )
    async with open_console(store) as browser:
        first = (await browser.get("/trajectories/long")).text
        assert first.count('id="step-') == STEPS_SHOWN
        rest = (await browser.get(f"/trajectories/long?from={STEPS_SHOWN}")).text
        assert rest.count('id="step-') == 3
        assert (await browser.get("/trajectories/long?from=x")).status == 400
        assert "No step here" in (await browser.get("/trajectories/long?from=5000")).text


async def test_what_is_not_there_is_a_404_and_says_what_is(browser: Browser) -> None:
    for path in ("/trajectories/nobody", "/attempts/nobody/reply", "/bakeoffs/nothing"):
        assert (await browser.get(path)).status == 404
    assert (await browser.get("/attempts/a000000/elsewhere")).status == 400
    same = await browser.get("/attempts/a000000/client_reply")
    assert (same.status, "what the upstream sent" in same.text) == (404, True)


async def test_empty_store_says_how_to_begin() -> None:
    async with open_console(MemoryStore()) as browser:
        assert "ironcage run -- CMD" in (await browser.get("/trajectories")).text
        assert "ironcage bakeoff run" in (await browser.get("/bakeoffs")).text
        assert "Nothing matches" in (await browser.get("/trajectories?task=x")).text


async def test_launch_without_an_exchange_is_shown_as_that(store: Store) -> None:
    store.launched("lonely", Launch(("agent", "--fast"), "/srv", 3, 1.5))
    async with open_console(store) as browser:
        text = (await browser.get("/trajectories/lonely")).text
    assert "nothing of it has come through the proxy" in text
    assert "agent --fast" in text
    assert "exit code 3 after 1.5 s" in text


async def test_tool_reply_is_shown_unless_it_is_large(store: Store) -> None:
    reply = body('{"found": "a needle"}')
    store.append([
        tool_attempt(0, id="small", trajectory="s-4", session="s-4", verdicts=(), reply=reply, reply_bytes=21),
        tool_attempt(1, id="large", trajectory="s-4", session="s-4", verdicts=(), reply=body("haystack"),
                     reply_bytes=10**6),
    ])  # fmt: skip
    async with open_console(store) as browser:
        text = (await browser.get("/trajectories/s-4")).text
    assert "a needle" in text
    assert "haystack" not in text


async def test_style_is_served_to_everyone_and_start_is_known(browser: Browser) -> None:
    style = await browser.get("/assets/console.css")
    assert (style.status, style.headers["Content-Type"]) == (200, "text/css")
    assert "prefers-color-scheme: dark" in style.text
    assert (await browser.get("/")).headers["Location"] == "/trajectories"
