"""The static audit over tasks and recordings: what their system prompts and tools say, each text read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from proxy.wire.choose import WIRES
from proxy.wire.layout import read_layout
from proxy.wire.system_prompt import PROMPT_WIRES, read_prompt
from replay.task import Task
from scoring.audit.audit import Cue, audit
from trajectory.conversation import ToolDefinition
from trajectory.errors import FormatError
from trajectory.runs import Frozen
from trajectory.store import Store


@dataclass(frozen=True, slots=True)
class Texts:
    """What one request of `owner` (a task or a trajectory) says. `system` None: it cannot be read in its format."""

    owner: str
    system: tuple[str, ...] | None
    tools: tuple[ToolDefinition, ...]


class Finding(Frozen):
    """One cue, and the tasks or trajectories in which it stands."""

    cue: Cue
    found_in: tuple[str, ...]


class Audit(Frozen):
    """`prompts` and `tools` count different ones that were read; `unread` names whose system prompts were not."""

    prompts: int
    tools: int
    findings: tuple[Finding, ...]
    unread: tuple[str, ...] = ()


def task_texts(task: Task) -> Texts:
    return _texts(task.id, task.wire, task.path, None if task.request is None else task.request.encode())


def trajectory_texts(store: Store, trajectory: str) -> Iterator[Texts]:
    """Of every model call, as a prompt or a tool may change on the way. StoreError if there is no such trajectory."""
    for step in store.trajectory(trajectory).model_steps:
        read = _texts(trajectory, step.wire, step.path, store.body(step.last.id, "request"))
        yield Texts(trajectory, read.system, step.tools)


def audited(texts: Iterable[Texts]) -> Audit:
    prompts: dict[tuple[str, ...], None] = {}
    tools: dict[ToolDefinition, None] = {}
    known: dict[tuple[tuple[str, ...], tuple[ToolDefinition, ...]], tuple[Cue, ...]] = {}
    found: dict[Cue, dict[str, None]] = {}
    unread: dict[str, None] = {}
    for one in texts:
        if one.system is None:
            unread[one.owner] = None
        said = (one.system or (), one.tools)
        if said not in known:
            known[said] = audit(*said)
            tools |= dict.fromkeys(one.tools)
            if one.system:
                prompts[one.system] = None
        for cue in known[said]:
            found.setdefault(cue, {})[one.owner] = None
    findings = tuple(Finding(cue=cue, found_in=tuple(owners)) for cue, owners in found.items())
    return Audit(prompts=len(prompts), tools=len(tools), findings=findings, unread=tuple(unread))


def _texts(owner: str, wire: str, path: str, request: bytes | None) -> Texts:
    if request is None or wire not in WIRES:
        return Texts(owner, None, ())
    try:
        layout = read_layout(request, WIRES[wire].list_key)
        tools = WIRES[wire].read_request(layout, path).tools
        return Texts(owner, read_prompt(wire, layout) if wire in PROMPT_WIRES else None, tools)
    except FormatError:
        return Texts(owner, None, ())
