"""The spend budget: what the model calls of a trajectory, or of a session, may cost together.

1. Before a call goes on, the most that it can cost is reserved: a bound of its prompt, and the longest answer that it
   allows. What does not fit is refused.
2. When it has ended, what it did cost takes the place of that. What the provider billed beyond the most is booked,
   too: the total may pass the limit by that alone, and the next call is refused.
3. What nobody told is taken to have cost what it can have cost; what nobody bills costs nothing.

The ledger counts nano-dollars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from policies.ledger import Ledger
from policies.prices import PriceList
from policies.quoting import shown
from policies.tokens import least_tokens, most_tokens, prompt_of
from policies.verdict import ALLOW, Refuse, Verdict
from trajectory.conversation import Usage
from trajectory.events import AttemptEnded, Event, ModelAsked

NANO = 1_000_000_000
_NO_LIMIT = 2**62
_MILLION = 1_000_000
_MOST_TOKENS = 10**9
"""Far above any model: what is asked or told beyond that counts as that, and sums stay within 64 bits."""


def bound_of(asked: ModelAsked, assumed_output_tokens: int) -> Usage:
    """The most tokens that a call can need; `assumed_output_tokens` stand for an answer of no stated length."""
    each = assumed_output_tokens if asked.max_tokens is None else asked.max_tokens
    return Usage(
        input_tokens=min(most_tokens(prompt_of(asked)), _MOST_TOKENS),
        output_tokens=min(each * asked.answers, _MOST_TOKENS),
    )


def most_usd(usage: Usage, asked: ModelAsked, prices: PriceList) -> float | None:
    """None without a price. A prompt may be written to a cache, which costs more with some providers."""
    cached = replace(usage, cache_write_tokens=usage.input_tokens)
    place = (asked.model, asked.upstream, asked.host, asked.at_s)
    costs = [prices.cost_usd(counts, *place) for counts in (usage, cached)]
    return max((cost for cost in costs if cost is not None), default=None)


@dataclass(frozen=True, slots=True)
class SpendBudget:
    """`limit_usd` for each trajectory or session."""

    limit_usd: float
    prices: PriceList
    per: Literal["trajectory", "session"] = "trajectory"
    unpriced: Literal["refuse", "allow"] = "refuse"
    assumed_output_tokens: int = 32_768
    on_exhausted: Literal["refuse", "final_message"] = "refuse"
    name: ClassVar[str] = "spend_budget"
    reads_sizes: ClassVar[bool] = True
    events: ClassVar[frozenset[type[Event]]] = frozenset({ModelAsked, AttemptEnded})

    def judge(self, event: Event, ledger: Ledger) -> Verdict:
        if isinstance(event, AttemptEnded):
            if event.asked is not None and not event.asked.counts:
                self._settle(event, event.asked, ledger)
            return ALLOW
        if not isinstance(event, ModelAsked) or event.counts:
            return ALLOW
        most = self._most(event)
        if most is None:
            return ALLOW if self.unpriced == "allow" else self._without_price(event)
        limit = int(self.limit_usd * NANO)
        if ledger.reserve(self._account(event), most, limit):
            return ALLOW
        return self._spent(event, most, limit, ledger.total(self._account(event)))

    def _settle(self, ended: AttemptEnded, asked: ModelAsked, ledger: Ledger) -> None:
        reserved = self._most(asked)
        if reserved is None:
            return
        cost = 0 if ended.is_free else self._cost(ended, asked, reserved)
        if cost < reserved:
            ledger.release(self._account(asked), reserved - cost)
        elif cost > reserved:
            ledger.reserve(self._account(asked), cost - reserved, _NO_LIMIT)

    def _cost(self, ended: AttemptEnded, asked: ModelAsked, reserved: int) -> int:
        usage = self._used(ended, asked)
        is_own = self.prices.has_own(asked.model, asked.upstream)
        answered = asked.model if is_own or not ended.model else ended.model
        for model in (answered, asked.model):
            cost = self.prices.cost_usd(usage, model, asked.upstream, asked.host, asked.at_s)
            if cost is not None:
                return math.ceil(cost * NANO)
        return reserved

    def _used(self, ended: AttemptEnded, asked: ModelAsked) -> Usage:
        """As the provider counted; at most what it can be where it did not, or cannot have."""
        told, bound = ended.usage or Usage(), self._bound(asked)
        output, longest = told.output_tokens or 0, bound.output_tokens or 0
        if ended.end != "complete" or output == 0:  # counts of a stream that breaks off are those of its beginning
            output = max(output, longest if ended.answer_bytes is None else min(longest, ended.answer_bytes))
        output = max(output, least_tokens(ended.text_bytes))
        counts = min(told.input_tokens or bound.input_tokens or 0, _MOST_TOKENS), min(output, _MOST_TOKENS)
        if (told.cache_read_tokens or 0) + (told.cache_write_tokens or 0) > counts[0]:
            return Usage(*counts)
        return replace(told, input_tokens=counts[0], output_tokens=counts[1])

    def _bound(self, asked: ModelAsked) -> Usage:
        return bound_of(asked, self.assumed_output_tokens)

    def _most(self, asked: ModelAsked) -> int | None:
        """In nano-dollars."""
        most = most_usd(self._bound(asked), asked, self.prices)
        return None if most is None else math.ceil(most * NANO)

    def _account(self, asked: ModelAsked) -> str:
        return f"spend:session:{asked.session}" if self.per == "session" else f"spend:{asked.trajectory}"

    def _spent(self, asked: ModelAsked, most: int, limit: int, used: int) -> Refuse:
        left = max(0, limit - used) / NANO
        return self._refusal(
            asked,
            f"The spend budget of this {self.per} does not cover this request: {left:.4f} of {self.limit_usd:g} US "
            f"dollars are left (constraints.spend_limit_usd), and it may cost up to {most / NANO:.4f}. "
            f"{self._advice(asked, left)}",
        )

    def _advice(self, asked: ModelAsked, left: float) -> str:
        """What would fit: the price of an answer may depend on the length of its prompt, not on its own."""
        bound = self._bound(asked)
        prompt = most_usd(replace(bound, output_tokens=0), asked, self.prices) or 0.0
        each = ((most_usd(replace(bound, output_tokens=_MILLION), asked, self.prices) or 0.0) - prompt) / _MILLION
        fits = int((left - prompt) / each / asked.answers) if each > 0 and left > prompt else 0
        if fits < 1:
            return "Its prompt alone may cost that much; a shorter one, or a cheaper model, is still allowed."
        stated = f"{asked.max_tokens} are asked for"
        if asked.max_tokens is None:
            stated = f"none is stated, and {self.assumed_output_tokens} are assumed"
        return f"It fits with an answer of at most {fits} tokens ({stated}), or with a cheaper model."

    def _without_price(self, asked: ModelAsked) -> Refuse:
        model = shown(f"{asked.upstream}/{asked.model}")
        return self._refusal(
            asked,
            f'No price is known of the model "{model}", so the spend budget (constraints.spend_limit_usd) cannot hold '
            f"for it. Models with a price are allowed; the operator states one in policies.spend.prices (0 for a model "
            f"of one's own), or lets such models pass with policies.spend.unpriced: allow.",
        )

    def _refusal(self, asked: ModelAsked, message: str) -> Refuse:
        ending: Literal["error", "final_message"] = "error" if self.on_exhausted == "refuse" else "final_message"
        return Refuse("spend_budget_exhausted", self.name, message, shown(asked.model), ending)
