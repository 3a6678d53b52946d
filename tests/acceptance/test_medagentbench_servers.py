"""The re-enactment itself, without ironcage: each recorded path comes back exactly from the scripted servers."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import openai
import pytest

from tests.support import medagentbench as bench
from tests.support.medagent_agent import EXIT_CODES, RECORDED_BASE, Episode, Fhir, by_urllib, digest, run_task
from tests.support.medagent_servers import ScriptedFhir, ScriptedModels, make_certificate
from tests.support.medagentbench import judge
from tests.support.shared import shared_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.acceptance
AGENT = (sys.executable, "-S", "-E", str(Path(__file__).parents[1] / "support" / "medagent_agent.py"))


class World:
    def __init__(self, models: ScriptedModels, plain: ScriptedFhir, secure: ScriptedFhir, ca: Path) -> None:
        self.models, self.plain, self.secure, self.ca = models, plain, secure, ca
        self.tls = ssl.create_default_context(cafile=ca)

    def fhir(self, task: str) -> Fhir:
        return (
            Fhir(self.secure.base_url, by_urllib(self.tls)) if bench.through_proxy(task) else Fhir(self.plain.base_url)
        )

    async def run(self, key: str, task: str) -> Episode:
        with openai.OpenAI(base_url=self.models.base_url, api_key="k", max_retries=0) as client:
            return await asyncio.to_thread(
                run_task,
                client,
                bench.MODELS[key],
                bench.row(key, task).prompt,
                self.fhir(task),
                stream=bench.streams(task),
            )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    shared_path("data", "medagentbench-sweep")
    tls, ca = make_certificate(tmp_path)
    async with ScriptedModels() as models, ScriptedFhir() as plain, ScriptedFhir(tls=tls) as secure:
        yield World(models, plain, secure, ca)


@pytest.mark.parametrize("key", bench.MODELS)
async def test_every_recorded_path_is_re_enacted_exactly(world: World, key: str) -> None:
    for task in bench.tasks():
        row = bench.row(key, task)
        episode = await world.run(key, task)
        assert episode.replies == [turn.reply for turn in row.turns], task
        assert episode.observations == [turn.observation for turn in row.turns if turn.observation is not None], task
        assert episode.status == ("empty_completion" if row.ends_empty else row.status), task
    assert world.models.mismatches == []
    recorded_calls = [
        turn
        for row in bench.rows(key).values()
        for turn in row.turns
        if turn.kind in {"get", "post"} and (turn.url or "").startswith("http") and turn.observation != INVALID_POST
    ]
    assert len(world.plain.requests) + len(world.secure.requests) == len(recorded_calls)
    assert world.plain.requests
    assert world.secure.requests


INVALID_POST = "Invalid POST request"


def test_the_data_set_grades_are_the_published_ones() -> None:
    shared_path("data", "medagentbench-sweep")
    correct = {key: sum(row.correct for row in bench.rows(key).values()) for key in bench.MODELS}
    assert correct == {
        "fable5": 15, "opus5": 18, "g35f": 18, "haiku": 17, "g35fl": 17, "sonnet5": 13, "g3fp": 13,
    }  # fmt: skip
    assert sum(row.ends_empty for row in bench.rows("fable5").values()) == 5


async def test_an_empty_completion_is_answered_200_without_text_twice(world: World) -> None:
    row = next(row for row in bench.rows("fable5").values() if row.ends_empty)
    episode = await world.run("fable5", row.task)
    assert episode.status == "empty_completion"
    assert world.models.requests == len(row.turns) + 2
    with openai.OpenAI(base_url=world.models.base_url, api_key="k") as client:
        reply = await asyncio.to_thread(
            lambda: client.chat.completions.create(model="claude-fable-5", messages=cast("Any", row.messages))
        )
    assert reply.choices[0].message.content is None
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.completion_tokens < 1024


async def test_a_changed_observation_is_refused_by_the_model_server(world: World) -> None:
    row = bench.row("opus5", "task1_1")
    messages = row.messages[:3]
    messages[2]["content"] += " "
    with (
        openai.OpenAI(base_url=world.models.base_url, api_key="k", max_retries=0) as client,
        pytest.raises(openai.ConflictError),
    ):
        await asyncio.to_thread(
            lambda: client.chat.completions.create(model="claude-opus-5", messages=cast("Any", messages))
        )
    assert world.models.mismatches == ["opus5 task1_1 turn 1: message 2 is not the recorded one"]


async def test_a_call_that_was_not_recorded_gets_no_recorded_observation(world: World) -> None:
    url = f"{RECORDED_BASE}/Patient?identifier=S0000000&_format=json"
    observation = await asyncio.to_thread(world.fhir("task1_1").get, url, "chatcmpl-opus5-task1_1-0")
    assert observation.startswith("Error in sending the GET request: 409")


async def test_scripted_faults_come_before_the_recorded_reply(world: World) -> None:
    async with ScriptedModels(faults={("task1_1", 0): [429, 429, 429]}) as models:
        with openai.OpenAI(base_url=models.base_url, api_key="k", max_retries=3) as client:
            episode = await asyncio.to_thread(
                run_task,
                client,
                "claude-opus-5",
                bench.row("opus5", "task1_1").prompt,
                world.fhir("task1_1"),
                stream=False,
            )
    assert episode.status == "completed"
    assert models.requests == 3 + len(bench.row("opus5", "task1_1").turns)


@pytest.mark.parametrize(("key", "task"), [("g35f", "task10_2"), ("sonnet5", "task5_3"), ("fable5", "task4_1")])
async def test_the_agent_command_ends_as_the_recording_did(world: World, tmp_path: Path, key: str, task: str) -> None:
    bench.write_cards(tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    process = await asyncio.create_subprocess_exec(
        *AGENT,
        "--task",
        task,
        env={
            **kept,
            "MEDAGENT_CARDS": str(tmp_path),
            "OPENAI_BASE_URL": world.models.base_url,
            "OPENAI_API_KEY": "k",
            "MEDAGENT_MODEL": bench.MODELS[key],
            "FHIR_BASE": world.plain.base_url,
            "FHIR_HTTPS_BASE": world.secure.base_url,
            "SSL_CERT_FILE": str(world.ca),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    row = bench.row(key, task)
    status = "empty_completion" if row.status == "infra_fail" else row.status
    assert process.returncode == EXIT_CODES[status], err.decode()
    assert out.decode().splitlines()[-1] == (row.turns[-1].reply if status == "completed" else status)
    run = run_file(key, row)
    code, evidence = judge({**run, "stdout": out.decode()})
    assert code == (0 if row.correct else 1), evidence


def run_file(key: str, row: bench.Row) -> dict[str, Any]:
    """What a check is given of a run that walked the recorded path, stdout aside."""
    replies = [turn.reply for turn in row.turns] + ["", ""] * row.ends_empty
    steps = [{"kind": "model", "answer": {"text": text, "calls": [], "finish": "end"}} for text in replies]
    return {"task": row.task, "candidate": {"name": key, "model": bench.MODELS[key]}, "steps": steps, "stdout": ""}


async def test_the_grade_is_given_only_for_the_recorded_path(world: World) -> None:
    row = bench.row("opus5", "task1_1")
    run = run_file("opus5", row)
    assert judge(run) == (
        2,
        "undecided: not shown to be the recorded path: "
        "nothing shows the observations: the agent's line of digests is missing",
    )
    assert judge(run, strict_models=True)[0] == (0 if row.correct else 1)
    seen = [digest(turn.observation) for turn in row.turns if turn.observation is not None]
    walked = {"replies": [digest(turn.reply) for turn in row.turns], "observations": seen}
    assert judge({**run, "stdout": json.dumps(walked)})[0] == (0 if row.correct else 1)
    others: list[dict[str, list[str]]] = [
        {"observations": [*seen[:-1], digest("other")]},
        {"observations": []},
        {"replies": []},
    ]
    for other in others:
        assert judge({**run, "stdout": json.dumps({**walked, **other})}, strict_models=True)[0] == 2
    for steps in (run["steps"][:-1], [*run["steps"], run["steps"][-1]], run["steps"][::-1]):
        assert judge({**run, "steps": steps}, strict_models=True)[0] == 2
    assert judge({**run, "task": "task1_2"}, strict_models=True)[0] == 2
    assert judge({**run, "candidate": {"model": "unheard-of"}}, strict_models=True)[0] == 2


def test_each_model_gets_the_published_number_of_correct_tasks_from_the_check() -> None:
    shared_path("data", "medagentbench-sweep")
    for key in bench.MODELS:
        codes = [judge(run_file(key, row), strict_models=True)[0] for row in bench.rows(key).values()]
        assert codes.count(0) == sum(row.correct for row in bench.rows(key).values())
        assert codes.count(1) == 25 - codes.count(0)
