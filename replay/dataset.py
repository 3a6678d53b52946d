"""What a set of tasks is: digests that change when a candidate would be given something else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from proxy.wire.choose import WIRES, wire_at
from proxy.wire.layout import read_layout
from replay.fingerprint import digest_of
from replay.matching import canonical_arguments
from replay.task import Task
from trajectory.conversation import ToolDefinition
from trajectory.errors import FormatError, OperatorError
from trajectory.runs import Dataset

# Of a request, what is no parameter of the model: the conversation, the tools, the model itself, how it is delivered.
_NO_PARAMETERS = frozenset(
    {
        "model", "messages", "input", "contents", "prompt", "system", "instructions", "systemInstruction",
        "system_instruction", "tools", "functions", "stream", "stream_options", "user", "metadata", "conversation",
        "previous_response_id", "previous_interaction_id",
    }
)  # fmt: skip


def tools_of(task: Task) -> tuple[ToolDefinition, ...]:
    """As the first recorded request offered them; empty where it cannot be read."""
    wire = WIRES.get(task.wire)
    if task.request is None or wire is None:
        return ()
    try:
        layout = read_layout(task.request.encode(), wire.list_key, None)
        return wire_at(task.wire, task.path).read_request(layout, task.path).tools
    except FormatError:
        return ()


def tool_pins(task: Task) -> dict[str, str]:
    """Each tool's name with the digest of its definition; another order of keys in its schema is the same tool."""
    return {
        tool.name: digest_of([tool.name, tool.description, canonical_arguments(tool.schema) or tool.schema])
        for tool in tools_of(task)
    }


def recorded_parameters(task: Task) -> dict[str, object]:
    """Temperature, token limits, tool choice and so on, as the first recorded request set them."""
    if task.request is None:
        return {}
    try:
        fields = msgspec.json.decode(task.request.encode(), type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return {}
    return {name: json.loads(bytes(raw)) for name, raw in sorted(fields.items()) if name not in _NO_PARAMETERS}


def content_digest(task: Task) -> str:
    """Of what is asked and how it is judged; the command of an agent that once did it belongs to the harness."""
    return task.model_copy(update={"launch": None}).digest


def task_identity(task: Task) -> dict[str, object]:
    """What `tasks show` and `tasks list` say beside the task itself."""
    return {"digest": content_digest(task), "tools": tool_pins(task), "parameters": recorded_parameters(task)}


def dataset_of(tasks: Sequence[Task], *, conditions: Mapping[str, str], seed: int) -> Dataset:
    """`conditions` as the house states them: digests of constraints and policies."""
    pins: dict[str, set[str]] = {}
    for task in tasks:
        for name, pin in tool_pins(task).items():
            pins.setdefault(name, set()).add(pin)
    parameters = {digest_of(found): found for found in map(recorded_parameters, tasks)}
    return Dataset(
        count=len(tasks),
        tasks=digest_of({task.id: content_digest(task) for task in tasks}),
        policy=digest_of(dict(conditions)),
        tools={name: tuple(sorted(found)) for name, found in sorted(pins.items())},
        parameters=tuple(parameters[key] for key in sorted(parameters)),
        seed=seed,
    )


@dataclass(frozen=True, slots=True)
class Split:
    """Named shares of the tasks, which add up to 1."""

    shares: tuple[tuple[str, float], ...]
    seed: int = 0

    def of(self, task: str) -> str:
        """Depends on the task's id and the seed alone: a task that is added moves no other."""
        hashed = hashlib.blake2b(f"{self.seed}\0{task}".encode(), digest_size=8).digest()
        at, reached = int.from_bytes(hashed, "big") / 2**64, 0.0
        for name, share in self.shares:
            reached += share
            if at < reached:
                return name
        return self.shares[-1][0]


def read_split(text: str, seed: int) -> Split:
    """From `train=0.7,test=0.3`. OperatorError if it is none."""
    hint = "for example --split train=0.7,test=0.3"
    shares: list[tuple[str, float]] = []
    for part in text.split(","):
        name, equals, share = part.strip().partition("=")
        try:
            shares.append((name, float(share)))
        except ValueError:
            equals = ""
        if not (name and equals):
            raise OperatorError(f"--split {part!r} is not NAME=SHARE", hint=hint)
    if len({name for name, _ in shares}) < len(shares) or any(not 0 < share <= 1 for _, share in shares):
        raise OperatorError(f"--split {text!r}: each name stands once, with a share above 0", hint=hint)
    if abs(sum(share for _, share in shares) - 1) > 1e-6:
        raise OperatorError(f"--split {text!r}: the shares add up to {sum(s for _, s in shares):g}, not 1", hint=hint)
    return Split(tuple(shares), seed)
