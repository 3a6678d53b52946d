"""Why a run did not pass, with pointers to the evidence.

`RULES` at the end is the order; the first that matches wins. Evidence that was written before the end (the
supervisor's kill cause) comes before what has to be inferred from the end.

A refusal of the retry budget is policy even if an upstream's errors led to it: the budget is one of the
constraints under test, and calling it infrastructure would take those runs out of the success rate. The
evidence lists the statuses beneath.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from scoring.divergence import Divergence
from scoring.limits import (
    OOM_CODES,
    SUPERVISOR_KILLS,
    ended_badly,
    kill_evidence,
    killed_by,
    limit_hit,
)
from scoring.outcome import Outcome, unapplied_limits
from trajectory.runs import Frozen, Run
from trajectory.trajectory import AttemptView, Step, Trajectory

FaultClass = Literal["model", "policy", "timeout", "infra", "agent"]
"""agent: in an offline replay the model's answers are given, so that what differs is the agent's own code."""

UPSTREAM_STATUSES = frozenset({401, 402, 403, 404, 407, 408, 409, 425, 429})
"""Besides all of 5xx: the provider would not serve this account, model or rate. What it then says of the
request itself (400, 413, 422) is no infrastructure."""

_SIGKILL = 9


class Pointer(Frozen):
    """Where to look: a step (and its attempt), a field of the certificate, or a tool result that was served."""

    what: str
    step: int | None = None
    attempt: str | None = None


class Fault(Frozen):
    fault_class: FaultClass
    code: str
    evidence: tuple[Pointer, ...]

    @property
    def name(self) -> str:
        return f"{self.fault_class}.{self.code}"

    @property
    def is_oom(self) -> bool:
        return self.fault_class == "infra" and self.code in OOM_CODES

    @property
    def excuses_candidate(self) -> bool:
        """Infrastructure, but not memory: running out of the memory that production grants is the agent's own."""
        return self.fault_class == "infra" and not self.is_oom


def classify(run: Run, outcome: Outcome, trajectory: Trajectory | None) -> Fault | None:
    """None for a run that passed, and for an unknown one where nothing went wrong that we can see."""
    if outcome.label == "passed":
        return None
    for rule in RULES:
        fault = rule(run, outcome, trajectory)
        if fault is not None:
            return fault
    return None


def stopped_early(fault: Fault | None, divergence: Divergence | None) -> Fault | None:
    """A wrong result of a run that went the reference's way and then ended while that went on is one of its own kind.

    What was missing stands in the evidence; any other fault comes back as it is.
    """
    if fault is None or fault.code != "wrong" or divergence is None:
        return fault
    if divergence.differs != "ended" or divergence.step is not None:
        return fault
    done = divergence.at_call - 1
    what = f"ended after call {done} of the reference path, which goes on with {divergence.there}"
    return _fault(fault.fault_class, "stopped_early", Pointer(what=what), *fault.evidence)


def refusals(trajectory: Trajectory | None) -> Iterator[tuple[Step, AttemptView, str]]:
    """Each policy decision that stopped something: step, attempt and machine code, repeated by its count."""
    for step in trajectory.steps if trajectory else ():
        for attempt in step.attempts:
            for note in attempt.verdicts:
                if note.action in ("refuse", "cut"):
                    for _ in range(note.count):
                        yield step, attempt, note.code


def _killed(run: Run, outcome: Outcome, trajectory: Trajectory | None) -> Fault | None:
    cause = run.certificate.kill_cause
    if cause is None:
        return None
    fault_class, code = SUPERVISOR_KILLS[cause]
    return _fault(fault_class, code, Pointer(what=kill_evidence(run.certificate)))


def _over_limit(run: Run, outcome: Outcome, trajectory: Trajectory | None) -> Fault | None:
    hit = limit_hit(run.certificate)
    if hit is None:
        return None
    return _fault("infra" if hit.resource == "memory" else "timeout", hit.code, Pointer(what=hit.evidence))


def _harness(run: Run, outcome: Outcome, trajectory: Trajectory | None) -> Fault | None:
    if run.status == "harness_error":
        return _fault("infra", "harness", Pointer(what=f"run.status harness_error: {run.error or 'no message'}"))
    if not run.certificate.is_valid:
        return _fault("infra", "invalid_certificate", Pointer(what=f"certificate: {unapplied_limits(run.certificate)}"))
    return None


def _upstream(run: Run, outcome: Outcome, trajectory: Trajectory | None) -> Fault | None:
    step = _last_model_step(trajectory)
    if step is None or _stopped_by_policy(step.last):
        return None
    last = step.last
    is_infra = last.status is not None and (last.status >= 500 or last.status in UPSTREAM_STATUSES)
    is_broken = last.end == "cut" or (last.end == "failed" and last.status is None)
    if not (is_infra or is_broken):
        return None
    return _fault("infra", "upstream", *(_attempt_pointer(step, attempt) for attempt in step.attempts))


def _empty_completion(run: Run, outcome: Outcome, trajectory: Trajectory | None) -> Fault | None:
    step = _last_model_step(trajectory)
    if step is None or _stopped_by_policy(step.last):
        return None
    last = step.last
    if last.status != 200 or last.answer is None or not last.answer.is_empty:
        return None
    if last.answer.finish in ("refusal", "content_filter"):
        return None
    limit = dict(last.extra).get("max_tokens")
    what = (
        f"HTTP 200, no text, no tool call, finish reason {last.answer.finish or 'not given'}, "
        f"`max_tokens` {limit or 'not set in the request'}"
    )
    return _fault("infra", "empty_completion", Pointer(what=what, step=step.index, attempt=last.id))


def _sigkill(run: Run, outcome: Outcome, trajectory: Trajectory | None) -> Fault | None:
    if not killed_by(run.certificate, _SIGKILL):
        return None
    what = f"ended by SIGKILL (exit code {run.certificate.exit_code}); no limit of ours was near and nobody says who"
    return _fault("infra", "killed_unattributed", Pointer(what=what))


def _policy(run: Run, outcome: Outcome, trajectory: Trajectory | None) -> Fault | None:
    """Policy ended the run if it spoke in the last step, or in the last word that the agent got from its model."""
    if trajectory is None or not trajectory.steps:
        return None
    for step in _last_steps(trajectory):
        for note in step.last.verdicts:
            if note.action in ("refuse", "cut"):
                what = f"{note.action} by rule {note.rule}: {note.message or note.code}"
                pointer = Pointer(what=what, step=step.index, attempt=step.last.id)
                earlier = tuple(_attempt_pointer(step, attempt) for attempt in step.attempts[:-1])
                if note.code == "time_budget_exhausted":
                    return _fault("timeout", "budget", pointer, *earlier)
                return _fault("policy", note.code, pointer, *earlier)
    if not ended_badly(run.certificate):
        return None
    pointers = tuple(_refusal_pointers(trajectory))
    if not pointers:
        return None
    return _fault("policy", "suspected", _exit_pointer(run), *pointers)


def _crash(run: Run, outcome: Outcome, trajectory: Trajectory | None) -> Fault | None:
    if not ended_badly(run.certificate):
        return None
    last_line = run.certificate.stderr_tail.strip().rsplit("\n", 1)[-1]
    tail = (Pointer(what=f"certificate.stderr_tail: {last_line}"),) if last_line else ()
    return _fault(_under_test(run), "crash", _exit_pointer(run), *tail)


def _last_word(run: Run, outcome: Outcome, trajectory: Trajectory | None) -> Fault | None:
    """The model's last answer says itself why it stopped short, or the provider would not take the request."""
    step = _last_model_step(trajectory)
    if step is None or outcome.label != "failed":
        return None
    last = step.last
    pointer = _attempt_pointer(step, last)
    if last.status is not None and 400 <= last.status < 500:
        return _fault("model", "request_rejected", pointer)
    finish = last.answer.finish if last.answer else None
    if finish in ("refusal", "content_filter"):
        return _fault("model", "refusal", pointer)
    if finish == "length":
        return _fault("model", "truncated", pointer)
    return None


def _wrong(run: Run, outcome: Outcome, trajectory: Trajectory | None) -> Fault | None:
    if outcome.label != "failed":
        return None
    missing = sum(1 for served in run.served if served.fidelity == "missing")
    pointers = [Pointer(what=outcome.evidence)]
    if missing:
        what = f"{missing} of {len(run.served)} tool results were missing: the world had no answer"
        pointers.append(Pointer(what=what))
    pointers.extend(_refusal_pointers(trajectory))
    return _fault(_under_test(run), "wrong", *pointers)


def _under_test(run: Run) -> FaultClass:
    return "agent" if run.mode == "offline" else "model"


RULES: tuple[Callable[[Run, Outcome, Trajectory | None], Fault | None], ...] = (
    _killed,
    _over_limit,
    _harness,
    _upstream,
    _empty_completion,
    _sigkill,
    _policy,
    _crash,
    _last_word,
    _wrong,
)


def _fault(fault_class: FaultClass, code: str, *evidence: Pointer) -> Fault:
    return Fault(fault_class=fault_class, code=code, evidence=evidence)


def _last_model_step(trajectory: Trajectory | None) -> Step | None:
    for step in reversed(trajectory.steps if trajectory else ()):
        if step.kind == "model":
            return step
    return None


def _last_steps(trajectory: Trajectory) -> tuple[Step, ...]:
    last, model = trajectory.steps[-1], _last_model_step(trajectory)
    return (last,) if model is None or model is last else (last, model)


def _stopped_by_policy(attempt: AttemptView) -> bool:
    return attempt.end == "refused" or any(note.action in ("refuse", "cut") for note in attempt.verdicts)


def _attempt_pointer(step: Step, attempt: AttemptView) -> Pointer:
    said = f"HTTP {attempt.status}" if attempt.status is not None else "no reply"
    finish = f", finish reason {attempt.answer.finish}" if attempt.answer and attempt.answer.finish else ""
    error = f": {attempt.error}" if attempt.error else ""
    what = f"attempt {attempt.number} {attempt.end}, {said}{finish}{error}"
    return Pointer(what=what, step=step.index, attempt=attempt.id)


def _exit_pointer(run: Run) -> Pointer:
    certificate = run.certificate
    by = f"certificate.signal {certificate.signal}" if certificate.signal else ""
    code = f"certificate.exit_code {certificate.exit_code}" if certificate.exit_code is not None else ""
    return Pointer(what=", ".join(part for part in (code, by) if part))


def _refusal_pointers(trajectory: Trajectory | None) -> Iterator[Pointer]:
    seen: dict[tuple[int, str], Pointer] = {}
    for step, attempt, code in refusals(trajectory):
        pointer = Pointer(what=f"refused earlier: {code}", step=step.index, attempt=attempt.id)
        seen.setdefault((step.index, code), pointer)
    return iter(seen.values())
