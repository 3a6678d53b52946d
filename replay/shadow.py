"""Which live model operations are mirrored to candidates, and what may be spent on it. Pure: time comes in.

1. Whether an operation is mirrored depends on its id (or its trajectory's) and the share alone: it is the same on every
   worker and after a restart, and knows nothing of how loaded anything is.
2. Money is reserved before a request is sent, at the most that it can cost, and settled at what it did cost.
3. What cannot be taken is dropped and counted, never waited for: production does not know that there is a shadow.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from policies.prices import PriceList
from policies.spend import bound_of, most_usd
from proxy.prompt_size import prompt_size
from proxy.wire.choose import wire_at
from proxy.wire.counts import stated
from proxy.wire.layout import read_layout
from trajectory.conversation import Usage
from trajectory.errors import FormatError
from trajectory.events import ModelAsked, PromptSize
from trajectory.prices import cost_usd
from trajectory.record import Attempt
from trajectory.runs import Candidate, Frozen

ASSUMED_OUTPUT_TOKENS = 32_768
"""Most that an answer is taken to hold where its request does not limit it."""
_LIST_PRICES = PriceList({})


class ShadowSettings(BaseModel):
    """A sampled share of live model operations, sent to candidates beside production."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: tuple[str, ...] = Field(
        min_length=1, description="NAME=UPSTREAM/MODEL of each candidate, as in `bakeoff run --candidate`."
    )
    share: float = Field(default=0.05, gt=0, le=1, description="Share of what is sampled, between 0 and 1.")
    unit: Literal["operation", "trajectory"] = Field(
        default="operation",
        description="operation: single steps are sampled; trajectory: of a sampled trajectory each turn is mirrored.",
    )
    budget_usd: float | None = Field(
        default=None, ge=0, description="Most that all candidates may cost together at list prices; then it ends."
    )
    max_per_s: float = Field(default=5.0, gt=0, description="Most mirrored requests per second.")
    max_parallel: int = Field(default=4, ge=1, description="Most mirrored requests under way at once.")
    max_queued: int = Field(default=200, ge=1, description="Operations that may wait; further ones are dropped.")


def mirrors(attempt: Attempt) -> bool:
    """It was a turn of a conversation, answered to its end, and all of it is in the record."""
    return (
        attempt.kind == "model"
        and attempt.end == "complete"
        and bool(attempt.request)
        and attempt.answer is not None
        and not attempt.answer.is_empty
    )


def is_sampled(attempt: Attempt, settings: ShadowSettings) -> bool:
    key = attempt.trajectory if settings.unit == "trajectory" else attempt.operation
    hashed = hashlib.blake2b(key.encode(), digest_size=8, person=b"ironcage-shadow").digest()
    return int.from_bytes(hashed, "big") < settings.share * 2**64


class Purse:
    """The budget in US dollars; `spent` and `reserved` together never pass `limit`."""

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.spent = 0.0
        self.reserved = 0.0

    def reserve(self, most: float) -> bool:
        if self.limit is not None and self.spent + self.reserved + most > self.limit:
            return False
        self.reserved += most
        return True

    def settle(self, most: float, cost: float | None) -> None:
        """What cost nobody knows is taken to have cost all that was reserved for it."""
        self.reserved -= most
        self.spent += most if cost is None else cost


class Pace:
    """At most `per_s` starts a second, none of them saved up."""

    def __init__(self, per_s: float) -> None:
        self._gap_s = 1 / per_s
        self._next_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """How long to wait before the next start, which is then taken."""
        start = max(now_s, self._next_s)
        self._next_s = start + self._gap_s
        return start - now_s


def mirrored_usd(attempt: Attempt, candidate: Candidate, host: str, at_s: float) -> float | None:
    """What mirroring this can cost at most, as the spend budget bounds it. None for a model without a price."""
    asked = ModelAsked(
        trajectory=attempt.trajectory,
        upstream=candidate.upstream,
        host=host,
        model=candidate.model,
        digest=attempt.digest,
        body_bytes=attempt.request_bytes,
        at_s=at_s,
        prompt=_prompt_size(attempt),
        max_tokens=candidate.max_tokens or stated(attempt.extra.get("max_tokens")),
        answers=stated(attempt.extra.get("answers")) or 1,
    )
    return most_usd(bound_of(asked, ASSUMED_OUTPUT_TOKENS), asked, _LIST_PRICES)


def _prompt_size(attempt: Attempt) -> PromptSize:
    body = b"".join(span.data for span in attempt.request)
    wire = wire_at(attempt.wire, attempt.path)
    try:
        layout = read_layout(body, wire.list_key)
        return prompt_size(layout, wire.held_turn(layout), None)
    except FormatError:  # it was sent, so it is none of ours to refuse
        return PromptSize(text_bytes=len(body))


def has_price(candidate: Candidate, host: str, at_s: float) -> bool:
    return cost_usd(Usage(input_tokens=1, output_tokens=1), candidate.model, host, at_s) is not None


class ShadowCounts(Frozen):
    """`heard` operations could have been mirrored and `sampled` were chosen; of the pairs of these with each candidate
    `compared` have a result, `failed` came back without an answer, and the others were dropped.
    """

    heard: int = 0
    sampled: int = 0
    compared: int = 0
    failed: int = 0
    dropped_queue_full: int = 0
    dropped_over_budget: int = 0
    waiting: int = 0
    spent_usd: float = 0.0
    budget_usd: float | None = None
