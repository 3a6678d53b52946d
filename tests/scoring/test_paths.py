from __future__ import annotations

from scoring.paths import Call, RawCalls, path_of, read_arguments, remembered
from tests.support.scored_runs import attempt, calls, refuse, run, says, step, tool_step, trajectory
from trajectory.record import ToolUse
from trajectory.runs import Served


def test_the_path_is_what_the_model_proposed_refused_calls_too() -> None:
    path = trajectory(
        step(attempt(answer=calls("read", "shell"), verdicts=[refuse(subject="shell")])),
        step(attempt(answer=says("done")), index=1),
    )
    found = path_of(run(), path)
    assert [(call.tool, call.step) for call in found.calls] == [("read", 0), ("shell", 0)]
    assert (found.answer, found.trajectory) == ("done", "m/t1/0")


def test_calls_written_as_text_are_read_from_the_wire_with_how_they_ended() -> None:
    path = trajectory(step(attempt(answer=says("GET /x"))), tool_step("get", index=1), tool_step("put", status=500))
    assert path_of(run(), path).calls == (Call("get", "{}", False, 1), Call("put", "{}", True, 0))


def test_proposed_calls_know_how_they_ended_where_the_same_ones_crossed_the_wire() -> None:
    failed = step(attempt(tool=ToolUse("a", "{}", is_error=True)), kind="tool", index=1)
    asked = step(attempt(answer=calls("a")))
    assert path_of(run(), trajectory(asked, failed)).calls[0].is_error is True
    assert path_of(run(), trajectory(asked, tool_step("b", index=1))).calls[0].is_error is None
    assert path_of(run(), trajectory(asked)).calls[0].is_error is None


def test_a_world_says_how_the_calls_of_a_closed_loop_ended() -> None:
    served = (Served(tool="a", arguments="{}", fidelity="exact", is_error=True),)
    assert path_of(run(served=served), trajectory(step(attempt(answer=calls("a"))))).calls[0].is_error is True


def test_the_answer_is_the_runs_own_and_else_the_last_words_of_the_model() -> None:
    path = trajectory(step(attempt(answer=says("spoken"))))
    assert path_of(run(answer="given"), path).answer == "given"
    assert path_of(run(), path).answer == "spoken"
    assert path_of(run(), trajectory(step(attempt(answer=calls("a"))))).answer is None


def test_deeply_nested_arguments_are_one_text() -> None:
    assert read_arguments("[" * 100_000)[0] == "text"


def test_paths_with_long_arguments_are_compared_and_not_kept() -> None:
    asked: list[int] = []

    @remembered
    def compare(actual: RawCalls, reference: RawCalls) -> int:
        asked.append(len(actual))
        return len(actual)

    short, long = (("a", "{}"),), (("a", "x" * 9_000),)
    assert [compare(one, short) for one in (short, short, long, long)] == [1, 1, 1, 1]
    assert len(asked) == 3
