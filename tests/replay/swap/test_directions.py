"""Each format answered by each other one: official SDKs in front, providers that check what they are sent behind."""

from __future__ import annotations

from itertools import pairwise, permutations
from pathlib import Path

import pytest

from proxy.operation import Swap
from replay.swap.dialects import DIALECTS
from replay.swap.street import SwapStreet
from tests.support.gateway import Served, serve
from tests.support.providers import Turn, provider
from tests.support.sdk_agents import AGENTS
from trajectory.runs import Candidate

TURNS = (
    Turn("I look.", (("look", {"id": 1}), ("look", {"id": 2}))),
    Turn("", (("look", {"id": 3, "kind": "order"}),)),
    Turn("All in transit."),
)


def swapped(served: Served, session: str, wire: str) -> SwapStreet:
    """What a bake-off's house does for a candidate of another wire."""
    street = SwapStreet(Candidate(name="c", upstream="there", model="cand-1", wire=wire), base_path="", seed=7)
    served.doors.hall.swaps[session] = Swap("there", "there", "cand-1")
    served.doors.hall.streets[session] = street
    return street


STREAMED = [(*pair, True) for pair in permutations(DIALECTS, 2)]
WHOLE = [(*pair, False) for pair in pairwise([*DIALECTS, next(iter(DIALECTS))])]


@pytest.mark.parametrize(("agent", "candidate", "streamed"), STREAMED + WHOLE)
async def test_agent_is_answered_by_a_candidate_of_another_wire(
    tmp_path: Path, agent: str, candidate: str, streamed: bool
) -> None:
    async with provider(candidate, *TURNS) as there:
        upstreams = {"here": {"base_url": "http://127.0.0.1:9"}, "there": {"base_url": there.url}}
        async with serve(tmp_path, upstreams=upstreams) as served:
            street = swapped(served, "s1", candidate)
            talk = await AGENTS[agent](served.url("here"), streamed)
    assert talk.texts == ["I look.", "", "All in transit."]
    assert talk.calls == [("look", {"id": 1}), ("look", {"id": 2}), ("look", {"id": 3, "kind": "order"})]
    assert talk.tokens == (20, 9)
    assert len(there.asked) == 3
    kinds = {loss.kind for loss in street.losses}
    assert "reasoning" in kinds
    assert ("stream" in kinds) == streamed
    assert ("tool_schema" in kinds) == (candidate == "gemini.generate")
