from __future__ import annotations

import pytest

from scoring.outcome import decide
from tests.support.scored_runs import certificate, check, run
from trajectory.runs import CheckResult, Fidelity, Limits, Served


def test_all_decided_checks_passed_is_passed_with_their_evidence() -> None:
    label = CheckResult(kind="label", passed=True, evidence="marked by ann")
    outcome = decide(run(checks=(label, check(True))))
    assert outcome.label == "passed"
    assert outcome.evidence == "label: marked by ann; command: exit code 0"


@pytest.mark.parametrize("others", [(), (check(True),), (check(None),)])
def test_one_failed_check_fails_the_run_whatever_the_others_say(others: tuple[CheckResult, ...]) -> None:
    outcome = decide(run(checks=(*others, check(False, "exit code 1"))))
    assert outcome.label == "failed"
    assert outcome.evidence == "command: exit code 1"


def test_no_check_is_unknown_not_failed() -> None:
    assert decide(run(checks=())).label == "unknown"
    assert decide(run(checks=())).is_scored


def test_an_undecided_check_is_unknown_even_beside_one_that_passed() -> None:
    outcome = decide(run(checks=(check(True), check(None, "the file was gone"))))
    assert (outcome.label, outcome.evidence) == ("unknown", "undecided: command: the file was gone")


def test_a_harness_error_is_not_scored_though_its_checks_passed() -> None:
    outcome = decide(run(status="harness_error", error="supervisor lost"))
    assert (outcome.label, outcome.is_scored) == ("unknown", False)
    assert "supervisor lost" in outcome.evidence


def test_an_invalid_certificate_is_not_scored_and_says_which_limit() -> None:
    broken = certificate(Limits(memory_mb=512, cpu_s=30), applied=Limits(cpu_s=30))
    outcome = decide(run(certificate=broken))
    assert (outcome.label, outcome.is_scored) == ("unknown", False)
    assert outcome.evidence.endswith("memory_mb asked 512, applied none")


def served(*fidelities: Fidelity, stale: int = 0) -> tuple[Served, ...]:
    return tuple(
        Served(tool="look", arguments="{}", fidelity=one, may_be_stale=at < stale) for at, one in enumerate(fidelities)
    )


@pytest.mark.parametrize("passed", [True, False])
def test_run_below_the_minimal_fidelity_is_unknown_with_the_reason_whatever_its_checks_say(passed: bool) -> None:
    results = served("exact", "pooled", "simulated", "missing", stale=1)
    outcome = decide(run(passed, served=results, min_fidelity=0.75))
    assert (outcome.label, outcome.is_below_min_fidelity) == ("unknown", True)
    assert "2 of 4 tool results are faithful, 75 % are asked for (1 missing, 1 possibly stale)" in outcome.evidence


@pytest.mark.parametrize(
    ("results", "least"),
    [
        (served("exact", "simulated", "missing", "live", "exact", "exact", "exact", "missing", "live", "missing"), 0.7),
        (served("missing", "exact", stale=2), None),
        ((), 1.0),
    ],
)
def test_run_at_the_minimum_or_without_one_or_without_tool_results_is_decided_by_its_checks(
    results: tuple[Served, ...], least: float | None
) -> None:
    assert decide(run(True, served=results, min_fidelity=least)).label == "passed"
