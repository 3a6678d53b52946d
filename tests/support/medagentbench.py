"""Reader of the recorded MedAgentBench sweep: seven models on the same 25 tasks (shared/data/medagentbench-sweep).

A recorded path is what a re-enactment must reproduce: the prompt, each reply of the model and each observation that
the agent built from it. Rows marked `attempt` 2 hold the second attempt only; `infra_fail` rows end after an
observation, because the model then answered 200 with no text and no tool call, twice.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tests.support import medagent_check
from tests.support.medagent_agent import digest

ActionKind = Literal["get", "post", "finish", "invalid"]

MODELS = {
    "fable5": "claude-fable-5",
    "opus5": "claude-opus-5",
    "g35f": "gemini-3.5-flash",
    "haiku": "claude-haiku-4-5",
    "g35fl": "gemini-3.5-flash-lite",
    "sonnet5": "claude-sonnet-5",
    "g3fp": "gemini-3-flash-preview",
}
"""Key of the recording's file -> the model's name on the wire."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply and what the agent made of it. `url`, `payload` and `observation` are None where there was none."""

    reply: str
    kind: ActionKind
    url: str | None
    payload: Any
    observation: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded run. `graded` is False for runs that the data set excluded: no grade, and not correct."""

    model: str
    task: str
    prompt: str
    status: Literal["completed", "agent_invalid_action", "infra_fail"]
    turns: tuple[Turn, ...]
    correct: bool
    graded: bool
    reason: str
    attempt: int

    @property
    def ends_empty(self) -> bool:
        return self.status == "infra_fail"

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation as an agent sends it: prompt, then replies and observations in turn."""
        history = [{"role": "user", "content": self.prompt}]
        for turn in self.turns:
            history.append({"role": "assistant", "content": turn.reply})
            if turn.observation is not None:
                history.append({"role": "user", "content": turn.observation})
        return history


def sweep_folder() -> Path:
    return Path(__file__).resolve().parents[3] / "shared" / "data" / "medagentbench-sweep"


def model_key(name: str) -> str | None:
    """The recording's key for a name on the wire (or for the key itself); None for a model that was not recorded."""
    if name in MODELS:
        return name
    return next((key for key, wire in MODELS.items() if wire == name), None)


@cache
def rows(key: str) -> dict[str, Row]:
    """Task id -> row, in the recording's order. Raises FileNotFoundError where the recordings are absent."""
    with gzip.open(sweep_folder() / f"{key}.jsonl.gz", "rt", encoding="utf-8") as lines:
        read = [_row(key, json.loads(line)) for line in lines]
    return {row.task: row for row in read}


def row(key: str, task: str) -> Row:
    return rows(key)[task]


@cache
def tasks() -> tuple[str, ...]:
    """The 25 task ids, sorted by category and number, not by text."""
    return tuple(sorted(rows("opus5"), key=lambda task: [int(part) for part in task.removeprefix("task").split("_")]))


@cache
def task_of_prompt() -> dict[str, str]:
    return {row.prompt: task for task, row in rows("opus5").items()}


def streams(task: str) -> bool:
    """Every second task is asked for as a stream, the same ones for each model."""
    return tasks().index(task) % 2 == 1


def through_proxy(task: str) -> bool:
    """Half of the tasks reach the FHIR server through the HTTPS_PROXY door, half streamed and half not."""
    return tasks().index(task) // 2 % 2 == 1


def over_tls(task: str) -> bool:
    """Half of the tasks that go through the proxy door can do so over TLS, the others without."""
    return tasks().index(task) // 4 % 2 == 0


def write_cards(folder: Path) -> None:
    """What agents and checks read in place of the recordings, which take longer to load than all else that they do."""
    for number, task in enumerate(tasks()):
        card = {
            "prompt": row("opus5", task).prompt,
            "stream": streams(task),
            "through_proxy": through_proxy(task),
            "over_tls": over_tls(task),
            "official_client": number % 9 == 0,  # of these three, one is streamed
        }
        (folder / f"{task}.json").write_text(json.dumps(card), encoding="utf-8")
        for key, model in MODELS.items():
            (folder / f"{model}.{task}.json").write_text(json.dumps(expected(row(key, task))), encoding="utf-8")


def expected(row: Row) -> dict[str, Any]:
    """What a check holds against a run."""
    return {
        "path": f"the recorded path of {row.model} on {row.task}, {len(row.turns)} replies",
        "replies": [turn.reply for turn in row.turns],
        "reply_digests": [digest(turn.reply) for turn in row.turns],
        "observation_digests": [digest(turn.observation) for turn in row.turns if turn.observation is not None],
        "ends_empty": row.ends_empty,
        "graded": row.graded,
        "correct": row.correct,
        "reason": row.reason if row.graded else row.status,
    }


def judge(run: dict[str, Any], *, strict_models: bool = False) -> tuple[int, str]:
    """Exit code and evidence of the check for the content of a run file."""
    key = model_key(run["candidate"]["model"])
    known = key is not None and run["task"] in rows(key)
    return medagent_check.judge(run, expected(row(key, run["task"])) if known else None, strict_models=strict_models)


def _row(key: str, raw: dict[str, Any]) -> Row:
    grade = raw["grade"] or {}
    return Row(
        model=key,
        task=raw["task_id"],
        prompt=raw["prompt"],
        status=raw["status"],
        turns=tuple(
            Turn(t["agent_reply"], t["action_kind"], t["url"], t["payload"], t["observation"]) for t in raw["turns"]
        ),
        correct=bool(raw["correct"]),
        graded=raw["grade"] is not None,
        reason=str(grade.get("reason") or raw["infra_reason"] or ""),
        attempt=raw["attempt"],
    )
