"""What a worker opens: the same conditions, of all bake-offs that run together, from what came over by pickle."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from ironcage.bakeoff_workers import trials_opener
from ironcage.settings import load, on_free_ports
from proxy.prompting import PromptSwap
from tests.support.baking import agent_task, plan
from trajectory.errors import OperatorError


async def test_a_worker_finds_the_conditions_of_every_bake_off_and_refuses_others(tmp_path: Path) -> None:
    file = tmp_path / "ironcage.yaml"
    file.write_text(json.dumps({"store": f"sqlite:///{tmp_path / 'ironcage.db'}"}))
    prompts = {"agent-task": PromptSwap(("You are strict.",), ("Be kind.",))}
    loaded = on_free_ports(load(file))
    memory, kept = tmp_path / "memory.txt", tmp_path / "kept"
    memory.write_text("begun")
    plans = [
        plan(agent_task(""), id=name, prompts=given, reset=(memory,), snapshot=kept)
        for name, given in (("a", {}), ("b", prompts))
    ]
    opener = pickle.loads(pickle.dumps(trials_opener(loaded, plans)))
    async with opener() as trials:
        assert {name: one.prompts for name, one in trials.conditions.items()} == {"a": {}, "b": prompts}
        assert len({one.fingerprint for one in trials.conditions.values()}) == 2
        assert len({id(one.reset) for one in trials.conditions.values()}) == 1
    with pytest.raises(OperatorError, match="tasks changed since"):
        async with trials_opener(loaded, [plan(agent_task("print()"), id="a", reset=(memory,), snapshot=kept)])():
            pass
    assert kept.exists(), "a worker that refuses does not take the snapshot of the others away"
