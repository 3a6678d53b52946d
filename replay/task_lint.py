"""What makes a task unreplayable, or a replay of it doubtful, and what to do about each.

A finding with level "unreplayable" means that no run can be made in the mode that the task has by itself; "doubtful"
that runs can be made, and what they might show wrongly. Nothing here is proof that a task is good.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from policies.redaction.tokens import TOKEN
from replay.building import later_user_messages
from replay.dataset import tools_of
from replay.matching import canonical_arguments
from replay.swap.dialects import DIALECTS
from replay.task import RecordedLabel, Task
from replay.transcript import READABLE_WIRES, read_messages
from replay.ways import obstacle
from replay.world.kinds import ToolKinds
from replay.world.recordings import task_tape
from replay.world.tape import Recording, Tape
from trajectory.conversation import Message, Opaque
from trajectory.errors import FormatError, StoreError
from trajectory.store import Store
from trajectory.trajectory import Trajectory

Level = Literal["unreplayable", "doubtful"]
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b", re.IGNORECASE)
_TIME = re.compile(r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}")
_SECRET = re.compile(r"PII_SECRET_")
_SHOWN = 3
# Tools that a provider offers and runs by itself have a type of their own.
_OWN_TYPES = frozenset({"function", "custom", None})


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is stable; `what` says what was found, `todo` what to do."""

    task: str
    level: Level
    code: str
    what: str
    todo: str


@dataclass(frozen=True, slots=True)
class Look:
    """A task with what is recorded of it. `messages` are those of its first request, none where it cannot be read;
    `simulated` where another world than the tape answers tool calls.
    """

    store: Store
    task: Task
    recorded: Trajectory
    messages: tuple[Message, ...]
    tape: Tape
    kinds: ToolKinds = field(default_factory=ToolKinds)
    simulated: bool = False

    @property
    def results(self) -> Iterator[Recording]:
        return (one for run in self.tape.runs for one in run)

    def found(self, level: Level, code: str, what: str, todo: str) -> Finding:
        return Finding(self.task.id, level, code, what, todo)


def lint_task(store: Store, task: Task, *, kinds: ToolKinds | None = None, simulated: bool = False) -> list[Finding]:
    """In the order of `RULES`; a task without its recording has that one finding."""
    try:
        recorded = store.trajectory(task.source)
    except StoreError:
        todo = "import or record it again, then build the task again; or delete the task"
        return [Finding(task.id, "unreplayable", "no_recording", f"its recording {task.source} is gone", todo)]
    tape = task_tape(store, task, pool="recorded", kinds=kinds)
    look = Look(store, task, recorded, _messages(task), tape, kinds or ToolKinds(), simulated)
    return [finding for rule in RULES for finding in rule(look)]


def _messages(task: Task) -> tuple[Message, ...]:
    if task.request is None or task.wire not in READABLE_WIRES:
        return ()
    try:
        return read_messages(task.wire, task.request.encode())
    except (FormatError, UnicodeEncodeError):
        return ()


# --- whether it can run at all


def _cannot_run(look: Look) -> Iterator[Finding]:
    if (why := obstacle(look.task, None)) is not None:
        yield look.found("unreplayable", "no_request", why.what, why.hint)


def _command(look: Look) -> Iterator[Finding]:
    launch = look.task.launch
    if launch is None:
        return
    if not Path(launch.cwd).is_dir():
        todo = "run the bake-off on the machine where it was recorded, or record it here"
        yield look.found("unreplayable", "no_folder", f"its folder {launch.cwd} is not here", todo)
    elif shutil.which(launch.command[0], path=None) is None and not Path(launch.cwd, launch.command[0]).is_file():
        todo = "install it, or record the task again with a command that is here"
        yield look.found("unreplayable", "no_command", f"its command {launch.command[0]!r} is not here", todo)


def _user_spoke_again(look: Look) -> Iterator[Finding]:
    more = later_user_messages(look.store, look.recorded) if look.task.launch is None else 0
    if more:
        what = f"the user spoke again {more} times after the first request"
        yield look.found("unreplayable", "later_user", what, "record it with its agent's command, or run it stepwise")


def _server_state(look: Look) -> Iterator[Finding]:
    for key in ("previous_response_id", "conversation", "previous_interaction_id"):
        raw = look.task.field(key)
        if raw not in (None, "null"):
            todo = "begin the recording with a new conversation, or let the agent send the whole of it"
            yield look.found("unreplayable", "server_state", f"it continues what its provider keeps ({key})", todo)


# --- whether its end can be judged


def _no_check(look: Look) -> Iterator[Finding]:
    if not [check for check in look.task.checks if not isinstance(check, RecordedLabel)]:
        todo = "build it with --check COMMAND or --expect TASK=TEXT"
        yield look.found("doubtful", "no_check", "nothing says whether a run of it passed", todo)


# --- whether the model gets what it got


def _uncovered_tools(look: Look) -> Iterator[Finding]:
    if look.task.launch is not None or look.simulated:
        return
    known = {one.tool for one in look.results}
    lacking = [tool.name for tool in tools_of(look.task) if tool.name not in known]
    if lacking:
        todo = "declare a world that has them (--world tables:FILE or MODULE:CLASS), or pool more recordings"
        what = f"no result of {_listed(lacking)} is recorded: each call of it will be missing"
        yield look.found("doubtful", "uncovered_tools", what, todo)


def _undetermined_tools(look: Look) -> Iterator[Finding]:
    """The same call after the same writes of the same run gave another result."""
    seen: dict[tuple[str, str, tuple[str, ...]], str] = {}
    tools: dict[str, None] = {}
    for run in look.tape.runs:
        writes: tuple[str, ...] = ()
        for one in run:
            arguments = canonical_arguments(one.arguments) or one.arguments
            if seen.setdefault((one.tool, arguments, writes), one.text) != one.text:
                tools[one.tool] = None
            if look.kinds.of(one.tool) == "write":
                writes = (*writes, f"{one.tool} {arguments}")
    if tools:
        todo = "freeze what they depend on (time, chance, other users), or simulate them from a state"
        what = f"{_listed(list(tools))} gave different results for the same call"
        yield look.found("doubtful", "undetermined_tools", what, todo)


def _of_its_day(look: Look) -> Iterator[Finding]:
    todo = "freeze it: give the agent its date, time and ids from outside, the same in every run"
    prompt = "\n".join(message.text for message in look.messages if message.role in ("system", "user"))
    if said := _volatile(prompt, look.recorded.started_at):
        yield look.found("doubtful", "volatile_prompt", f"its prompt holds {said}, which another run would not", todo)
    tools = {one.tool: said for one in look.results if (said := _volatile(one.text, look.recorded.started_at))}
    if tools:
        what = f"results of {_listed(list(tools))} hold {next(iter(tools.values()))}"
        yield look.found("doubtful", "volatile_results", what, todo)


def _volatile(text: str, recorded_at: float) -> str:
    """A moment, an id made for the occasion, or the day of the recording itself; a date of another day is content."""
    if found := _UUID.search(text):
        return f"the id {found[0]}"
    if found := _TIME.search(text):
        return f"the time {found[0]}"
    day = datetime.fromtimestamp(recorded_at, UTC)
    for near in (day, day - timedelta(days=1), day + timedelta(days=1)):
        spellings = (near.strftime("%Y-%m-%d"), near.strftime(f"%B {near.day}, %Y"), near.strftime(f"{near.day} %B %Y"))
        if written := next((one for one in spellings if one in text), None):
            return f"the day of its recording ({written})"
    return ""


def _masked(look: Look) -> Iterator[Finding]:
    if _SECRET.search(look.task.request or ""):
        todo = "give the agent its secrets outside the prompt; they are never restored, so no run can use them"
        yield look.found("doubtful", "masked_secrets", "its prompt holds secrets, which are masked", todo)
    used = [call.tool for call in look.task.reference if TOKEN.search(call.arguments)]
    if used and look.simulated and look.task.launch is None:
        todo = "let the world's data hold the pseudonyms, or turn redaction off for a recording of test data"
        what = f"{_listed(used)} are called with pseudonyms, which the world's data do not hold"
        yield look.found("doubtful", "masked_arguments", what, todo)


def _provider_tools(look: Look) -> Iterator[Finding]:
    try:
        offered: Any = json.loads(look.task.tools or "[]")
    except ValueError:
        return
    own = [one.get("type") for one in offered if isinstance(one, dict) and one.get("type") not in _OWN_TYPES]
    if own:
        todo = "expect other candidates to do without, or offer a tool of your own that does the same"
        what = f"tools that its provider runs itself, which no world can answer: {_listed(list(map(str, own)))}"
        yield look.found("doubtful", "provider_tools", what, todo)


def _images(look: Look) -> Iterator[Finding]:
    parts = (part for message in look.messages for part in message.parts)
    kinds = {part.kind for part in parts if isinstance(part, Opaque) and "reasoning" not in part.kind}
    if kinds:
        todo = "make sure that every candidate can read them; redaction does not look into them"
        yield look.found("doubtful", "opaque_parts", f"its prompt holds more than text: {_listed(sorted(kinds))}", todo)


# --- whether the recording is whole


def _broken_off(look: Look) -> Iterator[Finding]:
    cut = [step.index for step in look.recorded.model_steps if step.last.end in ("cut", "aborted")]
    if cut:
        what = f"replies broke off at steps {_listed(list(map(str, cut)))}: the reference path is not whole"
        yield look.found("doubtful", "broken_stream", what, "take another recording of it as the task's source")
    unkept = (step for step in look.recorded.model_steps if "reply_note" in dict(step.last.extra))
    noted = [step.index for step in unkept if step.wire not in DIALECTS]
    if noted:
        what = f"the streams of steps {_listed(list(map(str, noted)))} held personal data: their bytes are not kept"
        yield look.found("doubtful", "masked_stream", what, "offline replay needs another recording; other ways do not")


def _side_effects(look: Look) -> Iterator[Finding]:
    """An agent's own tools run for real, in each trial again."""
    if look.task.launch is None:
        return
    called = [step.last.tool.name for step in look.recorded.tool_steps if step.last.tool is not None]
    called += [call.tool for call in look.task.reference]
    writes = list(dict.fromkeys(tool for tool in called if look.kinds.of(tool) == "write"))
    if writes:
        todo = (
            "point the agent at test services, reset what it changes (--reset), or run it in a closed loop with a world"
        )
        what = f"its agent's tools write for real in each trial: {_listed(writes)}"
        yield look.found("doubtful", "side_effects", what, todo)


RULES: tuple[Callable[[Look], Iterator[Finding]], ...] = (
    _cannot_run,
    _command,
    _user_spoke_again,
    _server_state,
    _no_check,
    _uncovered_tools,
    _undetermined_tools,
    _of_its_day,
    _masked,
    _provider_tools,
    _images,
    _broken_off,
    _side_effects,
)


def _listed(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    more = len(distinct) - _SHOWN
    return ", ".join(distinct[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
