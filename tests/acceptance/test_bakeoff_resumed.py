"""A bake-off that is killed and begun again, or loses a worker, ends with the results of one that was left alone.

Small here. The whole of it, 3 models x 40 tasks x 5 trials: RESUMED_TASKS=40 RESUMED_TRIALS=5 pytest with
this file.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from replay.task import AgentCommand, ExpectedAnswer, Task
from tests.support import forking
from tests.support.house import environment
from tests.support.processes import alive
from tests.support.scripted_model import Answer, ScriptedModel, scripted
from trajectory.runs import Run
from trajectory.sql.opening import open_store

# one loop for all: the model that the undisturbed bake-off asked answers the others, too
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800), pytest.mark.asyncio(loop_scope="module")]

TASKS = int(os.environ.get("RESUMED_TASKS", "3"))
TRIALS = int(os.environ.get("RESUMED_TRIALS", "2"))
CANDIDATES = {"sure": "m-sure", "lost": "m-lost", "flaky": "m-flaky"}
RUNS = len(CANDIDATES) * TASKS * TRIALS
AT_ONCE = 2
"""Fewer than the first kill comes after: some runs are finished by then, on machines with many processors, too."""

AGENT = """
import http.client, json, os, sys, urllib.parse
base = urllib.parse.urlsplit(os.environ["OPENAI_BASE_URL"])
connection = http.client.HTTPConnection(base.hostname, base.port)
asked = {"model": "prod", "messages": [{"role": "user", "content": sys.argv[1]}]}
connection.request("POST", base.path + "/chat/completions", json.dumps(asked), {"Content-Type": "application/json"})
print(json.load(connection.getresponse())["choices"][0]["message"]["content"])
"""


def answer(asked: dict[str, Any]) -> Answer:
    """The right word of m-sure, the wrong one of m-lost; m-flaky decides by seed and question, so always alike."""
    question = asked["messages"][0]["content"]
    if asked["model"] == "m-flaky":
        knows = hashlib.sha256(f"{asked['seed']}{question}".encode()).digest()[0] % 2 == 0
    else:
        knows = asked["model"] == "m-sure"
    message = {"role": "assistant", "content": f"word of {question}" if knows else "no idea"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = {"id": "c", "object": "chat.completion", "model": asked["model"], "choices": [choice]}
    return Answer(json.dumps(whole).encode())


def task(number: int, cwd: Path) -> Task:
    question = f"task-{number}"
    return Task(
        id=question, name=question, input=question, source="none", wire="openai.chat", upstream="openai",
        path="/v1/chat/completions", model="prod", checks=(ExpectedAnswer(answer=f"word of {question}"),),
        launch=AgentCommand(command=(sys.executable, "-I", "-S", "-c", AGENT, question), cwd=str(cwd)),
    )  # fmt: skip


class Folder:
    """A configuration and a store with the tasks in it."""

    def __init__(self, folder: Path, model: ScriptedModel) -> None:
        self.folder = folder
        self.database = folder / "ironcage.db"
        folder.mkdir()
        settings = {
            "listen": "127.0.0.1:0",
            "store": f"sqlite:///{self.database}",
            "upstreams": {"openai": {"base_url": model.url}},
            "constraints": {"evaluation_config": {"constraints": {"memory_limit_mb": 256, "max_retries": 0}}},
        }
        (folder / "ironcage.yaml").write_text(json.dumps(settings), encoding="utf-8")
        store = open_store(f"sqlite:///{self.database}")
        for number in range(TASKS):
            store.put_task(f"task-{number}", task(number, folder.parent).document())
        store.close()

    async def start(self, *options: str) -> forking.Forked:
        candidates = [part for name, model in CANDIDATES.items() for part in ("--candidate", f"{name}=openai/{model}")]
        command = (
            "-c", str(self.folder / "ironcage.yaml"), "bakeoff", "run", "--id", "b", "--no-production",
            "--trials", str(TRIALS), "--parallel", str(AT_ONCE), *candidates, *options, "--json",
        )  # fmt: skip
        return await forking.start(command, self.folder, environment())

    async def finish(self, *options: str) -> dict[str, Any]:
        return await scorecard(await self.start(*options))

    def runs(self) -> list[Run]:
        store = open_store(f"sqlite:///{self.database}")
        try:
            return store.runs("b")
        finally:
            store.close()

    def results(self) -> dict[tuple[str, str, int], tuple[object, ...]]:
        """What must not depend on where and when a run was made."""
        return {
            (run.candidate.name, run.task, run.trial): (
                run.id, run.seed, run.status, run.fingerprint, run.answer, run.checks[0].passed,
                run.certificate.exit_code, run.certificate.kill_cause, run.certificate.applied,
            )
            for run in self.runs()
        }  # fmt: skip


async def scorecard(process: forking.Forked) -> dict[str, Any]:
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    card: dict[str, Any] = json.loads(out)
    return card


def figures(card: dict[str, Any]) -> dict[str, Any]:
    return {
        row["candidate"]["name"]: [row[key] for key in ("runs", "passed", "failed", "excluded", "success", "pass_k")]
        for row in card["candidates"]
    }


def when(model: ScriptedModel, asked: int, act: Callable[[], None]) -> None:
    """Calls `act` in the midst of the request that is the `asked`-th from now."""
    given, begun = model.answer, len(model.asked)

    def answering(body: dict[str, Any]) -> Answer:
        if len(model.asked) - begun == asked:
            act()
            model.answer = given
        return given(body)

    model.answer = answering


def descendants(process: forking.Forked) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def runs_trials(process: psutil.Process) -> bool:
    """Whether it is a worker of Ray's; a process that has ended since it was listed is none."""
    try:
        return process.cmdline()[:1] == ["ray::_House.run"]
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class Undisturbed:
    """A bake-off that was left alone: its model, which is still there to ask, its scorecard and its results."""

    folder: Path
    model: ScriptedModel
    card: dict[str, Any]
    results: dict[tuple[str, str, int], tuple[object, ...]]

    def another(self, name: str) -> Folder:
        return Folder(self.folder / name, self.model)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Undisturbed]:
    async with scripted(answer) as model:
        path = tmp_path_factory.mktemp("bakeoffs")
        folder = Folder(path / "alone", model)
        card = await folder.finish()
        assert len(card["runs"]) == RUNS
        yield Undisturbed(path, model, card, folder.results())


async def test_twice_killed_bake_off_ends_like_one_that_was_left_alone(alone: Undisturbed) -> None:
    killed = alone.another("killed")
    for share in (3, 2):
        process = await killed.start()
        agents: list[psutil.Process] = []

        def kill(process: forking.Forked = process, agents: list[psutil.Process] = agents) -> None:
            agents += descendants(process)
            process.send_signal(signal.SIGKILL)

        when(alone.model, max(AT_ONCE + 1, RUNS // share // 2), kill)
        await process.communicate()
        assert process.returncode == -signal.SIGKILL
        psutil.wait_procs(agents, timeout=30)
        assert [one.pid for one in agents if alive(one.pid)] == [], "an agent outlived its bake-off"
        with sqlite3.connect(killed.database) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert 0 < len(killed.runs()) < RUNS
    made = {run.id: run for run in killed.runs()}
    card = await killed.finish()
    assert killed.results() == alone.results
    assert figures(card) == figures(alone.card)
    assert {run.id: run for run in killed.runs() if run.id in made} == made, "a finished run was made again"


@pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")
async def test_ray_gives_the_same_results_also_when_a_worker_is_killed(alone: Undisturbed) -> None:
    there = alone.another("there")
    process = await there.start("--executor", "ray")

    def kill() -> None:
        next(one for one in descendants(process) if runs_trials(one)).kill()

    when(alone.model, max(2, RUNS // 2), kill)
    card = await scorecard(process)
    assert there.results() == alone.results
    assert figures(card) == figures(alone.card)
    assert any("the worker was lost" in error for run in there.runs() for error in run.earlier_errors)
