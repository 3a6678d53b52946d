"""What a gateway still holds of runs that are over: it makes any number of them."""

from __future__ import annotations

import gc
from pathlib import Path
from types import FunctionType, ModuleType

from tests.support.recordings import Message, calls, result, said, user
from tests.support.replaying import Replaying, replaying

CONVERSATION = [user("find it"), calls(("c1", "search", '{"q": "7"}')), result("c1", "seven"), said("seven")]


def answering(messages: list[Message]) -> Message:
    return CONVERSATION[len(messages)]


async def test_of_a_run_that_is_over_the_house_holds_its_name_and_what_it_has_spent(tmp_path: Path) -> None:
    limits = {"allowed_tools": ["*"], "max_retries": 1, "network_egress_limit_mb": 10}
    async with replaying(tmp_path, {"prod-1": answering, "good-1": answering}, constraints=limits) as at:
        for given in (1, 3):
            await at.ask("prod", CONVERSATION[:given])
        assert len(holders(at, "prod")) > 2, "of a live session more is held"
        _, runs = await at.bake(at.task("prod"), trials=3)
        assert len(runs) == 3
        for run in runs:
            assert run.status == "finished" and run.served
            assert holders(at, run.trajectory) == ["OrderedDict: egress:" + run.trajectory, "set: " + run.trajectory]


def holders(at: Replaying, session: str) -> list[str]:
    """All texts with the session's name in them in what both doors share, and what holds them."""
    found: list[str] = []
    seen: set[int] = set()
    waiting: list[object] = [at.served.doors.hall]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen.add(id(one))
        inside = gc.get_referents(one)
        waiting += inside
        texts = {text for text in inside if isinstance(text, str) and session in text}
        found += [f"{type(one).__name__}: {text}" for text in texts]
    return sorted(found)
