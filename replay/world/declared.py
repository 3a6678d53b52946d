"""Worlds as they are declared for a bake-off: texts, asked in their order.

tape                          the results recorded in the task's own source
tape?pool=recorded            and in all other recordings of the same task
tape?reads=a,b&writes=c&pure=d   kinds of tools, where their names do not tell (for all worlds of the bake-off)
mcp:COMMAND, mcp+http:COMMAND, http:COMMAND   a real tool, started for each run (replay/world/fresh.py)
tables:FILE                   a simulator over JSON tables, declared in FILE (replay/world/table_file.py)
live?upstream=NAME&allow=A,B  the real tool behind an upstream, and of it only what is allowed (replay/world/live.py);
                              &as=http where it is no MCP server but has a path for each tool
written?upstream=NAME&model=M what a model makes up, a fidelity of its own (replay/world/written.py)
MODULE:CLASS?option=value     a simulator in Python, with its options (replay/world/simulator.py)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast, get_args

from replay.house import House
from replay.task import Task
from replay.world.chain import Chain
from replay.world.contract import Snapshot
from replay.world.fresh import FRESH, fresh_snapshot
from replay.world.kinds import ToolKinds
from replay.world.live import PROTOCOLS, LiveSnapshot
from replay.world.recordings import Pool, task_tape
from replay.world.simulator import SimulatorSnapshot, load_simulator
from replay.world.table_file import load_table_file, table_file_kinds
from replay.world.tape import Tape
from replay.world.written import WrittenSnapshot
from trajectory.errors import OperatorError
from trajectory.runs import ToolKind
from trajectory.store import Store

_TABLES = "tables:"
_KINDS: dict[str, ToolKind] = {"reads": "read", "writes": "write", "pure": "pure"}
_OPTIONS: dict[str, frozenset[str]] = {
    "tape": frozenset({"pool", *_KINDS}),
    "live": frozenset({"upstream", "as", "allow"}),
    "written": frozenset({"upstream", "model"}),
}
_NEEDED: dict[str, tuple[str, ...]] = {"live": ("upstream", "allow"), "written": ("upstream", "model")}


@dataclass(frozen=True, slots=True)
class Declaration:
    """`name` is tape, tables:FILE, MODULE:CLASS, or WAY:COMMAND, which has no options."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_fresh(self) -> bool:
        return self.name.startswith(FRESH)

    @property
    def executes(self) -> bool:
        """Whether it runs what may change files: a tool, or Python of its own."""
        return self.name not in ("tape", "written") and not self.name.startswith(_TABLES)


def read_worlds(texts: Sequence[str]) -> tuple[Declaration, ...]:
    """OperatorError if one of them is no world, stands twice, or has an option that it does not know."""
    if not texts:
        raise OperatorError("a bake-off needs a world", hint="`tape` answers with what was recorded")
    read = tuple(_read(text) for text in texts)
    names = [one.name for one in read]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OperatorError(f"world {twice[0]!r} is declared twice")
    _kinds(read)
    return read


def open_worlds(
    texts: Sequence[str],
    store: Store,
    tasks: Iterable[Task],
    *,
    before_s: float | None = None,
    house: House | None = None,
) -> dict[str, Snapshot]:
    """The snapshot of each task. Data files are read once for all tasks; see `task_tape` for `before_s`. What is live
    or written is asked through the `house`.

    OperatorError if a declaration cannot be carried out, StoreError if a recording is not there.
    """
    declared = read_worlds(texts)
    kinds = _kinds(declared)
    looped = tuple(tasks)
    fresh = {one.name: fresh_snapshot(one.name, kinds) for one in declared if one.is_fresh}
    others = [one for one in declared if looped and one.name not in _OPTIONS and not one.is_fresh]
    simulators = {one.name: replace(_simulator(one), kinds=kinds) for one in others}

    def link(one: Declaration, task: Task, tape: Tape) -> Snapshot:
        if one.name == "tape":
            return tape
        if one.is_fresh:
            return fresh[one.name]
        if one.name in simulators:
            loaded = simulators[one.name]
            return replace(loaded, start_from=replace(loaded.start_from, task=task.id, recordings=tape.recordings))
        if house is None:
            raise OperatorError(f"world {one.name!r} needs a running gateway", hint="a bake-off has one")
        if one.name == "live":
            allowed = tuple(one.options["allow"].split(","))
            return LiveSnapshot(house, one.options["upstream"], one.options.get("as", "mcp"), allowed, task.id, kinds)
        return WrittenSnapshot(house, one.options["upstream"], one.options["model"], task, tape)

    def snapshot(task: Task) -> Snapshot:
        tape = task_tape(store, task, pool=_pool(declared), before_s=before_s, kinds=kinds)
        return Chain(tuple(link(one, task, tape) for one in declared))

    return {task.id: snapshot(task) for task in looped}


def with_permission(texts: Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
    """The worlds, the live one with the patterns of tools that may be called. OperatorError where there is no live one
    to permit, or a permission is missing (as `read_worlds` says).
    """
    live = [text for text in texts if text.partition("?")[0] == "live"]
    if allowed and not live:
        raise OperatorError("--allow-live permits a live world, and none is declared", hint="--world live?upstream=…")
    more = f"allow={','.join(allowed)}" if allowed else ""
    return tuple(f"{text}{'&' if '?' in text else '?'}{more}" if text in live and more else text for text in texts)


def declared_kinds(texts: Sequence[str]) -> dict[str, ToolKind]:
    """Of the tools that a declaration says it of: the options of a tape, what a table file does with each tool."""
    declared = read_worlds(texts)
    found: dict[str, ToolKind] = {}
    for one in declared:
        if one.name.startswith(_TABLES):
            found |= table_file_kinds(Path(one.name.removeprefix(_TABLES)))
    return found | dict(_kinds(declared).declared)


def _simulator(declared: Declaration) -> SimulatorSnapshot:
    if declared.name.startswith(_TABLES):
        return load_table_file(Path(declared.name.removeprefix(_TABLES)))
    return load_simulator(declared.name, declared.options)


def _pool(declared: Sequence[Declaration]) -> Pool:
    pools = [one.options["pool"] for one in declared if one.name == "tape" and "pool" in one.options]
    return cast("Pool", pools[0]) if pools else "source"


def _kinds(declared: Sequence[Declaration]) -> ToolKinds:
    found: dict[str, ToolKind] = {}
    for one in declared:
        for option in one.options if one.name == "tape" else ():
            for tool in filter(None, one.options[option].split(",")) if option in _KINDS else ():
                if found.setdefault(tool, _KINDS[option]) != _KINDS[option]:
                    raise OperatorError(f"tool {tool!r} is declared as {found[tool]} and as {_KINDS[option]}")
    return ToolKinds(found)


def _read(text: str) -> Declaration:
    if text.startswith(FRESH):
        fresh_snapshot(text, ToolKinds())
        return Declaration(text)
    name, _, query = text.partition("?")
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        key, equals, value = pair.partition("=")
        if not equals or key in options:
            raise OperatorError(f"world {text!r}: {pair!r} is no option", hint="options are key=value, each once")
        options[key] = value
    _check(text, name, options)
    return Declaration(name, options)


def _check(text: str, name: str, options: Mapping[str, str]) -> None:
    allowed = _OPTIONS.get(name, frozenset() if name.startswith(_TABLES) else frozenset(options))
    if unknown := sorted(set(options) - allowed):
        hint = f"known here: {', '.join(sorted(allowed))}" if allowed else "it takes none: the file says it all"
        raise OperatorError(f"world {text!r}: unknown option {unknown[0]!r}", hint=hint)
    if options.get("pool", "source") not in get_args(Pool) and name == "tape":
        raise OperatorError(f"world {text!r}: unknown pool", hint=f"it is {' or '.join(get_args(Pool))}")
    if lacking := [option for option in _NEEDED.get(name, ()) if not options.get(option)]:
        permission = "name each tool that may be called for real by --allow-live"
        hint = permission if lacking == ["allow"] else f"such as {name}?{lacking[0]}=…"
        raise OperatorError(f"world {text!r} does not say {' and '.join(lacking)}", hint=hint)
    if name == "live" and options.get("as", "mcp") not in PROTOCOLS:
        raise OperatorError(f"world {text!r}: as is {' or '.join(PROTOCOLS)}")
    module, colon, rest = name.partition(":")
    if name not in _OPTIONS and not (module and colon and rest):
        raise OperatorError(
            f"{text!r} is no world", hint="it is tape, tables:FILE, MODULE:CLASS, mcp:COMMAND, live or written"
        )
