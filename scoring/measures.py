"""What one run used, its sub-agents included: memory, calls, retries, tokens, time, refusals. Unknown is None, not 0.

An operation is one call as the agent meant it, an attempt one exchange made for it: calls are counted by
operation, retries and wasted work by attempt, tokens over all attempts that were answered.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pydantic import Field

from scoring.faults import refusals
from trajectory.runs import Certificate, Frozen, Loss, Run
from trajectory.trajectory import Step, Trajectory


class Measures(Frozen):
    """Times in seconds.

    `memory_share` is the peak over the limit that was asked for. `model_call_s` is the mean time of a model operation
    with all its attempts, `ttft_s` that to the first byte of its last attempt; None where a stream was translated from
    another wire format, since its first byte then waits for the whole reply.
    """

    peak_memory_mb: float | None = None
    memory_share: float | None = None
    cpu_s: float | None = None
    tool_calls: int | None = None
    operations: int | None = None
    attempts: int | None = None
    retries: int | None = None
    failed_attempts: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    ttft_s: float | None = None
    model_call_s: float | None = None
    refusals: dict[str, int] = Field(default_factory=dict)


def measure(run: Run, trajectory: Trajectory | None) -> Measures:
    memory, cpu = peak_memory_mb(run.certificate), run.certificate.cpu_s
    limit = run.certificate.asked.memory_mb
    share = memory / limit if memory is not None and limit else None
    if trajectory is None:
        return Measures(peak_memory_mb=memory, memory_share=share, cpu_s=cpu)
    models = trajectory.model_steps
    attempts = [attempt for step in trajectory.steps for attempt in step.attempts]
    first_bytes = [s.last.first_byte_s for s in models if s.last.first_byte_s is not None]
    calls = [math.fsum(a.total_s for a in s.attempts) for s in models]
    tokens = _tokens(models)
    return Measures(
        peak_memory_mb=memory,
        memory_share=share,
        cpu_s=cpu,
        tool_calls=tool_calls(run, trajectory),
        operations=len(trajectory.steps),
        attempts=len(attempts),
        retries=trajectory.retries,
        failed_attempts=sum(1 for attempt in attempts if attempt.end != "complete"),
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        ttft_s=math.fsum(first_bytes) / len(first_bytes) if first_bytes and not came_whole(run.losses) else None,
        model_call_s=math.fsum(calls) / len(calls) if calls else None,
        refusals=dict(sorted(Counter(code for _, _, code in refusals(trajectory)).items())),
    )


def with_sub_agents(main: Trajectory, sub_agents: Sequence[Trajectory]) -> Trajectory:
    """The main trajectory with the steps of the others among its own, in the order in which they began."""
    if not sub_agents:
        return main
    steps = [step for one in (main, *sub_agents) for step in one.steps]
    return replace(main, steps=tuple(sorted(steps, key=lambda step: step.attempts[0].started_at)))


def came_whole(losses: Iterable[Loss]) -> bool:
    """Whether the streams of a run were translated from another wire format, and so arrived in one piece."""
    return any(loss.kind == "stream" for loss in losses)


def peak_memory_mb(certificate: Certificate) -> float | None:
    """The larger of the sampled tree and the largest single process: each misses peaks that the other sees."""
    known = [p for p in (certificate.peak_memory_mb, certificate.largest_process_mb) if p is not None]
    return max(known, default=None)


def tool_calls(run: Run, trajectory: Trajectory) -> int:
    """Executed tool calls: those that the model proposed and policy did not refuse; a retry is no new call.

    Three views see the same calls, and each may be blind: a model that writes its calls as text proposes none,
    a tool inside the agent's process crosses no wire, a live tool is not served from a tape. So the largest
    of the three counts.
    """
    proposed = sum(_proposed(step) for step in trajectory.model_steps)
    crossed = sum(1 for step in trajectory.steps if _is_tool(step) and step.last.end != "refused")
    return max(proposed, crossed, len(run.served))


def _is_tool(step: Step) -> bool:
    return step.kind == "tool" or (step.kind == "web" and step.last.tool is not None)


def _proposed(step: Step) -> int:
    """Calls in the answer that the agent got, without those that policy took out of it."""
    answer = step.last.answer
    if answer is None or not answer.calls:
        return 0
    if not step.last.verdicts:
        return len(answer.calls)
    names = Counter(call.name for call in answer.calls)
    for note in step.last.verdicts:
        if note.action == "refuse" and names[note.subject] > 0:
            names[note.subject] -= min(note.count, names[note.subject])
    return names.total()


def _tokens(models: tuple[Step, ...]) -> tuple[int | None, int | None]:
    """Input and output tokens of all answered attempts; None if one of them does not say."""
    usages = [
        attempt.answer.usage if attempt.answer else None
        for step in models
        for attempt in step.attempts
        if attempt.end == "complete"
    ]
    if not usages:
        return None, None
    inputs = [usage.input_tokens if usage else None for usage in usages]
    outputs = [usage.output_tokens if usage else None for usage in usages]
    return _total(inputs), _total(outputs)


def _total(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
