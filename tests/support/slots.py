"""Places in a schedule, told apart by their trial."""

from __future__ import annotations

from replay.task import Task
from replay.trial import Slot
from trajectory.runs import Candidate


def slot(number: int) -> Slot:
    task = Task(
        id="t1", name="t1", input="", source="s1", wire="openai-chat", upstream="o", path="/v1/chat/completions"
    )
    return Slot(f"run-{number}", task, Candidate(name="c", upstream="o", model="m"), number, seed=number)
