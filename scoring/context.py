"""How the context of a run grows: prompt tokens of each model step, what of it was sent before, what tools put into it.

Prompt tokens are the provider's count; where it gave none they are unknown, never estimated from a text's length. What
a prompt is made of no provider says: the shares are of characters of the recorded messages (texts, tool results, names
and arguments of calls; without tool definitions, and without images and signed reasoning, which cannot be read).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from scoring.estimates import Estimate, mean, ratio, unknown
from trajectory.conversation import Message, Text, ToolCall, ToolResult
from trajectory.runs import Frozen
from trajectory.trajectory import Step, Trajectory

MAX_STEPS = 80
"""Model steps that a pooled curve shows."""

Conversations = Sequence[Sequence[Message]]
"""The messages of each request of a run that could be read, in order."""


class Makeup(Frozen):
    """Characters over all requests of a run: all of them, those that an earlier request had carried, tool results."""

    characters: int
    resent: int
    tool_results: int


class ContextUse(Frozen):
    """One run. `prompt_tokens` by model step, None where the provider gave no usage.

    `growth_per_step` is the slope of the least squares line through them, in tokens a step; None below two of them.
    """

    prompt_tokens: tuple[int | None, ...]
    cached_tokens: int | None
    growth_per_step: float | None
    makeup: Makeup | None = None


class CurvePoint(Frozen):
    """Mean prompt tokens at a step, over the runs that got so far and whose provider counted."""

    step: int
    prompt_tokens: Estimate


class ContextPool(Frozen):
    """A candidate's runs. `cached_share` is of prompt tokens, the other shares of characters."""

    curve: tuple[CurvePoint, ...]
    growth_per_step: Estimate
    mean_largest: Estimate
    cached_share: Estimate
    resent_share: Estimate
    tool_result_share: Estimate


def context_use(trajectory: Trajectory, conversations: Conversations | None = None) -> ContextUse | None:
    """None where no model step was recorded."""
    steps = trajectory.model_steps
    if not steps:
        return None
    tokens = tuple(_prompt_tokens(step) for step in steps)
    cached = [_cached_tokens(step) for step in steps]
    known = [count for count in cached if count is not None]
    return ContextUse(
        prompt_tokens=tokens,
        cached_tokens=sum(known) if len(known) == len(cached) else None,
        growth_per_step=slope(tokens),
        makeup=makeup_of(conversations) if conversations else None,
    )


def makeup_of(conversations: Conversations) -> Makeup:
    """A message counts as sent before as often as one earlier request carried it."""
    seen: Counter[Message] = Counter()
    total = resent = results = 0
    for messages in conversations:
        now = Counter(messages)
        for message, times in now.items():
            size = _characters(message)
            total += size * times
            resent += size * min(times, seen[message])
            results += times * sum(len(part.text) for part in message.parts if isinstance(part, ToolResult))
        seen |= now
    return Makeup(characters=total, resent=resent, tool_results=results)


def slope(values: Sequence[float | None]) -> float | None:
    """Of the least squares line through (place, value), unknown values left out. None below two known ones."""
    points = [(at, value) for at, value in enumerate(values) if value is not None]
    n = len(points)
    if n < 2:
        return None
    middle, level = sum(at for at, _ in points) / n, math.fsum(value for _, value in points) / n
    across = math.fsum((at - middle) * (value - level) for at, value in points)
    return across / math.fsum((at - middle) ** 2 for at, _ in points)


def pool_context(runs: Sequence[tuple[str, ContextUse]]) -> ContextPool:
    """`runs` are (task, use) of the runs with a model step."""

    def over(measure: Callable[[ContextUse], float | None]) -> Estimate:
        known = [(task, value) for task, use in runs if (value := measure(use)) is not None]
        return mean([value for _, value in known], [task for task, _ in known])

    made = [(task, use.makeup) for task, use in runs if use.makeup]
    tasks, characters = [task for task, _ in made], [one.characters for _, one in made]
    cached = [(task, use.cached_tokens, _total(use)) for task, use in runs if use.cached_tokens is not None]
    priced = [(task, some, whole) for task, some, whole in cached if whole]
    unread = unknown("no request body could be read")
    return ContextPool(
        curve=_curve(runs),
        growth_per_step=_growth(runs),
        mean_largest=over(lambda use: max((count for count in use.prompt_tokens if count is not None), default=None)),
        cached_share=ratio([s for _, s, _ in priced], [w for *_, w in priced], [task for task, *_ in priced], most=1)
        if priced
        else unknown("no provider said how many tokens it had cached"),
        resent_share=ratio([one.resent for _, one in made], characters, tasks, most=1) if made else unread,
        tool_result_share=ratio([one.tool_results for _, one in made], characters, tasks, most=1) if made else unread,
    )


def _curve(runs: Sequence[tuple[str, ContextUse]]) -> tuple[CurvePoint, ...]:
    longest = min(MAX_STEPS, max((len(use.prompt_tokens) for _, use in runs), default=0))
    points = []
    for at in range(longest):
        known = [
            (task, float(count))
            for task, use in runs
            if at < len(use.prompt_tokens) and (count := use.prompt_tokens[at]) is not None
        ]
        if known:
            tokens = mean([count for _, count in known], [task for task, _ in known])
            points.append(CurvePoint(step=at + 1, prompt_tokens=tokens))
    return tuple(points)


def _growth(runs: Sequence[tuple[str, ContextUse]]) -> Estimate:
    """A mean that may be negative: a context that is compacted shrinks."""
    known = [(task, use.growth_per_step) for task, use in runs if use.growth_per_step is not None]
    if not known:
        return unknown("no run has two model steps with usage")
    return mean([value for _, value in known], [task for task, _ in known], least=-math.inf)


def _prompt_tokens(step: Step) -> int | None:
    answer = step.last.answer
    return answer.usage.input_tokens if answer and answer.usage else None


def _cached_tokens(step: Step) -> int | None:
    answer = step.last.answer
    return answer.usage.cache_read_tokens if answer and answer.usage else None


def _total(use: ContextUse) -> int | None:
    known = [count for count in use.prompt_tokens if count is not None]
    return sum(known) if len(known) == len(use.prompt_tokens) else None


def _characters(message: Message) -> int:
    total = 0
    for part in message.parts:
        if isinstance(part, Text | ToolResult):
            total += len(part.text)
        elif isinstance(part, ToolCall):
            total += len(part.name) + len(part.arguments)
    return total
