from __future__ import annotations

from typing import Any

import pytest

from replay.fingerprint import changed_parts, fingerprint_of, fingerprint_parts, require_equal
from replay.task import ExpectedAnswer, Task
from replay.world.tape import Recording, Tape
from trajectory.errors import OperatorError
from trajectory.runs import Limits

TASK = Task(id="t", name="t", input="", source="s", wire="openai.chat", upstream="o", path="/", request='{"tools":[1]}')
SAME: dict[str, Any] = {
    "tasks": [TASK],
    "worlds": {"t": Tape()},
    "limits": Limits(memory_mb=100),
    "conditions": {"constraints": "c", "policies": "p"},
    "loop": {"max_steps": 5},
}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"limits": Limits(memory_mb=101)}, ["limits"]),
        ({"worlds": {"t": Tape((Recording("a", "b", "c"),))}}, ["world"]),
        ({"conditions": {"constraints": "c", "policies": "q"}}, ["policies"]),
        ({"conditions": {"constraints": "c", "policies": "p", "redaction": "r"}}, ["redaction"]),
        ({"loop": {"max_steps": 6}}, ["loop"]),
        ({"tasks": [TASK.model_copy(update={"request": '{"tools":[2]}'})]}, ["tasks", "tools"]),
        ({"tasks": [TASK.model_copy(update={"checks": (ExpectedAnswer(answer="x"),)})]}, ["checks", "tasks"]),
    ],
)
def test_each_condition_has_its_part(change: dict[str, Any], parts: list[str]) -> None:
    before, after = fingerprint_parts(**SAME), fingerprint_parts(**{**SAME, **change})
    assert changed_parts(before, after) == parts
    assert fingerprint_of(before) != fingerprint_of(after)
    with pytest.raises(OperatorError, match=", ".join(parts)):
        require_equal("b", before, after)


def test_equal_conditions_have_equal_fingerprints_in_any_order() -> None:
    other = TASK.model_copy(update={"id": "u"})
    one = fingerprint_parts(**{**SAME, "tasks": [TASK, other]})
    two = fingerprint_parts(**{**SAME, "tasks": [other, TASK]})
    assert fingerprint_of(one) == fingerprint_of(two)
    require_equal("b", one, two)
