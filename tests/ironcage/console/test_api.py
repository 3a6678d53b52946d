from __future__ import annotations

import json

from scoring.scorecard import Scorecard
from tests.support.attempts import body, model_attempt
from tests.support.console import Browser, open_console
from tests.support.scored_runs import table
from trajectory.store import Store


async def test_listing_is_paged_and_filtered(store: Store) -> None:
    store.append([model_attempt(n + 10, trajectory=f"x-{n}", session=f"x-{n}", task="bulk") for n in range(51)])
    store.label("x-50", "passed", "seen")
    async with open_console(store) as browser:
        first = await browser.json("/api/trajectories?task=bulk")
        assert len(first["trajectories"]) == 50
        assert first["trajectories"][0]["id"] == "x-50"
        assert first["next_page"] == 2
        second = await browser.json("/api/trajectories?task=bulk&page=2")
        assert [one["id"] for one in second["trajectories"]] == ["x-0"]
        assert second["next_page"] is None
        labelled = await browser.json("/api/trajectories?label=passed")
        assert [one["id"] for one in labelled["trajectories"]] == ["x-50"]
        of_session = await browser.json("/api/trajectories?session=s-1")
        assert {one["id"] for one in of_session["trajectories"]} == {"s-1", "s-1/helper"}
        assert (await browser.json("/api/trajectories?source=replay"))["trajectories"] == []


async def test_trajectory_is_whole(browser: Browser) -> None:
    found = await browser.json("/api/trajectories/s-1")
    assert [step["kind"] for step in found["steps"]] == ["model", "tool"]
    assert found["steps"][1]["attempts"][0]["verdicts"][0]["code"] == "tool_not_allowed"
    assert (await browser.json("/api/trajectories/s-1/helper"))["agent"] == "helper"


async def test_bodies_are_the_exact_bytes_and_never_a_page(store: Store) -> None:
    raw = bytes(range(256)) + b"<script>alert(1)</script>"
    store.append([model_attempt(7, id="raw", trajectory="r", session="r", reply=body(raw))])
    async with open_console(store) as browser:
        answer = await browser.get("/api/attempts/raw/reply")
        assert answer.body == raw
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_what_is_not_there_says_so_as_json(browser: Browser) -> None:
    for path, status in (
        ("/api/trajectories/nobody", 404),
        ("/api/attempts/nobody/reply", 404),
        ("/api/attempts/a000000/client_reply", 404),
        ("/api/attempts/a000000/elsewhere", 400),
        ("/api/bakeoffs/nothing", 404),
        ("/api/trajectories?page=-1", 400),
    ):
        answer = await browser.get(path)
        assert answer.status == status, path
        assert json.loads(answer.body)["error"]


async def test_bakeoff_is_its_scorecard(store: Store) -> None:
    bakeoff, runs = table({"a": {"t": [True]}, "b": {"t": [False]}})
    store.put_bakeoff(bakeoff)
    store.put_runs(runs)
    async with open_console(store) as browser:
        assert [one["id"] for one in (await browser.json("/api/bakeoffs"))["bakeoffs"]] == [bakeoff.id]
        card = Scorecard.model_validate(await browser.json(f"/api/bakeoffs/{bakeoff.id}"))
        assert {row.candidate.name for row in card.candidates} == {"a", "b"}
