from __future__ import annotations

from typing import Any

import pytest

from scoring.divergence import Divergence, diverge
from scoring.faults import Fault, Pointer, classify, stopped_early
from scoring.outcome import decide
from scoring.paths import Call, Path
from tests.support.scored_runs import attempt, calls, certificate, refuse, run, says, step, tool_step, trajectory
from trajectory.conversation import Reply
from trajectory.record import VerdictNote
from trajectory.runs import Limits, Served
from trajectory.trajectory import Trajectory

LIMITS = Limits(memory_mb=512, cpu_s=30, wall_s=60)
EMPTY = Reply(finish="length")


def fault_of(path: Trajectory | None = None, passed: bool | None = False, **fields: Any) -> Fault | None:
    one = run(passed, **fields)
    return classify(one, decide(one), path)


def name_of(path: Trajectory | None = None, passed: bool | None = False, **fields: Any) -> str:
    fault = fault_of(path, passed, **fields)
    assert fault is not None
    assert fault.evidence
    assert all(pointer.what for pointer in fault.evidence)
    return fault.name


@pytest.mark.parametrize(
    ("cause", "name"),
    [
        ("memory", "infra.oom"),
        ("cpu_time", "timeout.cpu"),
        ("wall_time", "timeout.wall"),
        ("egress_budget", "policy.egress_budget_exhausted"),
        ("retry_budget", "policy.retry_budget_exhausted"),
        ("cancelled", "infra.cancelled"),
    ],
)
def test_a_kill_by_the_supervisor_is_named_by_its_cause(cause: Any, name: str) -> None:
    killed = certificate(LIMITS, kill_cause=cause, kill_evidence="written before the kill", signal=9)
    path = trajectory(step(attempt(500)))
    assert name_of(path, certificate=killed) == name
    assert "written before the kill" in fault_of(certificate=killed).evidence[0].what  # type: ignore[union-attr]


def test_a_passed_run_has_no_fault_though_it_went_over_its_limit() -> None:
    over = certificate(LIMITS, largest_process_mb=600.0, exit_code=0)
    assert fault_of(passed=True, certificate=over) is None


def test_a_peak_over_the_limit_is_oom_afterwards_even_with_exit_code_0() -> None:
    over = certificate(LIMITS, largest_process_mb=600.0, exit_code=0)
    assert name_of(certificate=over) == "infra.oom_posthoc"


def test_oom_does_not_excuse_the_candidate_and_a_dead_harness_does() -> None:
    oom = fault_of(certificate=certificate(LIMITS, kill_cause="memory"))
    dead = fault_of(status="harness_error", error="supervisor lost")
    assert oom is not None
    assert oom.is_oom
    assert not oom.excuses_candidate
    assert dead is not None
    assert dead.name == "infra.harness"
    assert dead.excuses_candidate


def test_limits_that_were_not_applied_are_infrastructure() -> None:
    assert name_of(certificate=certificate(LIMITS, applied=Limits())) == "infra.invalid_certificate"


@pytest.mark.parametrize("status", [429, 500, 503, 529, 401, 404])
def test_an_upstream_error_that_ended_the_run_is_infrastructure_with_every_attempt(status: int) -> None:
    path = trajectory(
        step(attempt(answer=says("one")), index=0), step(attempt(status), attempt(status, number=2), index=1)
    )
    fault = fault_of(path, certificate=certificate(exit_code=1))
    assert fault is not None
    assert fault.name == "infra.upstream"
    assert [(p.step, p.attempt) for p in fault.evidence] == [(1, "attempt-1"), (1, "attempt-2")]
    assert f"HTTP {status}" in fault.evidence[0].what


@pytest.mark.parametrize(
    "last",
    [attempt(None, end="failed", error="connection refused"), attempt(200, end="cut", error="reset by peer")],
    ids=["refused", "cut"],
)
def test_a_connection_that_broke_at_the_end_is_infrastructure(last: Any) -> None:
    fault = fault_of(trajectory(step(last)))
    assert fault is not None
    assert fault.name == "infra.upstream"
    assert last.error in fault.evidence[0].what


def test_an_upstream_error_that_a_retry_overcame_is_not_the_reason() -> None:
    path = trajectory(step(attempt(500), attempt(answer=says("done"), number=2)))
    assert name_of(path) == "model.wrong"


def test_a_request_that_the_provider_rejects_is_not_infrastructure() -> None:
    assert name_of(trajectory(step(attempt(400, error="context too long")))) == "model.request_rejected"


def test_an_empty_completion_quotes_all_its_evidence() -> None:
    path = trajectory(step(attempt(answer=EMPTY, extra=(("max_tokens", "1024"),))))
    fault = fault_of(path)
    assert fault is not None
    assert fault.name == "infra.empty_completion"
    assert fault.evidence[0].what == "HTTP 200, no text, no tool call, finish reason length, `max_tokens` 1024"
    assert (fault.evidence[0].step, fault.evidence[0].attempt) == (0, "attempt-1")


def test_an_empty_completion_without_a_token_limit_says_so() -> None:
    fault = fault_of(trajectory(step(attempt(answer=Reply()))))
    assert fault is not None
    assert fault.evidence[0].what.endswith("finish reason not given, `max_tokens` not set in the request")


def test_an_unread_answer_is_not_called_empty() -> None:
    assert name_of(trajectory(step(attempt(answer=None)))) == "model.wrong"


@pytest.mark.parametrize("fields", [{"signal": 9}, {"exit_code": 137}, {"exit_code": -9}])
def test_sigkill_without_evidence_is_nobodys(fields: dict[str, int]) -> None:
    assert name_of(certificate=certificate(**fields)) == "infra.killed_unattributed"


def test_a_refusal_that_ended_the_run_is_policy_with_its_code_and_place() -> None:
    path = trajectory(
        step(attempt(429), attempt(429, number=2), attempt(400, end="refused", number=3, verdicts=[_spent()]))
    )
    fault = fault_of(path, certificate=certificate(exit_code=1))
    assert fault is not None
    assert fault.name == "policy.retry_budget_exhausted"
    assert [p.attempt for p in fault.evidence] == ["attempt-3", "attempt-1", "attempt-2"]
    assert "HTTP 429" in fault.evidence[1].what


def test_a_tool_call_refused_in_the_last_answer_is_policy() -> None:
    path = trajectory(step(attempt(answer=calls("shell_exec"), verdicts=[refuse()])), tool_step("file_read", index=1))
    assert name_of(path) == "policy.tool_not_allowed"


def test_a_stream_that_policy_cut_is_policy_not_upstream() -> None:
    cut = VerdictNote(action="cut", rule="egress", code="egress_budget_exhausted", message="over 100 MB")
    assert name_of(trajectory(step(attempt(200, end="cut", verdicts=[cut])))) == "policy.egress_budget_exhausted"


def test_a_spent_time_budget_is_a_timeout() -> None:
    last = attempt(400, end="refused", verdicts=[refuse("time_budget_exhausted")])
    assert name_of(trajectory(step(last))) == "timeout.budget"


def test_a_crash_after_an_earlier_refusal_is_suspected_policy() -> None:
    path = trajectory(step(attempt(answer=calls("x"), verdicts=[refuse()])), step(attempt(answer=says("ok")), index=1))
    fault = fault_of(path, certificate=certificate(exit_code=1))
    assert fault is not None
    assert fault.name == "policy.suspected"
    assert "certificate.exit_code 1" in fault.evidence[0].what
    assert fault.evidence[1].step == 0


def test_a_wrong_answer_after_an_earlier_refusal_is_the_models_and_keeps_the_refusal() -> None:
    path = trajectory(step(attempt(answer=calls("x"), verdicts=[refuse()])), step(attempt(answer=says("ok")), index=1))
    fault = fault_of(path)
    assert fault is not None
    assert fault.name == "model.wrong"
    assert fault.evidence[1].what == "refused earlier: tool_not_allowed"


def test_a_crash_quotes_exit_code_and_last_line() -> None:
    fault = fault_of(certificate=certificate(exit_code=3, stderr_tail="a\nKeyError: 'order'\n"))
    assert fault is not None
    assert fault.name == "model.crash"
    assert [p.what for p in fault.evidence] == [
        "certificate.exit_code 3",
        "certificate.stderr_tail: KeyError: 'order'",
    ]


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (says("I cannot", "refusal"), "model.refusal"),
        (Reply(finish="content_filter"), "model.refusal"),
        (says("and then", "length"), "model.truncated"),
        (says("42"), "model.wrong"),
    ],
)
def test_the_last_answer_says_how_the_model_failed(answer: Reply, name: str) -> None:
    assert name_of(trajectory(step(attempt(answer=answer)))) == name


def test_a_wrong_answer_tells_of_results_that_the_tape_lacked() -> None:
    served = (
        Served(tool="a", arguments="{}", fidelity="exact"),
        Served(tool="b", arguments="{}", fidelity="missing"),
    )
    fault = fault_of(served=served)
    assert fault is not None
    assert fault.evidence[1].what == "1 of 2 tool results were missing: the world had no answer"


def test_an_unknown_outcome_with_evidence_is_classified_and_without_is_not() -> None:
    assert name_of(passed=None, certificate=certificate(LIMITS, kill_cause="wall_time")) == "timeout.wall"
    assert fault_of(passed=None) is None


def _spent() -> VerdictNote:
    return VerdictNote(
        action="refuse", rule="retries", code="retry_budget_exhausted", message="3 of 3 retries are used"
    )


# --- the reference's way, and not to its end


def parted(here: list[str], there: list[str]) -> Divergence:
    run, reference = (
        Path(tuple(Call(tool, step=at) for at, tool in enumerate(tools)), None) for tools in (here, there)
    )
    return diverge(run, reference)


WRONG = Fault(fault_class="model", code="wrong", evidence=(Pointer(what="expected 3, got 2"),))


def test_run_that_leaves_off_on_the_reference_s_way_stopped_early() -> None:
    fault = stopped_early(WRONG, parted(["total"], ["total", "total"]))
    assert fault is not None
    assert fault.name == "model.stopped_early"
    assert "after call 1 of the reference path" in fault.evidence[0].what
    assert fault.evidence[1:] == WRONG.evidence


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (["total", "total"], ["total", "total"]),  # all of it, and wrong
        (["total", "total", "total"], ["total", "total"]),  # more than it
        (["load", "total"], ["total", "total", "total"]),  # another way
    ],
)
def test_other_wrong_results_stay_wrong(here: list[str], there: list[str]) -> None:
    assert stopped_early(WRONG, parted(here, there)) == WRONG


def test_without_a_reference_nothing_is_said_of_the_way() -> None:
    assert stopped_early(WRONG, None) == WRONG
    assert stopped_early(None, parted(["a"], ["a", "b"])) is None
