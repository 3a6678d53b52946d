"""Whether a run did what its task asked: the task's own checks, each with its evidence.

A command check finds the run as JSON in the file IRONCAGE_RUN_FILE: `task, trial, seed, mode, candidate{name,
upstream, model}, trajectory (id), answer, stdout, exit_code, signal, kill_cause, served[], steps[]`; a step has
`index, kind, upstream, host, method, path, model, status, end, error, retries, answer{text, calls[], finish},
tool{name, arguments, is_error}, verdicts[]`. Texts of steps are as recorded (masked where redaction is on); `answer`
is the last thing the model said if that proposed no tool call, else stdout; `stdout` is what the agent printed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replay.cage.contract import Cage, CageSpec
from replay.matching import canonical_arguments
from replay.task import Check, CommandCheck, ExpectedAnswer, RecordedLabel, Task
from trajectory.errors import CageError
from trajectory.runs import Candidate, Certificate, CheckResult, Limits, Served
from trajectory.trajectory import Step, Trajectory

_EVIDENCE_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that is over, as its checks see it. `trajectory` is None if nothing was recorded of it."""

    task: Task
    candidate: Candidate
    trial: int
    seed: int
    trajectory: Trajectory | None
    certificate: Certificate
    cwd: Path | None = None
    """Where the agent worked; None where there is no such folder any more."""
    said: str | None = None
    """The final answer as the model gave it."""
    stdout: str = ""
    stdout_truncated: bool = False
    served: tuple[Served, ...] = ()

    @property
    def answer(self) -> str | None:
        return self.said or self.stdout.strip() or None


def last_said(trajectory: Trajectory | None) -> str | None:
    """The text of the last model reply; None if there is none, or if it proposed a tool call (so was no answer)."""
    steps = trajectory.model_steps if trajectory else ()
    reply = steps[-1].last.answer if steps else None
    return reply.text if reply is not None and not reply.calls and reply.text.strip() else None


async def run_checks(finished: Finished, cage: Cage, env: Mapping[str, str]) -> tuple[CheckResult, ...]:
    """All checks of the task but its recorded label, which says something of the recorded run only.

    `env` is the environment of command checks, which run in `cage` with their own time limit.
    """
    results: list[CheckResult] = []
    for check in finished.task.checks:
        result = await _run_check(check, finished, cage, env)
        if result is not None:
            results.append(result)
    return tuple(results)


async def _run_check(check: Check, finished: Finished, cage: Cage, env: Mapping[str, str]) -> CheckResult | None:
    if isinstance(check, RecordedLabel):
        return None
    if isinstance(check, ExpectedAnswer):
        return compare_answer(check, finished)
    return await _run_command(check, finished, cage, env)


def label_result(label: RecordedLabel) -> CheckResult:
    evidence = f"recorded label: {label.label}" + (f" ({label.evidence})" if label.evidence else "")
    return CheckResult(kind="label", passed=label.label == "passed", evidence=evidence)


def compare_answer(check: ExpectedAnswer, finished: Finished) -> CheckResult:
    """Passed if what the model said last, or else what the agent printed, is the expected answer."""
    answers = [text for text in (finished.said, finished.stdout) if text and text.strip()]
    given = next((text for text in answers if _is_expected(check, text)), None)
    if given is not None:
        evidence = f"the answer is as expected ({check.match}): {_short(given)}"
        return CheckResult(kind="expected_answer", passed=True, evidence=evidence)
    if not answers:
        return CheckResult(kind="expected_answer", passed=False, evidence="there is no answer")
    if finished.stdout_truncated and not finished.said:
        evidence = "stdout was too long to keep whole, so that the answer may be missing from it"
        return CheckResult(kind="expected_answer", passed=None, evidence=evidence)
    evidence = f"expected ({check.match}) {_short(check.answer)}, got {_short(answers[0])}"
    return CheckResult(kind="expected_answer", passed=False, evidence=evidence)


def _is_expected(check: ExpectedAnswer, text: str) -> bool:
    if check.match == "json":
        expected = canonical_arguments(check.answer)
        return expected is not None and canonical_arguments(text) == expected
    given, expected = " ".join(text.split()), " ".join(check.answer.split())
    return expected in given if check.match == "contains" else given == expected


async def _run_command(check: CommandCheck, finished: Finished, cage: Cage, env: Mapping[str, str]) -> CheckResult:
    with tempfile.TemporaryDirectory(prefix="ironcage-check-") as folder:
        file = Path(folder, "run.json")
        await asyncio.to_thread(_write_private, file, json.dumps(run_document(finished)))
        spec = CageSpec(
            argv=check.command,
            cwd=finished.cwd or Path(folder),
            env={
                **env,
                "IRONCAGE_RUN_FILE": str(file),
                "IRONCAGE_TASK": finished.task.id,
                "IRONCAGE_CANDIDATE": finished.candidate.name,
                "IRONCAGE_CANDIDATE_MODEL": finished.candidate.model,
            },
            limits=Limits(wall_s=check.timeout_s),
        )
        try:
            result = await cage.run(spec)
        except CageError as error:
            return CheckResult(kind="command", passed=None, evidence=f"the check could not be run: {error}")
    certificate = result.certificate
    said = "\n".join(part.strip() for part in (result.stdout, certificate.stderr_tail) if part.strip())
    passed = {0: True, 1: False}.get(-1 if certificate.exit_code is None else certificate.exit_code)
    if certificate.kill_cause is not None:
        ended = f"ended for {certificate.kill_cause}: {certificate.kill_evidence}"
        passed = None
    elif certificate.exit_code is None:
        ended = f"ended by signal {certificate.signal}"
    else:
        ended = f"exit code {certificate.exit_code}"
    evidence = f"{os.path.basename(check.command[0])}: {ended}"  # noqa: PTH119 (a name, not a path of this machine)
    return CheckResult(kind="command", passed=passed, evidence=f"{evidence}; {_short(said)}" if said else evidence)


def _write_private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")


def run_document(finished: Finished) -> dict[str, Any]:
    """What IRONCAGE_RUN_FILE holds."""
    certificate, trajectory = finished.certificate, finished.trajectory
    return {
        "task": finished.task.id,
        "trial": finished.trial,
        "seed": finished.seed,
        "mode": finished.task.mode,
        "candidate": finished.candidate.model_dump(),
        "trajectory": trajectory.id if trajectory else None,
        "answer": finished.answer,
        "stdout": finished.stdout,
        "exit_code": certificate.exit_code,
        "signal": certificate.signal,
        "kill_cause": certificate.kill_cause,
        "served": [served.model_dump() for served in finished.served],
        "steps": _steps(trajectory.steps if trajectory else ()),
    }


def _steps(steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [
        {
            "index": step.index,
            "kind": step.kind,
            "upstream": step.upstream,
            "host": step.host,
            "method": step.method,
            "path": step.path,
            "model": step.model,
            "status": step.last.status,
            "end": step.last.end,
            "error": step.last.error,
            "retries": step.retries,
            "answer": dataclasses.asdict(step.last.answer) if step.last.answer else None,
            "tool": dataclasses.asdict(step.last.tool) if step.last.tool else None,
            "verdicts": [dataclasses.asdict(note) for attempt in step.attempts for note in attempt.verdicts],
        }
        for step in steps
    ]


def _short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _EVIDENCE_CHARS else "…" + text[-_EVIDENCE_CHARS:]
