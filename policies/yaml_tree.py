"""A YAML or JSON text as plain data, with the place of every key and value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from yaml.composer import Composer
from yaml.error import Mark, MarkedYAMLError, YAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

Path = tuple[str | int, ...]

DEEPEST = 50
MOST_NODES = 100_000
"""More than any file written by people; aliases of aliases would grow without end."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a line and column, both counted from 1."""

    line: int
    column: int
    key: str
    text: str
    hint: str = ""

    def __str__(self) -> str:
        return (
            f"{self.line}:{self.column}: {self.key}: {self.text}"
            if self.key
            else f"{self.line}:{self.column}: {self.text}"
        )

    def or_else(self, text: str) -> Problem:
        return replace(self, text=f"{self.text}, or {text}")


@dataclass(frozen=True, slots=True)
class Empty:
    """A key without a value, as opposed to one that is null."""

    path: Path
    line: int
    column: int


@dataclass(slots=True)
class Tree:
    """`data` is made of dict (keys are text), list, str, int, float, bool and None. `problems` spoil it."""

    data: Any = None
    problems: list[Problem] = field(default_factory=list)
    empty: list[Empty] = field(default_factory=list)
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)

    def existing(self, loc: Sequence[str | int]) -> Path:
        """The path in the file that a location of pydantic means: items that the file lacks are tags, left out."""
        path: Path = ()
        for item in loc:
            if (*path, item) in self.values:
                path = (*path, item)
        return path

    def problem(self, path: Path, text: str, hint: str, *, named: Path = (), at_key: bool = False) -> Problem:
        mark = self.keys.get(path) if at_key else None
        mark = mark or self.values.get(path)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return Problem(line, column, ".".join(map(str, named or path)), text, hint)

    def set(self, path: Path, value: Any) -> None:
        """Replace the value at `path`, which exists and is not the whole."""
        place = self.data
        for item in path[:-1]:
            place = place[item]
        place[path[-1]] = value


def read(text: str) -> Tree:
    """Never raises for what is in `text`; an empty one, or one of comments only, is an empty mapping."""
    tree = Tree()
    as_json = _json(text)
    try:
        # JSON allows tabs between tokens, YAML does not; within strings JSON has none, so columns stay right.
        loader = _Loader(text if as_json is None else text.replace("\t", " "))
        root = loader.get_single_node()
        if root is None or _is_empty(root):
            tree.data = {}
            return tree
        tree.data = _Builder(tree).build(root, (), 0)
    except YAMLError as error:
        tree.problems.append(_syntax_problem(error, text))
    except RecursionError:
        tree.problems.append(Problem(1, 1, "", "nested too deeply"))
    if as_json is not None and not tree.problems:
        tree.data = as_json  # for strings with surrogate pairs, which YAML's escapes do not join
    return tree


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML up to the nodes, with the scalars of YAML 1.2's core schema (section 10.3.2)."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)


_TAG = "tag:yaml.org,2002:"
_SCALARS: tuple[tuple[str, str, list[str]], ...] = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)
for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _first)


def _int(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("neither true nor false")
    return text.lower() == "true"


def _float(text: str) -> float:
    lowered = text.lower()
    return float(lowered.replace(".inf", "inf").replace(".nan", "nan"))


_READ: dict[str, Callable[[str], Any]] = {
    _TAG + "null": lambda text: None,
    _TAG + "bool": _bool,
    _TAG + "int": _int,
    _TAG + "float": _float,
    _TAG + "str": str,
}


class _Builder:
    """Makes data of nodes and notes their places, and what is wrong with them, in `tree`."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._nodes = 0

    def build(self, node: Node, path: Path, depth: int) -> Any:
        self._tree.values[path] = node.start_mark
        self._nodes += 1
        if depth > DEEPEST or self._nodes > MOST_NODES:
            raise MarkedYAMLError(problem="nested too deeply or too large", problem_mark=node.start_mark)
        if isinstance(node, MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path, depth)
        if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
            return [self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        if isinstance(node, ScalarNode) and node.tag in _READ:
            return self._scalar(node, path)
        return self._note(node, path, "this tag is not allowed", "write plain YAML, without !tags")

    def _mapping(self, node: MappingNode, path: Path, depth: int) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._note(key, path, "a key is a single word or text", "")
                continue
            inner = (*path, key.value)
            if key.value in built:
                first = self._tree.keys[inner].line + 1
                self._note(key, inner, f"this key already stands in line {first}", "remove one of the two")
                continue
            self._tree.keys[inner] = key.start_mark
            built[key.value] = self.build(value, inner, depth + 1)
            if _is_empty(value):
                self._tree.empty.append(Empty(inner, key.start_mark.line + 1, key.start_mark.column + 1))
        return built

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        try:
            return _READ[node.tag](node.value)
        except ValueError:
            return self._note(node, path, f"cannot be read as {node.tag.removeprefix(_TAG)}", "")

    def _note(self, node: Node, path: Path, text: str, hint: str) -> None:
        mark = node.start_mark
        key = ".".join(map(str, path))
        self._tree.problems.append(Problem(mark.line + 1, mark.column + 1, key, text, hint))


def _is_empty(node: Node) -> bool:
    """Whether nothing at all is written there (as opposed to null, ~ or an empty text in quotes)."""
    return isinstance(node, ScalarNode) and node.tag == _TAG + "null" and node.value == ""


def _json(text: str) -> Any:
    """The data if `text` is a JSON object or array; None otherwise, and it is read as YAML."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _syntax_problem(error: YAMLError, text: str) -> Problem:
    if isinstance(error, ReaderError):
        before = text[: error.position]
        column = error.position - (before.rfind("\n") + 1) + 1
        return Problem(before.count("\n") + 1, column, "", "a character that YAML does not allow")
    if not isinstance(error, MarkedYAMLError):
        return Problem(1, 1, "", "not YAML")
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = error.problem or error.context or "not YAML"
    if "\\t" in problem:
        return Problem(line, column, "", "a tab where YAML allows only spaces", "indent with spaces")
    if "another document" in problem:
        return Problem(line, column, "", "a second document begins here", "one file holds one document: remove the ---")
    return Problem(line, column, "", problem)
