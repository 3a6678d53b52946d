from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ironcage
from tests.support.attempts import body, model_attempt, tool_attempt
from tests.support.command_line import CommandLine


@pytest.fixture
def recorded(cli: CommandLine) -> CommandLine:
    cli.record([
        model_attempt(0, task="t-1", reply=body(b"\x00\xff exact")),
        tool_attempt(1, task="t-1"),
        model_attempt(2, id="other", trajectory="s-2", session="s-2", task="t-2"),
    ])  # fmt: skip
    return cli


def test_list_is_newest_first_filtered_and_limited(recorded: CommandLine) -> None:
    assert [one["id"] for one in recorded("trajectories", "list", "--json").json] == ["s-2", "s-1"]
    assert [one["id"] for one in recorded("trajectories", "list", "--limit", "1", "--json").json] == ["s-2"]
    assert [one["id"] for one in recorded("trajectories", "list", "--task", "t-1", "--json").json] == ["s-1"]
    assert recorded("trajectories", "list", "--session", "nobody", "--json").json == []
    assert recorded("trajectories", "list", "--source", "replay", "--json").json == []
    table = recorded("trajectories", "list")
    assert table.code == 0
    assert "t-1" in table.out
    assert table.err == ""


def test_what_is_neither_model_nor_tool_is_shown_by_its_path(recorded: CommandLine) -> None:
    recorded.record([tool_attempt(7, kind="web", tool=None, method="GET", path="/v1/models")])
    assert "GET /v1/models" in recorded("trajectories", "show", "s-1").out


def test_piped_table_is_not_cut(recorded: CommandLine) -> None:
    long = "t-" + "x" * 120
    recorded.record([model_attempt(5, id="long", trajectory="s-9", session="s-9", task=long)])
    assert long in recorded("trajectories", "list").out


def test_show_tells_each_attempt_and_its_verdicts(recorded: CommandLine) -> None:
    shown = recorded("trajectories", "show", "s-1")
    for text in ("s-1", "task t-1", "calls look_up", "refuse tool_not_allowed orders", "a000000"):
        assert text in shown.out
    whole = recorded("trajectories", "show", "s-1", "--json").json
    assert [step["kind"] for step in whole["steps"]] == ["model", "tool"]
    assert whole["steps"][0]["attempts"][0]["answer"]["calls"][0]["name"] == "look_up"


def test_body_is_printed_byte_for_byte(recorded: CommandLine) -> None:
    command = [sys.executable, "-m", "ironcage", "-c", str(recorded.file), "trajectories", "show", "s-1"]
    root = Path(ironcage.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([*command, "--attempt", "a000000"], env=environment, capture_output=True, check=True)
    assert done.stdout == b"\x00\xff exact"


def test_body_that_is_not_there_is_the_operators_error(recorded: CommandLine) -> None:
    foreign = recorded("trajectories", "show", "s-1", "--attempt", "other")
    assert (foreign.code, "has no attempt" in foreign.err) == (2, True)
    absent = recorded("trajectories", "show", "s-1", "--attempt", "a000000", "--side", "client_reply")
    assert (absent.code, "--side" in absent.err) == (2, True)


def test_label_is_set_shown_and_taken_back(recorded: CommandLine) -> None:
    assert recorded("trajectories", "label", "s-1", "passed", "--evidence", "seen by ada").code == 0
    assert "passed: seen by ada" in recorded("trajectories", "show", "s-1").out
    assert recorded("trajectories", "label", "s-1", "none").code == 0
    assert recorded("trajectories", "show", "s-1", "--json").json["label"] is None
    assert recorded("trajectories", "label", "s-1", "perhaps").code == 2
    assert recorded("trajectories", "label", "nobody", "passed").code == 3


def test_export_read_into_another_store_is_the_same_trajectory(recorded: CommandLine, tmp_path: Path) -> None:
    before = recorded("trajectories", "show", "s-1", "--json").json
    printed = recorded("trajectories", "export", "s-1").out
    file = tmp_path / "s-1.jsonl"
    assert recorded("trajectories", "export", "s-1", "-o", str(file)).code == 0
    assert file.read_text(encoding="utf-8") == printed
    recorded.config(store="sqlite:///second.db")
    assert recorded("trajectories", "import", str(file)).code == 0
    (found,) = recorded("trajectories", "list", "--json").json
    after = recorded("trajectories", "show", found["id"], "--json").json
    assert after["steps"] == before["steps"]
    assert after["source"] == "imported"


def test_file_that_is_no_export_is_refused_whole(recorded: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_text(json.dumps({"what": "ever"}) + "\n", encoding="utf-8")
    recorded.config(store="sqlite:///second.db")
    for source in (file, tmp_path / "absent.jsonl", recorded.folder / "ironcage.db"):
        done = recorded("trajectories", "import", str(source))
        assert done.code in (1, 2)
        assert done.err.startswith("ironcage: ")
    assert recorded("trajectories", "list", "--json").json == []


def test_export_to_a_folder_that_is_not_there_is_said(recorded: CommandLine) -> None:
    done = recorded("trajectories", "export", "s-1", "-o", str(recorded.folder / "no" / "such.jsonl"))
    assert (done.code, "cannot write" in done.err) == (2, True)


def test_delete_takes_the_named_ones_and_says_when_one_is_unknown(recorded: CommandLine) -> None:
    assert recorded("trajectories", "delete", "s-1").code == 0
    assert [one["id"] for one in recorded("trajectories", "list", "--json").json] == ["s-2"]
    assert recorded("trajectories", "delete", "s-1").code == 3


@pytest.mark.parametrize(
    "arguments", [[], ["s-1", "--older-than", "30d"], ["--older-than", "0d"], ["--older-than", "x"]]
)
def test_delete_without_a_clear_word_of_what_deletes_nothing(recorded: CommandLine, arguments: list[str]) -> None:
    assert recorded("trajectories", "delete", *arguments).code == 2
    assert len(recorded("trajectories", "list", "--json").json) == 2
