from __future__ import annotations

import pytest

from ironcage.candidates import read_candidate
from proxy.settings import Upstream
from trajectory.errors import OperatorError
from trajectory.runs import Candidate

UPSTREAMS = {
    "up": Upstream(base_url="https://api.example.com"),
    "orders": Upstream(base_url="https://orders.example.com", kind="tool"),
}


def read(entry: str) -> Candidate:
    return read_candidate(entry, UPSTREAMS)


def test_candidate_is_named_with_upstream_and_model() -> None:
    assert read("a=up/org/model-1") == Candidate(name="a", upstream="up", model="org/model-1")


def test_wire_and_parameters_stand_behind_the_model() -> None:
    found = read("a=up/m-1,wire=anthropic.messages?max_tokens=99&temperature=0.5&strict=true&effort=low")
    assert (found.model, found.wire) == ("m-1", "anthropic.messages")
    assert found.parameters == {"max_tokens": 99, "temperature": 0.5, "strict": True, "effort": "low"}


@pytest.mark.parametrize("entry", ["", "a", "a=", "a=up", "a=up/", "=up/m", "a=up/,wire=openai.chat"])
def test_half_a_candidate_is_refused(entry: str) -> None:
    with pytest.raises(OperatorError, match="is not NAME=UPSTREAM/MODEL"):
        read(entry)


def test_wire_that_is_not_translated_is_refused_with_those_that_are() -> None:
    with pytest.raises(OperatorError, match="no translation into 'anthropic'") as refused:
        read("a=up/m,wire=anthropic")
    assert "anthropic.messages" in refused.value.hint


@pytest.mark.parametrize("upstream", ["opneai", "orders"])
def test_candidate_at_no_model_upstream_is_refused_before_anything_runs(upstream: str) -> None:
    with pytest.raises(OperatorError, match=f"there is no model upstream '{upstream}'") as refused:
        read(f"a={upstream}/m")
    assert refused.value.hint == "configured are: up"
