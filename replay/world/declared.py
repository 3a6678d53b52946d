"""Worlds as they are declared for a bake-off: texts, asked in their order.

tape                          the results recorded in the task's own source
tape?pool=recorded            and in all other recordings of the same task
tape?reads=a,b&writes=c&pure=d   kinds of tools, where their names do not tell (for all worlds of the bake-off)
mcp:COMMAND, mcp+http:COMMAND, http:COMMAND   a real tool, started for each run (replay/world/fresh.py)
tables:FILE                   a simulator over JSON tables, declared in FILE (replay/world/table_file.py)
MODULE:CLASS?option=value     a simulator in Python, with its options (replay/world/simulator.py)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast, get_args

from replay.task import Task
from replay.world.chain import Chain
from replay.world.contract import Snapshot
from replay.world.fresh import FRESH, fresh_snapshot
from replay.world.kinds import ToolKinds
from replay.world.recordings import Pool, task_tape
from replay.world.simulator import SimulatorSnapshot, load_simulator
from replay.world.table_file import load_table_file, table_file_kinds
from trajectory.errors import OperatorError
from trajectory.runs import ToolKind
from trajectory.store import Store

_TABLES = "tables:"
_KINDS: dict[str, ToolKind] = {"reads": "read", "writes": "write", "pure": "pure"}


@dataclass(frozen=True, slots=True)
class Declaration:
    """`name` is tape, tables:FILE, MODULE:CLASS, or WAY:COMMAND, which has no options."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_fresh(self) -> bool:
        return self.name.startswith(FRESH)


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
    texts: Sequence[str], store: Store, tasks: Iterable[Task], *, before_s: float | None = None
) -> dict[str, Snapshot]:
    """The snapshot of each task. Data files are read once for all tasks; see `task_tape` for `before_s`.

    OperatorError if a declaration cannot be carried out, StoreError if a recording is not there.
    """
    declared = read_worlds(texts)
    kinds = _kinds(declared)
    looped = tuple(tasks)
    fresh = {one.name: fresh_snapshot(one.name, kinds) for one in declared if one.is_fresh}
    others = [one for one in declared if looped and one.name != "tape" and not one.is_fresh]
    simulators = {one.name: replace(_simulator(one), kinds=kinds) for one in others}

    def snapshot(task: Task) -> Snapshot:
        tape = task_tape(store, task, pool=_pool(declared), before_s=before_s, kinds=kinds)
        links: list[Snapshot] = []
        for one in declared:
            if one.name == "tape":
                links.append(tape)
            elif one.is_fresh:
                links.append(fresh[one.name])
            else:
                loaded = simulators[one.name]
                begin = replace(loaded.start_from, task=task.id, recordings=tape.recordings)
                links.append(replace(loaded, start_from=begin))
        return Chain(tuple(links))

    return {task.id: snapshot(task) for task in looped}


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
    allowed = {"pool", *_KINDS} if name == "tape" else set() if name.startswith(_TABLES) else set(options)
    if unknown := sorted(set(options) - allowed):
        hint = f"known here: {', '.join(sorted(allowed))}" if allowed else "it takes none: the file says it all"
        raise OperatorError(f"world {text!r}: unknown option {unknown[0]!r}", hint=hint)
    if options.get("pool", "source") not in get_args(Pool) and name == "tape":
        raise OperatorError(f"world {text!r}: unknown pool", hint=f"it is {' or '.join(get_args(Pool))}")
    module, colon, rest = name.partition(":")
    if name != "tape" and not (module and colon and rest):
        raise OperatorError(f"{text!r} is no world", hint="it is tape, tables:FILE, MODULE:CLASS or mcp:COMMAND")
