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
    parameters = (f"recorded with {json.dumps(one, sort_keys=True)}" for one in dataset.parameters)
    first = f"data set {dataset.tasks}: {count(dataset.count, 'task')}, policy {dataset.policy}, seed {dataset.seed}"
    return (first, *_way(card.bakeoff), *tools, *parameters)


def _way(bakeoff: Bakeoff) -> tuple[str, ...]:
    if bakeoff.from_step is not None:
        return (f"runs: from recorded step {bakeoff.from_step} on, then in the engine's loop",)
    return () if bakeoff.mode is None else (f"runs: {bakeoff.mode.replace('_', ' ')}",)
