"""What a model call costs: at the operator's own prices where there are any, else at list prices."""

from __future__ import annotations

from collections.abc import Mapping

from trajectory.conversation import Usage
from trajectory.prices import Rates, cost_usd

_ONE_EACH = Usage(input_tokens=1, output_tokens=1)


class PriceList:
    """`own` are rates by model, or by upstream/model; a name that ends in * stands for each that begins so.

    The exact name comes before the longest beginning. What `own` does not name has its list price, if it has one.
    """

    def __init__(self, own: Mapping[str, Rates]) -> None:
        self._exact = {name: rates for name, rates in own.items() if not name.endswith("*")}
        beginnings = [(name[:-1], rates) for name, rates in own.items() if name.endswith("*")]
        self._beginnings = sorted(beginnings, key=lambda one: -len(one[0]))

    def cost_usd(self, usage: Usage, model: str, upstream: str, host: str, at_s: float) -> float | None:
        """As trajectory.prices.cost_usd."""
        rates = self._own(model, upstream)
        return cost_usd(usage, model, host, at_s) if rates is None else rates.cost_usd(usage)

    def has(self, model: str, upstream: str, host: str, at_s: float) -> bool:
        return self.cost_usd(_ONE_EACH, model, upstream, host, at_s) is not None

    def has_own(self, model: str, upstream: str) -> bool:
        return self._own(model, upstream) is not None

    def _own(self, model: str, upstream: str) -> Rates | None:
        names = (f"{upstream}/{model}", model)
        for name in names:
            if name in self._exact:
                return self._exact[name]
        return next((rates for start, rates in self._beginnings if any(name.startswith(start) for name in names)), None)
