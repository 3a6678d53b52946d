"""What means nothing together is refused with the reason; everything else is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from replay.combining import MEANINGLESS, require_meaningful
from replay.ways import TAPE
from tests.support.baking import BAD, GOOD, agent_task, plan
from trajectory.errors import OperatorError

LOOP = agent_task("", name="loop").model_copy(update={"launch": None})
AGENT = agent_task("")
MEMORY = (Path("memory"),)

REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"from_step": 2, "mode": "agent"}, {}, "cannot begin at a step"),
    ({"from_step": 2, "mode": "offline", "candidates": (TAPE,)}, {}, "cannot begin at a step"),
    ({"mode": "offline"}, {}, "asks no model"),
    ({"mode": "offline", "candidates": (TAPE,)}, {"varied": True}, "no prompt makes a difference"),
    ({"mode": "agent", "tape_tools": True}, {}, "only where recorded answers"),
    ({"mode": "stepwise"}, {"swept": ["wall_time"]}, "executes nothing, so that no limit"),
    ({"mode": "closed_loop"}, {"swept": ["memory"]}, "no process whose memory"),
    ({"mode": "stepwise", "reset": MEMORY}, {}, "nothing to reset"),
    ({"mode": "closed_loop", "reset": MEMORY}, {}, "nothing to reset"),
    ({"mode": "closed_loop", "workspace": "copy"}, {}, "nobody works in a copy"),
    ({"mode": "agent", "world": ("tables:x.yaml",)}, {}, "no world answers"),
    ({"mode": "stepwise", "min_fidelity": 0.5}, {}, "no tool result has a fidelity"),
    ({"mode": "stepwise", "stop_margin": 0.1}, {}, "neither pass nor fail"),
    ({"stop_margin": 0.1, "candidates": (GOOD,)}, {}, "nothing to decide between"),
]

ALLOWED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"from_step": 2, "mode": "closed_loop"}, {"varied": True, "swept": ["wall_time"]}),
    ({"from_step": 2, "mode": "stepwise"}, {"varied": True}),
    ({"mode": "offline", "candidates": (TAPE,), "reset": MEMORY, "workspace": "copy"}, {"swept": ["memory"]}),
    ({"mode": "agent", "reset": MEMORY, "stop_margin": 0.1}, {"varied": True, "swept": ["memory", "wall_time"]}),
    ({"mode": "closed_loop", "reset": MEMORY, "world": ("mcp:server", "tape"), "min_fidelity": 0.5}, {}),
]


@pytest.mark.parametrize(("asked", "more", "why"), REFUSED)
def test_what_means_nothing_together_is_refused(asked: dict[str, Any], more: dict[str, Any], why: str) -> None:
    with pytest.raises(OperatorError, match=why) as refused:
        require_meaningful(plan(AGENT, **{"candidates": (GOOD, BAD), **asked}), **more)
    assert refused.value.hint


@pytest.mark.parametrize(("asked", "more"), ALLOWED)
def test_all_else_may_be_asked_for_together(asked: dict[str, Any], more: dict[str, Any]) -> None:
    require_meaningful(plan(AGENT, **{"candidates": (GOOD, BAD), **asked}), **more)


def test_what_one_task_can_use_is_not_refused_for_another() -> None:
    both = plan(AGENT, LOOP, workspace="copy", reset=MEMORY, world=("tables:x.yaml",), min_fidelity=0.1)
    require_meaningful(both, swept=["memory"])


def test_each_row_of_the_table_is_refused_by_a_case() -> None:
    said = {why for _, why, _ in MEANINGLESS}
    assert {why for why in said for _, _, part in REFUSED if part in why} == said
