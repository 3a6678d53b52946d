"""From recorded trajectories to tasks that can be run again, or the reason why one cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from proxy.wire.choose import WIRES
from proxy.wire.layout import read_layout
from replay.task import AgentCommand, Check, RecordedLabel, ReferenceCall, Task
from replay.transcript import LOOP_WIRES, READABLE_WIRES, read_messages
from trajectory.conversation import Message
from trajectory.errors import FormatError, StoreError
from trajectory.ids import trajectory_id
from trajectory.store import Store
from trajectory.trajectory import Step, Trajectory

_NAME_LENGTH = 60
ChecksOf = Callable[[str], tuple[Check, ...]]
"""From a task's id to its checks."""


@dataclass(frozen=True, slots=True)
class Unreplayable:
    """`reason` is a sentence for the person who wanted the task."""

    trajectory: str
    reason: str


@dataclass(frozen=True, slots=True)
class Built:
    """`tasks` in order of their first recording. `passed_over` holds ids of further recordings of the same tasks."""

    tasks: tuple[Task, ...]
    unreplayable: tuple[Unreplayable, ...]
    passed_over: tuple[str, ...] = ()


class _NotReplayableError(Exception):
    pass


def no_checks(task: str) -> tuple[Check, ...]:
    return ()


def build_task(store: Store, trajectory: str, *, checks: ChecksOf = no_checks) -> Task | Unreplayable:
    """The task of one recorded trajectory. StoreError if there is no such trajectory."""
    recorded = store.trajectory(trajectory)
    try:
        return _build(store, recorded, checks)
    except _NotReplayableError as reason:
        return Unreplayable(trajectory, str(reason))


def build_tasks(store: Store, trajectories: Iterable[str], *, checks: ChecksOf = no_checks) -> Built:
    """One task for each task name among `trajectories`.

    Of several recordings of a task, the reference is one that is labelled as passed, else one without a label, else
    a failed one; the newest of these.
    """
    recorded = sorted((store.trajectory(name) for name in set(trajectories)), key=lambda t: (t.started_at, t.id))
    groups: dict[str, list[Trajectory]] = {}
    for one in recorded:
        groups.setdefault(one.task or one.id, []).append(one)
    tasks: list[Task] = []
    unreplayable: list[Unreplayable] = []
    passed_over: list[str] = []
    for group in groups.values():
        chosen: Task | None = None
        for one in sorted(group, key=_preference):
            if chosen is not None:
                passed_over.append(one.id)
                continue
            built = build_task(store, one.id, checks=checks)
            if isinstance(built, Task):
                chosen = built
            else:
                unreplayable.append(built)
        if chosen is not None:
            tasks.append(chosen)
    return Built(tuple(tasks), tuple(unreplayable), tuple(passed_over))


def _preference(recorded: Trajectory) -> tuple[int, float]:
    rank = {"passed": 0, None: 1, "failed": 2}[recorded.label]
    return rank, -recorded.started_at


def _build(store: Store, recorded: Trajectory, checks: ChecksOf) -> Task:
    steps = recorded.model_steps
    if not steps:
        raise _NotReplayableError("no model call was recorded in it")
    launch = _command(store, recorded)
    first = steps[0]
    body = store.body(first.last.id, "request")
    conversation = _conversation(first, body)
    if launch is None:
        _check_for_loop(store, first, steps, body, conversation)
    users = [message.text for message in conversation or () if message.role == "user"]
    said = users[-1] if users else ""
    name = recorded.task or recorded.id
    label = () if recorded.label is None else (RecordedLabel(label=recorded.label, evidence=recorded.label_evidence),)
    return Task(
        id=name,
        name=recorded.task or " ".join(said.split())[:_NAME_LENGTH] or recorded.id,
        input=said,
        source=recorded.id,
        wire=first.wire,
        upstream=first.upstream,
        path=first.path,
        model=first.model,
        request=None if body is None or conversation is None else body.decode(),
        reference=reference_of(recorded.steps),
        launch=launch,
        checks=(*checks(name), *label),
    )


def _command(store: Store, recorded: Trajectory) -> AgentCommand | None:
    launch = recorded.launch
    if launch is None and recorded.agent is not None:
        try:
            whole = store.trajectory(trajectory_id(recorded.session, None))
        except StoreError:
            return None
        if whole.launch is not None and whole.launch.command and whole.model_steps:
            raise _NotReplayableError(f"it is a sub-agent's part of {whole.id}, whose command is run as a whole")
        launch = whole.launch
    if launch is None or not launch.command:
        return None
    return AgentCommand(command=launch.command, cwd=launch.cwd)


def _conversation(step: Step, body: bytes | None) -> tuple[Message, ...] | None:
    """None where it cannot be read: an agent's command can be run again without it."""
    if body is None or step.wire not in READABLE_WIRES:
        return None
    try:
        body.decode()
        return read_messages(step.wire, body)
    except (FormatError, UnicodeDecodeError):
        return None


def _check_for_loop(
    store: Store,
    first: Step,
    steps: tuple[Step, ...],
    body: bytes | None,
    conversation: tuple[Message, ...] | None,
) -> None:
    """What the engine needs to drive a conversation by itself."""
    if first.wire not in LOOP_WIRES:
        raise _NotReplayableError(f"no agent command is known, and the engine's own loop does not speak {first.wire}")
    if body is None:
        why = dict(first.last.extra).get("request_left_out", "its bodies are not in the store")
        raise _NotReplayableError(f"no agent command is known, and its first request was not recorded: {why}")
    if conversation is None:
        raise _NotReplayableError("no agent command is known, and its first request cannot be read")
    wire = WIRES[first.wire]
    if wire.held_turn(read_layout(body, wire.list_key)) is not None:
        raise _NotReplayableError(
            "no agent command is known, and its first request goes on from a conversation that only its provider has"
        )
    if more := _more_from_user(store, steps, conversation):
        raise _NotReplayableError(
            f"no agent command is known, and the user spoke again {more} times after the first request: "
            "what a user would have said to another model is not on the tape"
        )


def later_user_messages(store: Store, recorded: Trajectory) -> int:
    """How often the user spoke again after the first request; 0 where that cannot be read."""
    steps = recorded.model_steps
    first = _conversation(steps[0], store.body(steps[0].last.id, "request")) if steps else None
    return 0 if first is None else _more_from_user(store, steps, first)


def _more_from_user(store: Store, steps: tuple[Step, ...], first: tuple[Message, ...]) -> int:
    later = _conversation(steps[-1], store.body(steps[-1].last.id, "request")) or ()
    more = sum(message.role == "user" for message in later) - sum(message.role == "user" for message in first)
    return max(0, more)


def reference_of(steps: Sequence[Step]) -> tuple[ReferenceCall, ...]:
    """The calls that the model proposed; for an agent that calls tools without them, its HTTP tool calls."""
    models = [step for step in steps if step.kind == "model"]
    proposed = [call for step in models if step.last.answer for call in step.last.answer.calls]
    if proposed:
        return tuple(ReferenceCall(tool=call.name, arguments=call.arguments) for call in proposed)
    used = [step.last.tool for step in steps if step.kind == "tool" and step.last.tool]
    return tuple(ReferenceCall(tool=use.name, arguments=use.arguments) for use in used)
