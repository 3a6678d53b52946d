"""Tools simulated by a Python class: it keeps a state, and each run has an instance of its own.

A simulator is declared as MODULE:CLASS?option=value&…; the module is found as Python finds it, from the working
directory on. A class needs `CLASS(start)` and `call`. `load(options)`, a class method, is optional: it is called once a
bake-off, and what it returns is `start.data` of every run, which must leave it as it is.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

from replay.world.asked import AskedWorld
from replay.world.contract import ToolError, UnknownToolError
from replay.world.kinds import ToolKinds
from replay.world.tape import Recording
from trajectory.errors import OperatorError

__all__ = [
    "SimulatedWorld",
    "Simulator",
    "SimulatorClass",
    "SimulatorSnapshot",
    "Start",
    "ToolError",
    "UnknownToolError",
    "content_digest",
    "file_digest",
    "load_simulator",
]


@dataclass(frozen=True, slots=True)
class Start:
    """What a run's simulator starts from. `recordings` are the results recorded in the task's own source."""

    seed: int
    task: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    data: Any = None
    recordings: tuple[Recording, ...] = ()


class Simulator(Protocol):
    def call(self, tool: str, arguments: dict[str, Any]) -> object:
        """A string is the result as it stands; anything else becomes JSON. Raises ToolError and UnknownToolError.

        Time, randomness and names come from the seed and the state: the same calls give the same results.
        """


class SimulatorClass(Protocol):
    def __call__(self, start: Start) -> Simulator: ...


@dataclass(frozen=True)
class SimulatorSnapshot:
    """`data` is what the class loaded; `content` the digest of its source, its options and the files that they name."""

    make: SimulatorClass
    start_from: Start
    content: str
    kinds: ToolKinds = field(default_factory=ToolKinds)

    @cached_property
    def digest(self) -> str:
        hashed = hashlib.blake2b(self.content.encode(), digest_size=16)
        hashed.update(self.start_from.task.encode())
        for one in self.start_from.recordings:
            hashed.update(repr((one.tool, one.arguments, one.text, one.is_error)).encode("utf-8", "surrogatepass"))
        return hashed.hexdigest()

    async def start(self, seed: int) -> SimulatedWorld:
        begun = self.start_from
        simulator = self.make(Start(seed, begun.task, begun.options, begun.data, begun.recordings))
        return SimulatedWorld(simulator, self.kinds)


class SimulatedWorld(AskedWorld):
    def __init__(self, simulator: Simulator, kinds: ToolKinds) -> None:
        super().__init__(_InPython(simulator), "simulated", kinds, "the simulator")


class _InPython:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def call(self, tool: str, arguments: dict[str, Any]) -> str:
        result = self._simulator.call(tool, arguments)
        return result if isinstance(result, str) else _json(result)

    async def close(self) -> tuple[str, ...]:
        return ()


def _json(value: object) -> str:
    return json.dumps(value, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise TypeError(f"a simulator returned {type(value).__name__}, which is no JSON value")


def load_simulator(name: str, options: Mapping[str, str]) -> SimulatorSnapshot:
    """The snapshot of MODULE:CLASS without task and recordings. OperatorError if there is no such class, or its
    data cannot be loaded.
    """
    made = _class(name)
    load = getattr(made, "load", None)
    try:
        data = None if load is None else load(options)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise OperatorError(f"simulator {name} cannot load its data: {reason}", hint="check its options") from error
    content = hashlib.blake2b(name.encode(), digest_size=16)
    for part in (*_sources(made), *(f"{key}={content_digest(options[key])}" for key in sorted(options))):
        content.update(part.encode() + b"\0")
    return SimulatorSnapshot(cast("SimulatorClass", made), Start(0, options=options, data=data), content.hexdigest())


def _class(name: str) -> type:
    module_name, _, class_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:  # the installed command does not look there, and users' simulators stand there
        sys.path.insert(0, here)
    try:
        made = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        hint = "it is MODULE:CLASS, found from the working directory on"
        raise OperatorError(f"there is no simulator {name}: {error}", hint=hint) from error
    if not isinstance(made, type) or not callable(getattr(made, "call", None)):
        raise OperatorError(f"{name} is no simulator", hint="it must be a class with a method call(tool, arguments)")
    return made


def _sources(made: type) -> list[str]:
    """Digests of the files that define the class and its ancestors, and of what they import from their own folder."""
    pending = {one.__module__ for one in made.__mro__}
    root = Path(inspect.getfile(made)).resolve().parent
    seen: dict[str, str] = {}
    while pending:
        name = pending.pop()
        file = getattr(sys.modules.get(name), "__file__", None)
        if name in seen or file is None:
            continue
        seen[name] = file_digest(Path(file))
        if Path(file).resolve().is_relative_to(root):
            pending |= {one for one in _imports(Path(file), name) if _is_below(one, root)}
    return sorted(seen.values())


def _imports(file: Path, module: str) -> Iterator[str]:
    """Names of modules that the source may mean; names within them too, as they may be modules."""
    package = module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            source = importlib.util.resolve_name(name, package) if node.level else name
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def _is_below(module: str, root: Path) -> bool:
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(root)


def content_digest(value: str) -> str:
    """Of an option's text; of the content where it names a file or folder: where that stands is not what a run depends
    on.
    """
    path = Path(value)
    if path.is_file():
        return file_digest(path)
    if path.is_dir():
        files = sorted(one for one in path.rglob("*") if one.is_file())
        return " ".join(f"{one.relative_to(path).as_posix()} {file_digest(one)}" for one in files)
    return value


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
