"""The context limit: how large the prompt of one model call may be.

It guards cost and quality, not safety, so it goes by the best estimate: a bound would refuse at a quarter of the limit
what nobody has counted yet, and what is surely above it would let through four times as much. From the second call of
a trajectory on, the provider's own count of the last prompt leaves only what is new to be estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from policies.ledger import Ledger
from policies.quoting import shown
from policies.tokens import likely_tokens, prompt_of
from policies.verdict import ALLOW, Refuse, Verdict
from trajectory.events import Event, ModelAsked


@dataclass(frozen=True, slots=True)
class ContextLimit:
    """Up to `limit_tokens` in the prompt of each model call. Requests that only count tokens are not judged."""

    limit_tokens: int
    on_exhausted: Literal["refuse", "final_message"] = "refuse"
    name: ClassVar[str] = "context_limit"
    reads_sizes: ClassVar[bool] = True
    events: ClassVar[frozenset[type[Event]]] = frozenset({ModelAsked})

    def judge(self, event: Event, ledger: Ledger) -> Verdict:
        if not isinstance(event, ModelAsked) or event.counts:
            return ALLOW
        prompt = prompt_of(event)
        size = likely_tokens(prompt)
        if size <= self.limit_tokens:
            return ALLOW
        known = f"{prompt.tokens} of them as the provider counted" if prompt.tokens else "none counted yet"
        return Refuse(
            code="context_budget_exhausted",
            rule=self.name,
            message=(
                f"The prompt is too large: about {size} tokens ({known}), and {self.limit_tokens} are allowed "
                f"(constraints.context_limit_tokens). Fewer or shorter messages are still allowed: leave out or "
                f"summarise about {size - self.limit_tokens} tokens of the conversation, or begin a new one."
            ),
            subject=shown(event.model),
            ending="error" if self.on_exhausted == "refuse" else "final_message",
        )
