from __future__ import annotations

import pytest

from scoring.decision.leaderboard import INFRASTRUCTURE, read_leaderboard
from tests.support.shared import shared_path
from trajectory.runs import Candidate


def named(name: str, model: str) -> Candidate:
    return Candidate(name=name, upstream="models", model=model)


CSV = """Model,Benchmark,Score,Cost (USD),Agent,Trials,Memory MB
GPT-5,terminal-bench,49.6,1.20,Codex CLI,5,
Claude Opus 5,terminal-bench,50.1,,,,
nobody,,,,,,
"""


def test_csv_rows_say_what_they_do_not_say() -> None:
    board = read_leaderboard(CSV, "board.csv", [named("big", "claude-opus-5"), named("other", "openai/gpt-5")])
    assert (len(board.rows), board.unread) == (2, 1)
    opus, gpt = board.rows
    assert (opus.matches, gpt.matches) == (("big",), ("other",))
    assert opus.undisclosed == tuple(INFRASTRUCTURE)
    assert gpt.disclosed == {"harness": "Codex CLI", "trials": "5"}
    assert {"memory limit", "time limit", "retry policy", "infrastructure failures"} <= set(gpt.undisclosed)


def test_a_model_is_not_taken_for_its_smaller_sister() -> None:
    board = read_leaderboard(
        "model,score\nGPT-5,1\n", "x", [named("mini", "gpt-5-mini"), named("dated", "gpt-5-20260807")]
    )
    assert board.rows[0].matches == ("dated",)


def test_published_tau2_submissions_are_read_domain_by_domain() -> None:
    text = shared_path("data", "tau2-leaderboard", "submissions.jsonl").read_text(encoding="utf-8")
    board = read_leaderboard(text, "tau2", [named("opus", "claude-opus-4-5-20251101")])
    assert len(board.rows) > 100
    assert {row.benchmark for row in board.rows} >= {"airline", "retail", "telecom"}
    assert all({"memory limit", "CPU limit", "retry policy"} <= set(row.undisclosed) for row in board.rows)
    assert board.rows[0].matches == ("opus",)
    assert "user simulator" in board.rows[0].disclosed
    assert sum(row.cost_usd is not None for row in board.rows) >= 6


def test_published_terminal_bench_table_is_read() -> None:
    text = shared_path("data", "terminal-bench-2-table", "agent_model_table.csv").read_text(encoding="utf-8")
    board = read_leaderboard(text, "tb2", [])
    assert (len(board.rows), board.unread) == (50, 0)
    assert board.rows[0].disclosed["interval"] == "3"


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "model\nx\n", "{}"])
def test_what_is_no_leaderboard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no row with a model"):
        read_leaderboard(text, "x", [])
