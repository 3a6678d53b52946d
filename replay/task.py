"""A captured task: what an agent was asked, how it was started, and how to tell whether it was done."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import Field, ValidationError

from trajectory.errors import FormatError
from trajectory.runs import Frozen, Mode
from trajectory.trajectory import OutcomeLabel


class ReferenceCall(Frozen):
    """A tool call of the recorded run; `arguments` is the raw text."""

    tool: str
    arguments: str


class AgentCommand(Frozen):
    """How the agent of this task was started."""

    command: tuple[str, ...]
    cwd: str


class CommandCheck(Frozen):
    """A command that judges a run: exit code 0 passed, 1 failed, anything else says that it could not decide.

    It runs after the agent, in the folder in which the agent worked, and finds the run in the file that
    IRONCAGE_RUN_FILE names (see replay/checks.py).
    """

    kind: Literal["command"] = "command"
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    timeout_s: Annotated[float, Field(gt=0)] = 60.0


class ExpectedAnswer(Frozen):
    """The answer that a run must give. exact: equal but for surrounding and repeated white space; contains: that
    text somewhere in the answer; json: equal as JSON values.
    """

    kind: Literal["expected_answer"] = "expected_answer"
    answer: str
    match: Literal["exact", "contains", "json"] = "exact"


class RecordedLabel(Frozen):
    """What was said of the recorded run. It is the outcome of that run and of no other."""

    kind: Literal["label"] = "label"
    label: OutcomeLabel
    evidence: str = ""


Check = Annotated[CommandCheck | ExpectedAnswer | RecordedLabel, Field(discriminator="kind")]


class Task(Frozen):
    """One task, built from the recorded trajectory `source`.

    `id` is the name that the client gave the task, or else the trajectory's id. `input` is the last thing the user
    had said when the model was first asked. `request` is the JSON text of that first model request as its upstream
    was sent it (masked where redaction was on), None where it was not recorded; `wire`, `upstream`, `path` and
    `model` belong to it. With `launch` the agent's own command is run again; without it the engine drives the
    conversation itself and takes tool results from the tape.
    """

    id: str
    name: str
    input: str
    source: str
    wire: str
    upstream: str
    path: str
    model: str | None = None
    request: str | None = None
    reference: tuple[ReferenceCall, ...] = ()
    launch: AgentCommand | None = None
    checks: tuple[Check, ...] = ()
    tags: tuple[str, ...] = ()
    split: str | None = None
    """The part of the data set that it belongs to: train, test, whatever `tasks build --split` named."""

    @property
    def mode(self) -> Mode:
        return "agent" if self.launch is not None else "closed_loop"

    @cached_property
    def digest(self) -> str:
        """Of everything that a run of this task depends on: not of its display name, tags and split."""
        content = self.model_dump_json(exclude={"name", "tags", "split"})
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Pydantic would copy the digest of the original too, if it was taken before."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("digest", None)
        return copied

    def field(self, key: str) -> str | None:
        """The raw JSON of one top-level field of the request (messages, tools, temperature…); None if absent."""
        if self.request is None:
            return None
        raw = msgspec.json.decode(self.request.encode(), type=dict[str, msgspec.Raw]).get(key)
        return None if raw is None else bytes(raw).decode()

    @property
    def messages(self) -> str | None:
        return self.field("messages")

    @property
    def tools(self) -> str | None:
        return self.field("tools")

    def document(self) -> str:
        """What the store keeps."""
        return self.model_dump_json(exclude_none=True)


def read_task(document: str) -> Task:
    """The inverse of `Task.document`. FormatError if it is none."""
    try:
        return Task.model_validate_json(document)
    except ValidationError as error:
        raise FormatError(f"not a task: {error}", hint="build it again with `ironcage tasks build`") from None
