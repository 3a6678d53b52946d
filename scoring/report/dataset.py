"""Which tasks, policies and tools a report is about, as digests that another report can be held against."""

from __future__ import annotations

import json

from scoring.scorecard import Scorecard
from scoring.wording import count
from trajectory.runs import Bakeoff


def dataset_lines(card: Scorecard) -> tuple[str, ...]:
    """Empty for a bake-off that was recorded before data sets had an identity."""
    dataset = card.bakeoff.dataset
    if dataset is None:
        return ()
    tools = (f"tool {name}: {', '.join(pins)}" for name, pins in dataset.tools.items())
    parameters = (
        f"recorded with {json.dumps(one, sort_keys=True) if one else 'no parameters'}" for one in dataset.parameters
    )
    first = f"data set {dataset.tasks}: {count(dataset.count, 'task')}, policy {dataset.policy}, seed {dataset.seed}"
    order = (f"order of runs: {card.bakeoff.order}",) if card.bakeoff.order else ()
    return (first, *_way(card.bakeoff), *order, *tools, *parameters)


def _way(bakeoff: Bakeoff) -> tuple[str, ...]:
    if bakeoff.mode is None:
        return ()
    begins = "" if bakeoff.from_step is None else f", from recorded step {bakeoff.from_step} on"
    return (f"runs: {bakeoff.mode.replace('_', ' ')}{begins}",)
