from __future__ import annotations

from scoring.measures import measure, tool_calls
from scoring.score import score
from tests.support.scored_runs import (
    attempt,
    bakeoff,
    calls,
    certificate,
    refuse,
    run,
    says,
    step,
    tool_step,
    trajectory,
)
from trajectory.record import ToolUse
from trajectory.runs import Loss, Served


def test_refused_calls_are_not_counted_as_executed() -> None:
    path = trajectory(
        step(attempt(answer=calls("file_read", "shell_exec", "file_read"), verdicts=[refuse(subject="shell_exec")]))
    )
    assert tool_calls(run(), path) == 2


def test_a_refusal_of_a_call_that_the_record_already_took_out_is_not_subtracted_again() -> None:
    path = trajectory(step(attempt(answer=calls("file_read"), verdicts=[refuse(subject="shell_exec")])))
    assert tool_calls(run(), path) == 1


def test_calls_written_as_text_are_counted_on_the_wire_and_a_retry_is_no_new_call() -> None:
    retried = step(
        attempt(500, tool=ToolUse("get", "")), attempt(200, number=2, tool=ToolUse("get", "")), kind="tool", index=1
    )
    path = trajectory(step(attempt(answer=says("GET /x"))), retried, tool_step("post", index=2))
    assert tool_calls(run(), path) == 2


def test_a_tool_call_refused_on_the_wire_is_not_counted() -> None:
    refused = step(attempt(400, end="refused", tool=ToolUse("get", ""), verdicts=[refuse()]), kind="tool")
    assert tool_calls(run(), trajectory(refused)) == 0


def test_web_traffic_is_no_tool_call_unless_it_is_known_as_one() -> None:
    plain, known = step(attempt(), kind="web"), step(attempt(tool=ToolUse("get", "")), kind="web", index=1)
    assert tool_calls(run(), trajectory(plain, known)) == 1


def test_a_closed_loop_counts_what_the_world_served() -> None:
    served = (Served(tool="a", arguments="{}", fidelity="exact"),) * 3
    assert tool_calls(run(served=served), trajectory()) == 3


def test_attempts_operations_retries_and_refusals_are_told_apart() -> None:
    path = trajectory(
        step(attempt(429), attempt(429, number=2), attempt(answer=says("ok"), number=3)),
        step(attempt(400, end="refused", verdicts=[refuse(count=2)]), index=1),
    )
    found = measure(run(), path)
    assert (found.operations, found.attempts, found.retries, found.failed_attempts) == (2, 4, 2, 3)
    assert found.refusals == {"tool_not_allowed": 2}
    assert found.model_call_s == 1.0


def test_tokens_of_all_answered_attempts_and_unknown_if_one_does_not_say() -> None:
    both = trajectory(step(attempt(answer=says("a"))), step(attempt(answer=says("b")), index=1))
    one = trajectory(step(attempt(answer=says("a"))), step(attempt(answer=says("b", tokens=None)), index=1))
    assert (measure(run(), both).input_tokens, measure(run(), both).output_tokens) == (200, 20)
    assert measure(run(), one).input_tokens is None


def test_without_a_trajectory_calls_are_unknown_and_memory_is_the_certificates() -> None:
    found = measure(run(certificate=certificate(peak_memory_mb=80.0, largest_process_mb=90.0)), None)
    assert (found.tool_calls, found.retries, found.input_tokens, found.peak_memory_mb) == (None, None, None, 90.0)


def test_memory_that_nobody_measured_is_unknown() -> None:
    assert measure(run(certificate=certificate()), trajectory()).peak_memory_mb is None


def test_a_translated_stream_has_no_time_to_its_first_token() -> None:
    """It comes whole: held against a candidate that streams, it would look slow by the length of its replies."""
    path, lost = trajectory(step(attempt(answer=says("x")))), Loss(kind="stream", where="stream", what="asked whole")
    streamed, translated = measure(run(), path), measure(run(losses=(lost,)), path)
    assert (streamed.ttft_s, translated.ttft_s) == (0.2, None)
    assert streamed.model_call_s == translated.model_call_s
    row = score(bakeoff(["m"], ["t1"]), [run(losses=(lost,))], {"m/t1/0": path}).candidates[0]
    assert row.mean_ttft_s.unknown_because == "streams translated from another wire format arrive whole"
