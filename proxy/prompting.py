"""In a replay: another system prompt in place of an agent's own, before anything is judged, masked or recorded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.wire.layout import Layout
from proxy.wire.system_prompt import put_prompt, read_prompt
from trajectory.trajectory import Trajectory

_WORD = re.compile(r"\w+")
_ALIKE = 0.8


@dataclass(frozen=True, slots=True)
class PromptSwap:
    """`texts` are sent where the agent sends `recorded`, or what is like it but for a date or a path. Prompts of
    sub-agents and of side calls are other prompts, and stay.
    """

    recorded: tuple[str, ...]
    texts: tuple[str, ...]

    def put_into(self, wire: str, layout: Layout) -> bool:
        """Whether the request had that prompt, and has the other one now."""
        own = read_prompt(wire, layout)
        return is_alike(own, self.recorded) and put_prompt(wire, layout, self.texts)


def is_alike(one: Sequence[str], other: Sequence[str]) -> bool:
    """Equal, or at least 80 % of the words of both are common to them (Jaccard). Nothing is like an empty prompt."""
    if not any(one) or not any(other):
        return False
    if tuple(one) == tuple(other):
        return True
    here, there = (set(_WORD.findall(" ".join(texts))) for texts in (one, other))
    return bool(here | there) and len(here & there) >= _ALIKE * len(here | there)


def has_replaced_prompt(trajectory: Trajectory) -> bool:
    return any(("prompt", "replaced") in attempt.extra for step in trajectory.model_steps for attempt in step.attempts)
