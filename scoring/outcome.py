"""Whether a run did what its task asked: passed, failed, or unknown, and what says so.

Rules, first match wins:
1. A run that the harness broke, or whose limits were not applied as asked, is not scored: unknown.
2. A run whose tool results fall short of the minimal fidelity is reported and not ranked: unknown, whatever its checks
   say. It has been judged by a world that was not the one in which the task was set.
3. A check that failed makes the run failed, whatever the others say.
4. All checks decided and passed: passed.
5. No check, or one that could not decide: unknown.

Whether a limit was hit is another axis (see scoring/limits.py): an agent may finish its work and then be killed.
"""

from __future__ import annotations

from typing import Literal

from scoring.fidelity.footing import ACCEPTED, footings, reaches, trusted_share
from trajectory.runs import Certificate, CheckResult, Frozen, Run

Label = Literal["passed", "failed", "unknown"]


class Outcome(Frozen):
    """`is_scored` is False where the run says nothing about the candidate, whatever its checks found."""

    label: Label
    evidence: str
    is_scored: bool = True
    is_below_min_fidelity: bool = False


def decide(run: Run) -> Outcome:
    if run.status == "harness_error":
        return Outcome(label="unknown", evidence=f"not scored: harness error: {_or(run.error)}", is_scored=False)
    if not run.certificate.is_valid:
        evidence = f"not scored: invalid certificate: {unapplied_limits(run.certificate)}"
        return Outcome(label="unknown", evidence=evidence, is_scored=False)
    if shortfall := _fidelity_shortfall(run):
        return Outcome(label="unknown", evidence=f"not ranked: {shortfall}", is_below_min_fidelity=True)
    return _checked(run)


def _checked(run: Run) -> Outcome:
    failed = [check for check in run.checks if check.passed is False]
    undecided = [check for check in run.checks if check.passed is None]
    if failed:
        return Outcome(label="failed", evidence=_quote(failed))
    if not run.checks:
        return Outcome(label="unknown", evidence="the task has no check")
    if undecided:
        return Outcome(label="unknown", evidence=f"undecided: {_quote(undecided)}")
    return Outcome(label="passed", evidence=_quote(run.checks))


def _fidelity_shortfall(run: Run) -> str:
    """Empty where no minimum was asked for, no tool result was served, or enough of them were faithful."""
    counts = footings(run.served)
    if run.min_fidelity is None or reaches(trusted_share(counts, "faithful"), run.min_fidelity):
        return ""
    faithful = sum(counts.get(footing, 0) for footing in ACCEPTED["faithful"])
    made_up = f", {counts['written']} written by a model" if "written" in counts else ""
    return (
        f"{faithful} of {len(run.served)} tool results are faithful, {100 * run.min_fidelity:g} % are asked for "
        f"({counts.get('missing', 0)} missing, {counts.get('stale', 0)} possibly stale{made_up})"
    )


def unapplied_limits(certificate: Certificate) -> str:
    """Each limit that was asked for and read back differently; empty for a valid certificate."""
    asked = certificate.asked.model_dump(exclude_none=True)
    applied = certificate.applied.model_dump()
    wrong = (
        f"{name} asked {value:g}, applied {'none' if applied[name] is None else format(applied[name], 'g')}"
        for name, value in asked.items()
        if applied[name] != value
    )
    return ", ".join(wrong)


def _quote(checks: list[CheckResult] | tuple[CheckResult, ...]) -> str:
    return "; ".join(f"{check.kind.replace('_', ' ')}: {_or(check.evidence)}" for check in checks)


def _or(text: str) -> str:
    return text.strip() or "no evidence given"
