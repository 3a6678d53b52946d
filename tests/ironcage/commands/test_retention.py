from __future__ import annotations

import time

from msgspec.structs import replace

from tests.support.command_line import CommandLine
from tests.support.recordings import calls, model_attempt, request_body, user


def test_old_ones_go_but_those_that_tasks_stand_on_stay(cli: CommandLine) -> None:
    asked = request_body([user("Where is order A-1?")])
    call = calls(("c1", "look_up", "{}"))
    recorded = {name: model_attempt(name, 0, asked, call, task=name) for name in ("source", "other", "today")}
    tape = model_attempt("tape", 0, asked, call, task="source")
    cli.record([*recorded.values(), tape])
    assert cli("tasks", "build", "source").code == 0
    cli.record([replace(recorded["today"], id="now", trajectory="now", session="now", started_at=time.time())])

    def kept() -> set[str]:
        return {one["id"] for one in cli("trajectories", "list", "--json").json}

    told = cli("trajectories", "delete", "--older-than", "30d", "--dry-run")
    assert told.out.startswith("2 would be deleted, begun before ")
    assert kept() == {"source", "other", "today", "tape", "now"}
    assert cli("trajectories", "delete", "--older-than", "30d", "--source", "replay").out.startswith("0 deleted")
    done = cli("trajectories", "delete", "--older-than", "30d")
    assert done.out.endswith("UTC; 2 stay, since kept tasks or bake-offs stand on them\n")
    assert kept() == {"source", "tape", "now"}
