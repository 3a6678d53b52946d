"""Refusals, budgets and redaction on the recorded sweep's own traffic: the record, and the client's native error."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.support import medagentbench as bench
from tests.support.medagent_agent import MAX_TOKENS, Fhir
from tests.support.medagent_servers import ScriptedModels
from tests.support.medagent_world import client_of, fhir_of, run_behind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.house import House, StartHouse
    from tests.support.medagent_world import World

pytestmark = pytest.mark.acceptance

MB = 1024 * 1024
MODEL = "haiku"
WHOLE_TASK, STREAMED_TASK = "task2_2", "task2_3"


@pytest.fixture
async def lenient() -> AsyncIterator[ScriptedModels]:
    """Models that go on as recorded, whatever the agent was told by a policy."""
    async with ScriptedModels(strict=False) as models:
        yield models


def messages(task: str, count: int = 1) -> list[Any]:
    return bench.row(MODEL, task).messages[:count]


def ask(client: openai.OpenAI, task: str, *, stream: bool) -> str:
    """The reply to a task's prompt."""
    request: dict[str, Any] = {"model": bench.MODELS[MODEL], "messages": messages(task), "max_tokens": MAX_TOKENS}
    if not stream:
        return client.chat.completions.create(**request).choices[0].message.content or ""
    chunks = client.chat.completions.create(**request, stream=True)
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def post(url: str, payload: object, proxy: str | None = None) -> tuple[int, Any, dict[str, str]]:
    """Status, JSON body and headers of a POST, through `proxy` if there is one."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy} if proxy else {}))
    request = urllib.request.Request(url, json.dumps(payload).encode(), {"content-type": "application/fhir+json"})
    try:
        with opener.open(request, timeout=30) as reply:
            return reply.status, json.loads(reply.read()), dict(reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), dict(error.headers)


def attempts(shown: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [attempt for step in shown["steps"] if step["kind"] == kind for attempt in step["attempts"]]


async def test_a_tool_that_is_not_allowed_never_reaches_the_server(
    sweep: World, start_house: StartHouse, lenient: ScriptedModels
) -> None:
    allowed = ["fhir_search", "fhir_record_vitals", "fhir_order_medication"]
    house = await start_house(
        upstreams=sweep.upstreams(lenient), constraints={"constraints": {"allowed_tools": allowed}}
    )
    for task in ("task8_1", "task10_1", "task9_2"):
        recorded = [turn for turn in bench.row(MODEL, task).turns if turn.kind in ("get", "post")]
        episode = await run_behind(house, task, MODEL, task)
        refused = [turn for turn in recorded if (turn.url or "").endswith("/ServiceRequest")]
        assert refused
        assert episode.status == "completed"
        assert episode.observations.count("Error in sending the POST request: 400") == len(refused)
        shown = await house.kept(task)
        kept = [(a["end"], [v["code"] for v in a["verdicts"]]) for a in attempts(shown, "tool")]
        assert kept == [("refused", ["tool_not_allowed"]) if turn in refused else ("complete", []) for turn in recorded]
        (verdict,) = next(a["verdicts"] for a in attempts(shown, "tool") if a["verdicts"])
        assert (verdict["action"], verdict["rule"], verdict["subject"]) == (
            "refuse", "tool_allowlist", "fhir_order_service",
        )  # fmt: skip
    assert not [path for _, path, _ in sweep.plain.requests if path.endswith("/ServiceRequest")]
    assert [path for _, path, _ in sweep.plain.requests if path.endswith("/MedicationRequest")]

    for proxy in (None, house.proxy.replace("://", "://door:x@")):
        url = f"{sweep.plain.base_url}/ServiceRequest" if proxy else f"{house.base('fhir', 'raw')}/ServiceRequest"
        status, body, headers = await asyncio.to_thread(post, url, {"resourceType": "ServiceRequest"}, proxy)
        assert (status, body["error"]["code"]) == (400, "tool_not_allowed")
        assert "fhir_order_service" in body["error"]["message"]
        assert "fhir_search" in body["error"]["message"]
        assert (headers["x-ironcage-refusal"], headers["x-should-retry"]) == ("tool_not_allowed", "false")
    assert not [path for _, path, _ in sweep.plain.requests if path.endswith("/ServiceRequest")]
    (by_door,) = attempts(await house.kept("door"), "tool")
    assert (by_door["door"], by_door["end"]) == ("proxy", "refused")


@pytest.mark.parametrize("task", [WHOLE_TASK, STREAMED_TASK])
async def test_the_official_client_stops_when_the_retry_budget_is_spent(
    sweep: World, start_house: StartHouse, task: str
) -> None:
    """429 three times and one retry allowed: the client's second retry is refused, and it asks no more."""
    async with ScriptedModels(faults={(task, 0): [429, 429, 429]}) as models:
        house = await start_house(
            upstreams=sweep.upstreams(models), constraints={"constraints": {"max_retries": 1}}, forward_listen=None
        )
        with pytest.raises(openai.BadRequestError) as refused:
            await run_behind(house, "retries", MODEL, task)
        assert refused.value.code == "retry_budget_exhausted"
        assert "1 of 1 retries were made" in refused.value.message
        assert refused.value.response.headers["x-ironcage-refusal"] == "retry_budget_exhausted"
        assert [one.status for one in models.exchanges] == [429, 429]

        (step,) = (await house.kept("retries"))["steps"]
        kept = [(a["number"], a["end"], a["status"]) for a in step["attempts"]]
        assert kept == [(1, "failed", 429), (2, "failed", 429), (3, "refused", 400)]
        assert [v["code"] for a in step["attempts"] for v in a["verdicts"]] == ["retry_budget_exhausted"]

        # the budget is the trajectory's own: another session has all of it, and gets the one 429 that is left
        episode = await run_behind(house, "others", MODEL, task)
        assert episode.replies == [turn.reply for turn in bench.row(MODEL, task).turns]
        first = (await house.kept("others"))["steps"][0]
        assert [a["end"] for a in first["attempts"]] == ["failed", "complete"]


@pytest.mark.parametrize("task", [WHOLE_TASK, STREAMED_TASK])
async def test_a_spent_retry_budget_can_end_the_run_with_a_final_message(
    sweep: World, start_house: StartHouse, task: str
) -> None:
    async with ScriptedModels(faults={(task, 0): [429, 429, 429]}) as models:
        house = await start_house(
            upstreams=sweep.upstreams(models),
            constraints={"constraints": {"max_retries": 1}},
            forward_listen=None,
            policies={"retries": {"on_exhausted": "final_message"}},
        )
        with client_of(house, "final") as client:
            said = await asyncio.to_thread(ask, client, task, stream=bench.streams(task))
        assert "retry budget" in said
        assert len(models.exchanges) == 2
        (step,) = (await house.kept("final"))["steps"]
        assert [a["end"] for a in step["attempts"]] == ["failed", "failed", "refused"]


@pytest.mark.parametrize("stream", [False, True])
async def test_egress_beyond_the_limit_is_refused_or_cut(sweep: World, start_house: StartHouse, stream: bool) -> None:
    """A limit that lets the request and half of its reply pass: nothing whole comes back, and then nothing goes out."""
    task = "task7_1"
    with openai.OpenAI(base_url=sweep.models.base_url, api_key="k") as direct:
        recorded = await asyncio.to_thread(ask, direct, task, stream=stream)
    (exchange,) = sweep.models.exchanges
    limit = len(exchange.request) + len(exchange.reply) // 2
    house = await start_house(
        upstreams=sweep.upstreams(),
        constraints={"constraints": {"network_egress_limit_mb": limit / MB}},
        forward_listen=None,
    )
    with client_of(house, "egress") as client:
        with pytest.raises(openai.APIError) as refused:
            await asyncio.to_thread(ask, client, task, stream=stream)
        assert refused.value.code == "egress_budget_exhausted"
        assert "network_egress_limit_mb" in refused.value.message
        assert len(sweep.models.exchanges) == 2, "the client must not try again"
        with pytest.raises(openai.BadRequestError) as at_once:
            await asyncio.to_thread(ask, client, task, stream=stream)
        assert at_once.value.code == "egress_budget_exhausted"
        assert len(sweep.models.exchanges) == 2, "a request that no longer fits does not leave the house"

    first, second = attempts(await house.kept("egress"), "model")
    assert (first["status"], first["end"]) == (200, "refused")
    assert [(v["action"], v["code"]) for v in first["verdicts"]] == [
        ("cut" if stream else "refuse", "egress_budget_exhausted")
    ]
    assert first["request_bytes"] + first["reply_bytes"] > limit, "what was refused is in the record"
    assert (second["end"], second["reply_bytes"]) == ("refused", 0)
    with house.store() as store:
        given = store.body(first["id"], "client_reply") or b""
    assert recorded.encode() not in given


async def test_a_tool_result_beyond_the_egress_limit_is_refused(sweep: World, start_house: StartHouse) -> None:
    row = bench.row(MODEL, "task7_1")
    turn = row.turns[0]
    assert turn.observation is not None
    limit = len(turn.observation) // 2
    house = await start_house(
        upstreams=sweep.upstreams(),
        constraints={"constraints": {"network_egress_limit_mb": limit / MB}},
        forward_listen=None,
    )
    url, place = f"{turn.url}", f"chatcmpl-{MODEL}-task7_1-0"
    observation = await asyncio.to_thread(fhir_of(house, "egress").get, url, place)
    assert observation.startswith("Error in sending the GET request: 400")
    (attempt,) = attempts(await house.kept("egress"), "tool")
    assert (attempt["end"], [v["code"] for v in attempt["verdicts"]]) == ("refused", ["egress_budget_exhausted"])
    direct = await asyncio.to_thread(Fhir(sweep.plain.base_url).get, url, place)
    assert direct == turn.observation


REDACTED_TASKS = ("task1_1", "task1_2", "task2_2", "task3_2", "task7_1", "task8_1", "task9_2")


def patients() -> dict[str, list[str]]:
    """What the recordings of these tasks say of who the patients are: record numbers, and family names looked for."""
    numbers, names = set[str](), set[str]()
    for task in REDACTED_TASKS:
        row = bench.row(MODEL, task)
        numbers.update(re.findall(r"\bS\d{7}\b", json.dumps(row.messages)))
        names.update(re.findall(r"family=(\w+)", " ".join(turn.url or "" for turn in row.turns)))
    return {"MRN": sorted(numbers), "NAME": sorted(names)}


async def test_patients_reach_neither_the_model_nor_the_database_and_the_agent_notices_nothing(
    sweep: World, start_house: StartHouse
) -> None:
    """The model server checks that each message is the recorded one but for one pseudonym for each value."""
    known = patients()
    values = [value.encode() for declared in known.values() for value in declared]
    assert len(values) >= 9
    async with ScriptedModels(hidden=[value.decode() for value in values]) as models:
        house = await start_house(
            upstreams=sweep.upstreams(models),
            policies={"redaction": {"types": [], "known_values": known}},
            forward_listen=None,
        )
        for task in REDACTED_TASKS:
            row = bench.row(MODEL, task)
            episode = await run_behind(house, task, MODEL, task, max_retries=0)
            assert episode.replies == [turn.reply for turn in row.turns], task
            assert episode.observations == [turn.observation for turn in row.turns if turn.observation is not None]
        assert models.mismatches == []
        sent = b"".join(exchange.request + exchange.reply for exchange in models.exchanges)
    said = b"".join(turn.reply.encode() for task in REDACTED_TASKS for turn in bench.row(MODEL, task).turns)
    assert all(value in said for value in values), "a value that no reply speaks of shows no restoring"
    assert_absent(values, sent)
    assert [path for _, path, _ in sweep.plain.requests if known["MRN"][0] in path], "tools get the real values"

    assert_absent(values, json.dumps(await house.shown(REDACTED_TASKS[0]), ensure_ascii=False).encode())
    for task in REDACTED_TASKS:
        shown = await house.kept(task)
        assert_absent(values, json.dumps(shown, ensure_ascii=False).encode())
        codes = [(v["rule"], v["code"]) for a in attempts(shown, "model") for v in a["verdicts"]]
        assert codes.count(("redaction", "masked")) >= 1
        assert ("redaction", "restored") in codes
    await asyncio.to_thread(assert_nothing_at_rest, house, values)
    assert_absent(values, house.said.encode())
    assert await house.stop() == 0
    assert_files_without(house, values)


def assert_absent(values: list[bytes], data: bytes) -> None:
    assert data
    # never the data itself in a message: where this fails, it holds what must not be shown
    assert [value for value in values if value in data] == []


def assert_nothing_at_rest(house: House, values: list[bytes]) -> None:
    """Neither in the bodies, which are compressed in the database, nor anywhere in its files."""
    with house.store() as store:
        found = [attempt for one in store.find() for attempt in store.attempts(one.id)]
        assert {attempt.kind for attempt in found} == {"model", "tool"}
        for attempt in found:
            assert attempt.request or attempt.method == "GET"
            assert_absent(values, repr(attempt).encode())
            for side in ("request", "reply", "client_reply"):
                assert_absent(values, b"-" + (store.body(attempt.id, side) or b""))
    assert_files_without(house, values)


def assert_files_without(house: House, values: list[bytes]) -> None:
    files = [file for file in house.folder.rglob("*") if file.is_file() and file != house.config]
    assert house.database in files
    for file in files:
        assert_absent(values, b"-" + file.read_bytes())
