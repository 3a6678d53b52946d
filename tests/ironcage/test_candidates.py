from __future__ import annotations

import pytest

from ironcage.candidates import read_candidate
from trajectory.errors import OperatorError
from trajectory.runs import Candidate


def test_candidate_is_named_with_upstream_and_model() -> None:
    assert read_candidate("a=up/org/model-1") == Candidate(name="a", upstream="up", model="org/model-1")


def test_wire_and_parameters_stand_behind_the_model() -> None:
    read = read_candidate("a=up/m-1,wire=anthropic.messages?max_tokens=99&temperature=0.5&strict=true&effort=low")
    assert (read.model, read.wire) == ("m-1", "anthropic.messages")
    assert read.parameters == {"max_tokens": 99, "temperature": 0.5, "strict": True, "effort": "low"}


@pytest.mark.parametrize("entry", ["", "a", "a=", "a=up", "a=up/", "=up/m", "a=up/,wire=openai.chat"])
def test_half_a_candidate_is_refused(entry: str) -> None:
    with pytest.raises(OperatorError, match="is not NAME=UPSTREAM/MODEL"):
        read_candidate(entry)


def test_wire_that_is_not_translated_is_refused_with_those_that_are() -> None:
    with pytest.raises(OperatorError, match="no translation into 'anthropic'") as refused:
        read_candidate("a=up/m,wire=anthropic")
    assert "anthropic.messages" in refused.value.hint
