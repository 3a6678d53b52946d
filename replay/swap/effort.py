"""A budget of thought as an effort, which is how other formats ask for it."""

from __future__ import annotations

from replay.swap.losses import Losses

# Up to how many tokens of thought count as which effort: thirds of the scale on which the vendors' guides put it.
_BUDGETS = ((0, "none"), (4096, "low"), (16384, "medium"))


def effort_of(budget: int, where: str, losses: Losses) -> str:
    """`budget` in tokens; `where` is its place, for the loss that this is."""
    effort = next((name for limit, name in _BUDGETS if budget <= limit), "high")
    losses.add("reasoning", where, f"{budget} tokens of thought were asked for as effort {effort}")
    return effort
