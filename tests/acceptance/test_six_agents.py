"""examples/six_agents on one of its tasks: all six told apart, and ranked as the constraints say."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.house import environment, ironcage

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "six_agents" / "run_six.py"


async def test_six_ways_to_go_wrong_are_told_apart(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), str(out), "edges",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment(),
    )  # fmt: skip
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    report = await ironcage("-c", str(out / "ironcage.yaml"), "bakeoff", "report", "six", "--json", cwd=tmp_path)
    assert report.code == 0, report.err
    rows = {row["candidate"]["name"]: row for row in report.json["candidates"]}
    assert_told_apart(rows)
    assert_ranked(rows)
    assert "hoarding" in said and "needs headroom" in said
    assert "leaking" in said and "grows without bound" in said
    for page in ("report.html", "sweep.html"):
        assert (out / page).read_text(encoding="utf-8").startswith("<!doctype html>")


def assert_told_apart(rows: dict[str, Any]) -> None:
    assert {name: row["faults"] for name, row in rows.items()} == {
        "production": {},
        "hoarding": {"infra.oom": 3},
        "leaking": {"infra.oom": 3},
        "stuttering": {},
        "shopping": {},
        "quitting": {"model.stopped_early": 3},
        "guessing": {"model.wrong": 3},
    }
    assert {name: row["passed"] for name, row in rows.items() if row["passed"]} == {
        "production": 1, "stuttering": 3, "shopping": 3,
    }  # fmt: skip
    assert {name: row["mean_retries"]["value"] for name, row in rows.items() if row["mean_retries"]["value"]} == {
        "stuttering": 4.0
    }
    packages = {name: row["conduct"]["packages"] for name, row in rows.items()}
    assert {name: len(pool["unneeded"]) for name, pool in packages.items() if pool and pool["unneeded"]} == {
        "shopping": 5
    }


def assert_ranked(rows: dict[str, Any]) -> None:
    """What passes cheaply, what passes and wastes, what is wrong, what ran out of memory."""
    score = {name: row["score"]["value"] for name, row in rows.items() if name != "production"}
    assert score["stuttering"] > score["shopping"] > score["quitting"] == score["guessing"] == 0
    assert score["hoarding"] == score["leaking"] == -1
