"""Teacher forcing: each recorded context once to a candidate, its next action beside the recorded one.

The candidate sees the true context at every step, whatever it would have done before. What it proposes comes through
the gateway, so that policy judges it, and nobody executes it. This tells where a model leaves the recorded path, not
whether it would have finished the task.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from replay.matching import canonical_arguments
from trajectory.conversation import Reply
from trajectory.errors import CageError
from trajectory.prices import cost_usd
from trajectory.record import Attempt
from trajectory.runs import Action, StepResult
from trajectory.store import Store
from trajectory.trajectory import AttemptView, Step, Trajectory

AskStep = Callable[[Step, bytes], Awaitable[int]]
"""Sends a recorded request once more, to the candidate; the status of the reply."""
Pause = Callable[[float], Awaitable[None]]
_RETRIES = 2
_FIRST_PAUSE_S = 0.5
_RETRIED = frozenset({408, 409, 429})


@dataclass(frozen=True, slots=True)
class Context:
    """A recorded model step and the request that it began with: all that the model knew when it acted."""

    step: Step
    body: bytes


@dataclass(frozen=True, slots=True)
class Contexts:
    """`left_out` is a sentence for each kind of recorded step that gives no context."""

    contexts: tuple[Context, ...]
    left_out: tuple[str, ...] = ()


def contexts_of(store: Store, trajectory: str, from_step: int = 1) -> Contexts:
    """Those of the recorded model steps that were answered, from the `from_step`-th on, counted from 1. StoreError if
    there is no such trajectory.
    """
    found: list[Context] = []
    without_answer = without_request = 0
    for step in store.trajectory(trajectory).model_steps[from_step - 1 :]:
        body = store.body(step.last.id, "request") if step.last.answer is not None else None
        if step.last.answer is None:
            without_answer += 1
        elif body is None:
            without_request += 1
        else:
            found.append(Context(step, body))
    left_out = []
    if without_answer:
        left_out.append(f"recorded steps without an answer, so not compared: {without_answer}")
    if without_request:
        left_out.append(f"recorded steps whose request is not in the store, so not compared: {without_request}")
    return Contexts(tuple(found), tuple(left_out))


class Teacher:
    """One stepwise run. Its fields tell how far it came, also after `run` was cancelled from outside."""

    def __init__(self, ask: AskStep, contexts: Sequence[Context], *, pause: Pause = asyncio.sleep) -> None:
        self._ask, self._contexts, self._pause = ask, contexts, pause
        self._attempts = 0
        self._last_of: list[int] = []
        """For each context that was sent: how many attempts had been made when its last one was over."""

    async def run(self) -> None:
        for context in self._contexts:
            await self._send(context)
            self._last_of.append(self._attempts)

    async def _send(self, context: Context) -> None:
        pause_s = _FIRST_PAUSE_S
        for left in range(_RETRIES, -1, -1):
            status = await self._ask(context.step, context.body)
            self._attempts += 1
            if not left or (status < 500 and status not in _RETRIED):
                return
            await self._pause(pause_s)
            pause_s *= 2

    def results(self, trajectory: Trajectory | None) -> tuple[StepResult, ...]:
        """`trajectory` is what was recorded of this run: its attempts are in the order in which they were asked for.

        CageError if some are missing, since then nobody can say which answer belongs to which context.
        """
        steps = trajectory.model_steps if trajectory else ()
        made = [Turn(attempt, step.model, step.host) for step in steps for attempt in step.attempts]
        made.sort(key=lambda turn: (turn.attempt.started_at, turn.attempt.id))
        if len(made) < self._attempts:
            raise CageError(f"{self._attempts} contexts were sent and {len(made)} exchanges recorded")
        recorded = [Turn(one.step.last, one.step.model, one.step.host) for one in self._contexts]
        return tuple(
            compare(context.step.index, turn, made[last - 1])
            for context, turn, last in zip(self._contexts, recorded, self._last_of, strict=False)
        )


@dataclass(frozen=True, slots=True)
class Turn:
    """One attempt at a model call, and the model that was asked, at its host."""

    attempt: AttemptView | Attempt
    model: str | None
    host: str

    @property
    def answer(self) -> Reply | None:
        return self.attempt.answer


def compare(step: int, recorded: Turn, candidate: Turn) -> StepResult:
    """The order of parallel calls means nothing; arguments are compared as JSON, text but for its white space."""
    result = StepResult(step=step, recorded=action_of(recorded), candidate=action_of(candidate), same_tools=None)
    if not (result.recorded.is_known and result.candidate.is_known):
        return result
    assert recorded.answer is not None
    assert candidate.answer is not None
    same_tools = Counter(result.recorded.tools) == Counter(result.candidate.tools)
    same: dict[str, bool] = {"same_tools": same_tools}
    if same_tools and result.recorded.tools:
        same["same_arguments"] = _called(recorded.answer) == _called(candidate.answer)
    elif same_tools:
        same["same_text"] = recorded.answer.text.split() == candidate.answer.text.split()
    return result.model_copy(update=same)


def action_of(turn: Turn) -> Action:
    attempt, answer = turn.attempt, turn.answer
    usage = answer.usage if answer is not None else None
    return Action(
        attempt=attempt.id,
        model=turn.model or "unknown",
        tools=tuple(call.name for call in answer.calls) if answer is not None else (),
        is_known=answer is not None and not answer.is_empty,
        error=_error(attempt),
        violations=tuple(note.code for note in attempt.verdicts if note.action in ("refuse", "cut")),
        input_tokens=usage.input_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
        cost_usd=cost_usd(usage, turn.model, turn.host, attempt.started_at) if usage and turn.model else None,
        latency_s=attempt.total_s,
    )


def _called(answer: Reply) -> Counter[tuple[str, str]]:
    return Counter((call.name, canonical_arguments(call.arguments) or call.arguments) for call in answer.calls)


def _error(attempt: AttemptView | Attempt) -> str:
    if attempt.answer is not None:
        return "the answer is empty" if attempt.answer.is_empty else ""
    status = "no reply" if attempt.status is None else f"HTTP {attempt.status}"
    return f"{attempt.end}, {status}" + (f": {attempt.error}" if attempt.error else "")
