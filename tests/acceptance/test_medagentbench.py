"""The main job on real input: 25 recorded tasks behind the proxy as one model, then baked off for the six others.

The outcome of each run is the data set's own grade, which the check command gives only to a run that walked the
recorded path; every number below is read from the report of `ironcage bakeoff run`.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import medagentbench as bench
from tests.support.medagent_agent import EXIT_CODES
from tests.support.medagentbench import judge
from trajectory.ids import trajectory_id

if TYPE_CHECKING:
    from tests.support.house import Finished, House, StartHouse
    from tests.support.medagent_world import World
    from trajectory.record import Attempt, Body

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

SUPPORT = Path(__file__).parents[1] / "support"
AGENT = (sys.executable, "-S", "-E", str(SUPPORT / "medagent_agent.py"))
CHECK = shlex.join((sys.executable, "-S", "-E", str(SUPPORT / "medagent_check.py")))
PRODUCTION = "haiku"
CANDIDATES = tuple(key for key in bench.MODELS if key != PRODUCTION)
PUBLISHED = {"fable5": 15, "opus5": 18, "g35f": 18, "haiku": 17, "g35fl": 17, "sonnet5": 13, "g3fp": 13}
ROWS = {key: "production" if key == PRODUCTION else key for key in bench.MODELS}
"""Key of the recording -> the candidate's name in the report."""

CONSTRAINTS = {
    "evaluation_config": {
        "constraints": {
            "memory_limit_mb": 512,
            "cpu_timeout_ms": 30000,
            "max_retries": 3,
            "allowed_tools": ["fhir_search", "fhir_record_vitals", "fhir_order_medication", "fhir_order_service"],
            "network_egress_limit_mb": 100,
        }
    }
}


async def test_the_recorded_sweep_walks_through_the_whole_house(
    sweep: World, start_house: StartHouse, tmp_path: Path
) -> None:
    constraints = tmp_path / "constraints.json"
    constraints.write_text(json.dumps(CONSTRAINTS), encoding="utf-8")
    house = await start_house(upstreams=sweep.upstreams(), constraints=str(constraints))

    finished = await run_production(house, sweep)
    assert sweep.models.mismatches == []
    recorded = await asyncio.to_thread(recordings, house)
    assert {attempt.session for attempt in recorded} == {f"prod-{task}" for task in bench.tasks()}
    assert_every_exchange_is_recorded(recorded, sweep)
    assert_doors(recorded)
    await assert_bodies_are_exported(house, recorded)
    await asyncio.to_thread(label, house, finished)
    before = len(recorded)

    card = await bake_off(house, sweep)
    assert sweep.models.mismatches == []
    recorded = await asyncio.to_thread(recordings, house)
    assert len(recorded) > before
    assert_every_exchange_is_recorded(recorded, sweep)
    assert_every_run_was_graded_by_the_data_set(card)
    assert_rates(card)
    assert_empty_completions(card, {attempt.id: attempt for attempt in recorded})
    assert_conclusions(card)
    assert_conditions(card)


async def run_production(house: House, world: World) -> dict[str, Finished]:
    """All tasks as the first model, two at a time, each by `ironcage run`; the session bears the task's name."""
    at_once = asyncio.Semaphore(2)

    async def run(task: str) -> tuple[str, Finished]:
        command = ("run", "--session", f"prod-{task}", "--task", task, "--", *AGENT, "--task", task)
        async with at_once:
            finished = await house.ironcage(*command, **places(world), MEDAGENT_MODEL=bench.MODELS[PRODUCTION])
        row = bench.row(PRODUCTION, task)
        assert row.status != "infra_fail"
        assert finished.code == EXIT_CODES[row.status], finished.err
        return task, finished

    return dict(await asyncio.gather(*map(run, bench.tasks())))


def places(world: World) -> dict[str, str]:
    """Where agent and check find tasks and grades, and the agent the FHIR server for tasks that go through the proxy
    door; others know only base URLs.
    """
    fhir = {"FHIR_HTTPS_BASE": world.secure.base_url, "FHIR_HTTP_BASE": world.plain.base_url}
    return {**fhir, "MEDAGENT_CARDS": str(world.cards)}


def recordings(house: House) -> list[Attempt]:
    with house.store() as store:
        return [attempt for found in store.find(limit=10_000) for attempt in store.attempts(found.id)]


def whole(body: Body) -> bytes:
    return b"".join(span.data for span in body)


def assert_every_exchange_is_recorded(recorded: Iterable[Attempt], world: World) -> None:
    """Each request that a server saw and each reply that it sent is in the store, byte for byte, and nothing else."""
    kept = Counter((a.method, a.path, whole(a.request), a.status, whole(a.reply)) for a in recorded)
    seen = Counter(tuple(one) for server in (world.models, world.plain, world.secure) for one in server.exchanges)
    assert kept.total() == seen.total()
    assert kept == seen
    assert all(a.end == "complete" or (a.status or 0) >= 400 for a in recorded)
    assert all(a.client_reply is None for a in recorded), "what the client got is what the servers sent"
    assert Counter(a.kind for a in recorded) == {
        "model": len(world.models.exchanges),
        "tool": len(world.plain.exchanges) + len(world.secure.exchanges),
    }


def assert_doors(recorded: Iterable[Attempt]) -> None:
    """Half of the tasks came in through the proxy door with their tool calls, with and without TLS."""
    used: set[tuple[str, str, bool]] = set()
    for attempt in recorded:
        task = attempt.session.removeprefix("prod-")
        if attempt.kind == "model":
            assert (attempt.door, attempt.streamed) == ("base_url", bench.streams(task))
            assert attempt.answer is not None
            continue
        proxied = bench.through_proxy(task)
        assert attempt.door == ("proxy" if proxied else "base_url")
        assert attempt.upstream == ("fhir-tls" if proxied and bench.over_tls(task) else "fhir")
        assert attempt.tool is not None
        used.add((attempt.door, attempt.upstream, attempt.method == "POST"))
    places = {("base_url", "fhir"), ("proxy", "fhir"), ("proxy", "fhir-tls")}
    assert used >= {(*place, False) for place in places}
    assert sum(writes for *_, writes in used) >= 2


async def assert_bodies_are_exported(house: House, recorded: list[Attempt]) -> None:
    """What the command prints is what the store holds: a stream, a whole reply and a tool's result, and a request."""
    stream = next(a for a in recorded if a.kind == "model" and a.streamed)
    reply = next(a for a in recorded if a.kind == "model" and not a.streamed)
    result = max((a for a in recorded if a.kind == "tool"), key=lambda a: a.reply_bytes)
    for attempt, side in ((stream, "reply"), (reply, "request"), (reply, "reply"), (result, "reply")):
        command = ("show", attempt.trajectory, "--attempt", attempt.id, "--side", side)
        shown = await house.ironcage("trajectories", *command)
        assert shown.code == 0, shown.err
        assert shown.out.encode() == whole(getattr(attempt, side))


def label(house: House, finished: dict[str, Finished]) -> None:
    """Give each production run the data set's grade, once its record and its agent show the recorded path."""
    with house.store() as store:
        for task, one in finished.items():
            recorded = store.trajectory(trajectory_id(f"prod-{task}", None))
            assert recorded.task == task
            assert recorded.launch is not None
            assert recorded.launch.command == (*AGENT, "--task", task)
            assert recorded.launch.exit_code == one.code
            answers = [step.last.answer for step in recorded.model_steps]
            code, evidence = judge(
                {
                    "task": task,
                    "candidate": {"model": recorded.model_steps[0].model},
                    "steps": [{"kind": "model", "answer": {"text": answer.text}} for answer in answers if answer],
                    "stdout": one.out,
                }
            )
            assert code in (0, 1), evidence
            store.label(recorded.id, "passed" if code == 0 else "failed", evidence)


async def bake_off(house: House, world: World) -> dict[str, Any]:
    """The report's JSON. The agents that are baked off run in the portable cage, behind doors of the bake-off's own."""
    built = await house.ironcage("tasks", "build", "--check", CHECK, "--json")
    assert built.code == 0, built.err
    assert (len(built.json["tasks"]), built.json["unreplayable"]) == (25, [])
    flags = [flag for key in CANDIDATES for flag in ("--candidate", f"{key}=openai/{bench.MODELS[key]}")]
    report = house.folder / "report.html"
    ran = await house.ironcage(
        "bakeoff", "run", "--id", "sweep", *flags, "--report", str(report), "--json", **places(world)
    )
    assert ran.code == 0, ran.err
    assert "<svg" in report.read_text(encoding="utf-8")
    card: dict[str, Any] = ran.json
    return card


def by_name(card: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["candidate"]["name"]: row for row in card["candidates"]}


def assert_every_run_was_graded_by_the_data_set(card: dict[str, Any]) -> None:
    """No run is undecided, and the evidence of each names the recorded path that it walked."""
    rows = {(row["candidate"], row["task"]): row for row in card["runs"]}
    assert set(rows) == {(name, task) for name in ROWS.values() for task in bench.tasks()}
    assert len(card["runs"]) == len(rows)
    for key, name in ROWS.items():
        for task in bench.tasks():
            outcome = rows[name, task]["outcome"]
            row = bench.row(key, task)
            assert outcome["label"] == ("passed" if row.correct else "failed"), outcome
            assert f"the recorded path of {key} on {task}, {len(row.turns)} replies" in outcome["evidence"]


def assert_rates(card: dict[str, Any]) -> None:
    rows = by_name(card)
    assert {key: rows[ROWS[key]]["passed"] for key in bench.MODELS} == PUBLISHED
    assert [name for name, row in rows.items() if row["is_reference"]] == ["production"]
    for key, name in ROWS.items():
        row = rows[name]
        excluded = 5 if key == "fable5" else 0
        assert (row["runs"], row["excluded"], row["unknown_runs"]) == (25, excluded, 0)
        assert row["success"]["value"] == pytest.approx(PUBLISHED[key] / (25 - excluded))
        assert row["success"]["n"] == 25 - excluded
        assert row["success"]["low"] < row["success"]["value"] < row["success"]["high"]
        assert row["success_all_counted"]["value"] == pytest.approx(PUBLISHED[key] / 25)
    fable = rows["fable5"]
    assert (fable["success"]["value"], fable["success_all_counted"]["value"]) == (0.75, 0.6)


def assert_empty_completions(card: dict[str, Any], recorded: dict[str, Attempt]) -> None:
    """The five are infrastructure by the rule, not by their name; the evidence leads to the recorded attempt."""
    assert by_name(card)["fable5"]["faults"]["infra.empty_completion"] == 5
    found = [row for row in card["runs"] if row["fault"] and row["fault"]["code"] == "empty_completion"]
    expected = {task for task, row in bench.rows("fable5").items() if row.ends_empty}
    assert {(row["candidate"], row["task"]) for row in found} == {("fable5", task) for task in expected}
    for row in found:
        assert (row["fault"]["fault_class"], row["counting"]) == ("infra", "excluded")
        (pointer,) = row["fault"]["evidence"]
        assert pointer["what"] == "HTTP 200, no text, no tool call, finish reason end, `max_tokens` 1024"
        attempt = recorded[pointer["attempt"]]
        assert (attempt.trajectory, attempt.status, attempt.end) == (row["trajectory"], 200, "complete")
        assert attempt.answer is not None
        assert attempt.answer.is_empty
        assert json.loads(whole(attempt.request))["max_tokens"] == 1024
    others = [row for row in card["runs"] if row["fault"] and row not in found]
    assert {row["counting"] for row in others} == {"scored"}


def assert_conclusions(card: dict[str, Any]) -> None:
    """First place rests on how the five are counted, and no two models differ."""
    ranks = {one["basis"]: {p["candidate"]: p["rank"] for p in one["places"]} for one in card["rankings"]}
    assert ranks["as_scored"]["fable5"] == 1
    assert ranks["all_counted"]["fable5"] == 5
    (flip,) = [caution for caution in card["cautions"] if caution["kind"] == "ranking_flip"]
    assert flip["candidates"][0] == "fable5"
    assert set(flip["candidates"][1:]) == {"opus5", "g35f", "production", "g35fl"}
    assert "75.0 %" in flip["text"]
    assert "60.0 %" in flip["text"]
    assert len(card["pairs"]) == 21
    assert min(pair["all_counted"]["p_value"] for pair in card["pairs"]) == 0.0625
    assert min(pair[basis]["p_holm"] for pair in card["pairs"] for basis in ("as_scored", "all_counted")) > 0.05
    assert card["conclusions"][0].startswith("None of the 21 pairs differs in success at the 0.05 level")
    assert card["conclusions"][-1].endswith("the ranking flips when its infrastructure faults count.")


def assert_conditions(card: dict[str, Any]) -> None:
    """Only the model differed: one fingerprint, each limit applied as it was asked for, the agent in a cage."""
    assert card["refused_runs"] == []
    asked = {"memory_mb": 512.0, "cpu_s": 30.0, "egress_mb": 100.0, "max_retries": 3}
    asked |= dict.fromkeys(("wall_s", "spend_usd", "context_tokens"))
    for row in card["runs"]:
        certificate = row["certificate"]
        if row["candidate"] == "production":
            assert certificate["grade"] == "none"
            continue
        assert certificate["grade"] == "portable"
        assert certificate["asked"] == certificate["applied"] == asked
        assert 1 < certificate["peak_memory_mb"] < 512
        assert certificate["exit_code"] in EXIT_CODES.values()
