from __future__ import annotations

from contextlib import closing

import msgspec
import pytest

from tests.support.attempts import START, model_attempt
from tests.support.command_line import CommandLine
from tests.support.scored_runs import table
from trajectory.conversation import Reply, Usage
from trajectory.record import Attempt
from trajectory.runs import Bakeoff
from trajectory.sql.opening import open_store

TASKS = [f"t{i}" for i in range(20)]
DAY = 86_400.0


def call(trajectory: str, task: str, started_at: float, tokens: int) -> Attempt:
    answer = Reply("done", (), "end", Usage(tokens + len(task), 5), "m-1")
    return model_attempt(
        0,
        id=f"a-{trajectory}",
        operation=f"op-{trajectory}",
        trajectory=trajectory,
        session=trajectory,
        task=task,
        agent="desk",
        started_at=started_at,
        answer=answer,
    )


@pytest.fixture
def baked(cli: CommandLine) -> CommandLine:
    """A bake-off of one candidate; then two weeks of production on the same tasks: as then, then dearer and worse."""
    cli.config(store=f"sqlite:///{cli.folder}/ironcage.db")
    plan, runs = table({"m": {task: [True] for task in TASKS}})
    attempts = [call(run.trajectory, run.task, START, 1000 + 10 * i) for i, run in enumerate(runs)]
    labels = {}
    for week, tokens in ((1, 1000), (2, 3000)):
        for i, task in enumerate(TASKS):
            name = f"week{week}-{task}"
            attempts.append(call(name, task, START + week * 7 * DAY, tokens + 10 * i + i % 3))
            labels[name] = "passed" if week == 1 or i % 2 else "failed"
    cli.record(attempts, labels=labels)
    with closing(open_store(f"sqlite:///{cli.folder}/ironcage.db")) as store:
        store.put_bakeoff(Bakeoff(**{**plan.model_dump(), "created_at": START + DAY}))
        store.put_runs(runs)
    return cli


def test_production_that_got_worse_is_a_finding(baked: CommandLine) -> None:
    found = baked("bakeoff", "compare", "--since", "2023-11-27", "--json")
    assert found.code == 1
    status = {one["name"]: one["status"] for one in found.json["measures"]}
    assert status["success rate"] == "drifted"
    assert status["tokens in per run"] == "drifted"
    assert status["retries per run"] == "holds"
    assert (found.json["runs_after"], found.json["is_paired"]) == (20, True)


def test_only_the_production_that_is_meant_is_compared(baked: CommandLine) -> None:
    found = baked(
        "bakeoff", "compare", "--increase", "30", "--label", "passed", "--agent", "desk", "--model", "model-a"
    )
    assert "runs of m against 30 of production, tasks paired" in found.out
    assert found.code == 1
    assert "Production has drifted from the bake-off: tokens in per run." in found.out


def test_thresholds_decide_what_is_a_finding(baked: CommandLine) -> None:
    found = baked("bakeoff", "compare", "--increase", "400", "--success-drop", "80")
    assert found.code == 0
    assert "drifted" not in found.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--since", "yesterday"), "--since 'yesterday' is no date"),
        (("--since", "2030-01-01"), "no recorded trajectory is of this time"),
        (("--candidate", "x"), "there is no candidate 'x' in bake-off b"),
        (("gone",), "there is no bake-off 'gone'"),
    ],
)
def test_what_cannot_be_compared_is_an_operator_error(baked: CommandLine, options: tuple[str, ...], said: str) -> None:
    found = baked("bakeoff", "compare", *options)
    assert (found.code, said in found.err) == (2, True), found.err


def test_a_sub_agent_is_part_of_its_main_agent_s_run_and_no_run_of_its_own(baked: CommandLine) -> None:
    at = START + 20 * DAY
    for name, agent, tokens in (("s", None, 1000), ("s/helper", "helper", 500)):
        attempt = call(name, "t0", at, tokens)
        baked.record([msgspec.structs.replace(attempt, session="s", agent=agent)])
    asked = ("bakeoff", "compare", "--since", "2023-12-02", "--json")
    whole = baked(*asked).json
    tokens_in = next(one for one in whole["measures"] if one["name"] == "tokens in per run")
    assert (whole["runs_after"], tokens_in["after"]["value"]) == (1, 1504)
    assert baked(*asked, "--agent", "helper").json["runs_after"] == 1
