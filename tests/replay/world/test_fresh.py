"""Real tools, started for each run: what they are asked, how they end, what is said where they do not work."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from replay.world.contract import Snapshot
from replay.world.declared import read_worlds
from replay.world.fresh import fresh_snapshot
from replay.world.kinds import ToolKinds
from replay.world.mcp_tools import declined
from tests.support import fresh_shop
from tests.support.processes import PYTHON, wait_until_gone
from trajectory.errors import CageError, OperatorError

WAYS = {"mcp": "pipes", "mcp+http": "mcp", "http": "http"}


def command(way: str, folder: Path, name: str = "") -> str:
    (folder / "orders.json").write_text(json.dumps({"7": {"id": "7", "status": "open"}}))
    program = (*PYTHON[:-1], fresh_shop.__file__, name or WAYS[way], str(folder / "orders.json"))
    return f"{way}:{shlex.join(program)}"


def snapshot(way: str, folder: Path, name: str = "") -> Snapshot:
    return fresh_snapshot(command(way, folder, name), ToolKinds())


@pytest.mark.parametrize("way", WAYS)
async def test_results_are_live_and_errors_are_the_tool_s_own(way: str, tmp_path: Path) -> None:
    world = await snapshot(way, tmp_path).start(41)
    try:
        first = await world.answer("get_order", '{"id": "7"}')
        wrong = await world.answer("get_order", '{"id": "9"}')
        drawn = await world.answer("draw_number", "")
    finally:
        await world.close()
    assert (json.loads(first.text)["status"], first.served.fidelity, first.is_error) == ("open", "live", False)
    assert (wrong.text, wrong.served.fidelity, wrong.is_error) == ("no order 9", "live", True)
    assert drawn.text == "41", "the seed of the run"


async def test_a_server_ends_with_its_run_and_takes_its_children_along() -> None:
    program = (
        "import os, subprocess, sys, json\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "for line in sys.stdin:\n"
        "    asked = json.loads(line)\n"
        "    if 'id' in asked:\n"
        "        tools = [{'name': f'{os.getpid()} {child.pid}'}]\n"
        "        print(json.dumps({'id': asked['id'], 'result': {'tools': tools}}), flush=True)\n"
    )
    world = await fresh_snapshot("mcp:" + shlex.join((*PYTHON, program)), ToolKinds()).start(0)
    note = (await world.answer("x", "{}")).served.note
    pids = [int(word) for word in note.rpartition(" it has ")[2].split()]
    await world.close()
    assert len(pids) == 2
    assert all(wait_until_gone(pid) for pid in pids)


@pytest.mark.parametrize(("way", "name"), [("mcp", "broken"), ("http", "broken")])
async def test_a_server_that_does_not_start_breaks_the_run_and_says_why(way: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(CageError, match=r"ended: the desk is closed"):
        await snapshot(way, tmp_path, name).start(0)


async def test_what_is_no_program_or_names_no_port_is_told() -> None:
    with pytest.raises(CageError, match="cannot start the tool server 'no-such-program'"):
        await fresh_snapshot("mcp:no-such-program", ToolKinds()).start(0)
    with pytest.raises(CageError, match="names no port: 'hello'"):
        await fresh_snapshot("http:echo hello", ToolKinds()).start(0)


def test_a_fresh_tool_is_declared_like_any_world_and_digested_by_its_files(tmp_path: Path) -> None:
    named = command("mcp", tmp_path)
    assert read_worlds([named])[0].is_fresh
    digest = fresh_snapshot(named, ToolKinds()).digest
    (tmp_path / "orders.json").write_text("{}")
    assert fresh_snapshot(named, ToolKinds()).digest != digest


@pytest.mark.parametrize("text", ["mcp:", "http://127.0.0.1:80", "mcp:'open"])
def test_what_names_no_command_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="world"):
        read_worlds([text])


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": 1, "result": {}}),
        ({"method": "notifications/progress"}, None),
        ({"id": 1, "result": {}}, None),
    ],
)
def test_a_ping_is_answered_and_what_asks_nothing_is_not(message: Any, answer: Any) -> None:
    assert declined(message) == answer


def test_what_would_need_a_user_is_declined() -> None:
    answer = declined({"id": 2, "method": "elicitation/create"})
    assert answer is not None
    assert answer["error"]["code"] == -32601
