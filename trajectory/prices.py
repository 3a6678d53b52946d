"""What a model call costs in US dollars at list prices, by the price tables that come with genai-prices.

Only the tables in the installed package are used, never the network. Prices are those of the day of the call. A host
that the tables know is priced as that provider; behind any other host (a gateway of one's own, a mock) the model's name
decides, at its maker's list price. What they do not know is None, never 0.

The library and its tables take a fifth of a second to load, with the first price that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from trajectory.conversation import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices

_MILLION = 1_000_000
_COUNTED = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")


@dataclass(frozen=True, slots=True)
class Rates:
    """Dollars per million tokens, whatever the length of the prompt."""

    input: float
    output: float
    cache_read: float
    cache_write: float

    def cost_usd(self, usage: Usage) -> float | None:
        """None where the provider left a count out."""
        plain = _plain_tokens(usage)
        if plain is None or usage.output_tokens is None:
            return None
        read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
        dollars = plain * self.input + read * self.cache_read + written * self.cache_write
        return (dollars + usage.output_tokens * self.output) / _MILLION


@dataclass(frozen=True, slots=True)
class _Price:
    """`rates` hold for prompts of more than so many tokens, the highest start first; empty where more than the four
    counts decides: the library is then asked for each call.
    """

    model: ModelPrice
    rates: tuple[tuple[int, Rates], ...]


def cost_usd(usage: Usage, model: str, host: str, at_s: float) -> float | None:
    """None for a model or day without a price, and where the provider left a count out.

    Cached tokens are priced as such where the provider told them apart; tokens written to a cache as plain input where
    it did not.
    """
    if usage.input_tokens is None or usage.output_tokens is None or _plain_tokens(usage) is None:
        return None
    price = _price(model, host, int(at_s // 60))
    if price is None:
        return None
    for start, rates in price.rates:
        if usage.input_tokens > start:
            return rates.cost_usd(usage)
    return _asked(price.model, usage)


def load_prices() -> None:
    """Load library and tables now, where the first call must not wait for them."""
    _price("", "", 0)


def prices_version() -> str:
    """Version of the price tables."""
    try:
        return version("genai-prices")
    except PackageNotFoundError:
        return "not installed as a package"


def _plain_tokens(usage: Usage) -> int | None:
    """Input neither read from a cache nor written to one; None where it is not told, or the counts contradict."""
    if usage.input_tokens is None:
        return None
    plain = usage.input_tokens - (usage.cache_read_tokens or 0) - (usage.cache_write_tokens or 0)
    return plain if plain >= 0 else None


@lru_cache(maxsize=4096)
def _price(model: str, host: str, minute: int) -> _Price | None:
    """`minute` since 1970: some prices hold from a day on, or at hours of the day."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 -- slow to load, see above

    snapshot = get_snapshot()
    url: str | None = f"https://{host}"
    try:
        snapshot.find_provider(None, None, url)
    except LookupError:
        url = None
    try:
        _, found = snapshot.find_provider_model(model, None, None, url)
        price = found.get_prices(datetime.fromtimestamp(minute * 60, tz=UTC))
    except LookupError:
        return None
    if price.input_mtok is None or price.output_mtok is None:
        return None  # sold by the hour or the page, or no chat model
    return _Price(price, _rates(price))


def _rates(price: ModelPrice) -> tuple[tuple[int, Rates], ...]:
    """Where the four counts decide. What is sold beside text (searches, audio) is left aside: no record counts it."""
    if price.requests_kcount is not None or price.output_reasoning_mtok is not None:
        return ()
    offers = [getattr(price, name) for name in _COUNTED]
    starts = {tier.start for offer in offers for tier in getattr(offer, "tiers", ())}
    found = []
    for start in sorted({-1, *starts}, reverse=True):
        plain, output, read, written = (_rate(offer, start) for offer in offers)
        assert plain is not None
        assert output is not None
        found.append(
            (start, Rates(plain, output, plain if read is None else read, plain if written is None else written))
        )
    return tuple(found)


def _rate(offer: Decimal | TieredPrices | None, start: int) -> float | None:
    """Of prompts just beyond `start` tokens: a tier holds for all tokens of a call."""
    if offer is None or isinstance(offer, Decimal):
        return None if offer is None else float(offer)
    return float(next((tier.price for tier in reversed(offer.tiers) if start >= tier.start), offer.base))


def _asked(price: ModelPrice, usage: Usage) -> float:
    from genai_prices import Usage as Counts  # noqa: PLC0415

    counts = Counts(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
    )
    return float(price.calc_price(counts)["total_price"])
