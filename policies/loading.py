"""Reads YAML and JSON into pydantic models, with errors that say file, line, column, key, and what to do.

YAML is read by the core schema of YAML 1.2, of which JSON is a part: `yes`, `on` and `12:30` are text, `1e3` is a
number. Duplicate keys, foreign tags, several documents and keys without a value are refused: each of them makes a
file mean something else than it seems to say. No message quotes a value: it may be a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from policies import fields, yaml_tree
from policies.yaml_tree import Empty, Problem, Tree
from trajectory.errors import OperatorError

MOST_SHOWN = 20
_EXPECTED = {
    "model_type": "should be a mapping of keys to values",
    "dict_type": "should be a mapping of keys to values",
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "path_type": "should be a path",
    "string_type": "should be text (in quotes, if it looks like a number or true)",
}


def load_model[M: BaseModel](source: Path | str | bytes, model: type[M], *, name: str | None = None) -> M:
    """Read `source`, a file if it is a Path and the text itself otherwise, into `model`.

    An empty text gives the model's defaults. `name` is how messages call the source. Raises OperatorError: its
    first line is the first problem in the file, further lines are the others.
    """
    shown = name or (str(source) if isinstance(source, Path) else "text")
    tree = yaml_tree.read(_text(source, shown))
    if tree.problems:
        raise _error(shown, tree.problems)
    data = _without_empty_sections(tree, model)
    try:
        loaded = model.model_validate(data)
    except ValidationError as error:
        raise _error(shown, _problems(tree, model, error)) from None
    if tree.empty:
        raise _error(shown, [_no_value(empty) for empty in tree.empty])
    return loaded


def _text(source: Path | str | bytes, shown: str) -> str:
    try:
        data = source.read_bytes() if isinstance(source, Path) else source
    except OSError as error:
        raise OperatorError(
            f"{shown}: cannot be read: {error.strerror}", hint="check the path and its rights"
        ) from None
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise OperatorError(f"{shown}:{line}:{column}: not UTF-8", hint="save the file in UTF-8") from None


def _without_empty_sections(tree: Tree, model: type[BaseModel]) -> Any:
    """The data, where a section whose keys are all commented out takes its defaults.

    Only where a section is the one thing that may stand there: for an optional one it is not clear whether
    nothing or the defaults are meant, and that stays a problem.
    """
    sections = [empty for empty in tree.empty if fields.is_section(model, empty.path)]
    for empty in sections:
        tree.set(empty.path, {})
    tree.empty[:] = [empty for empty in tree.empty if empty not in sections]
    return tree.data


def _no_value(empty: Empty) -> Problem:
    hint = "give it one, write null if none is meant, or remove the key"
    return Problem(empty.line, empty.column, ".".join(map(str, empty.path)), "no value", hint)


@dataclass(frozen=True, slots=True)
class _Found:
    """A pydantic error at its place: the part of its location that the file really has.

    `meant` is where the key would stand that an unknown one was probably meant to be.
    """

    path: tuple[str | int, ...]
    kind: str
    problem: Problem
    meant: tuple[str | int, ...] | None = None


def _problems(tree: Tree, model: type[BaseModel], error: ValidationError) -> list[Problem]:
    found = [_placed(tree, model, line) for line in error.errors(include_url=False, include_input=False)]
    meant = {one.meant for one in found}
    problems: dict[tuple[str | int, ...], Problem] = {}
    for one in found:
        if _is_other_branch(one, found) or (one.kind == "missing" and one.path in meant):
            continue
        known = problems.get(one.path)
        if known is None:
            problems[one.path] = one.problem
        elif one.problem.text not in known.text:
            problems[one.path] = known.or_else(one.problem.text)
    problems.update({empty.path: _no_value(empty) for empty in tree.empty})
    return list(problems.values())


def _placed(tree: Tree, model: type[BaseModel], line: ErrorDetails) -> _Found:
    loc, kind = line["loc"], line["type"]
    if kind == "extra_forbidden":
        path, key, names = tree.existing(loc), str(loc[-1]), fields.names_at(model, loc[:-1])
        problem = tree.problem(path, "unknown key", _key_hint(model, names, key), at_key=True)
        return _Found(path, kind, problem, meant=(*path[:-1], fields.nearest(key, names) or ""))
    if kind == "missing":
        path = tree.existing(loc[:-1])
        whole = (*path, loc[-1])
        return _Found(whole, kind, tree.problem(path, "missing", "", named=whole, at_key=True))
    path = tree.existing(loc)
    text = _EXPECTED.get(kind) or line["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return _Found(path, kind, tree.problem(path, text, ""))


def _is_other_branch(one: _Found, found: Sequence[_Found]) -> bool:
    """Whether `one` only says that a union's other branch did not fit, while the fitting one has errors inside."""
    depth = len(one.path)
    mismatch = one.kind.endswith("_type") or one.kind in ("none_required", "is_instance_of")
    inside = any(other.path[:depth] == one.path and len(other.path) > depth for other in found)
    return mismatch and inside


def _key_hint(model: type[BaseModel], names: Sequence[str], key: str) -> str:
    home = fields.home_of(model, key)
    if home is not None:
        return f'"{key}" belongs under {home}' if home else f'"{key}" belongs at the top of the file'
    nearest = fields.nearest(key, names)
    if nearest:
        return f'did you mean "{nearest}"? keys that may stand here: {", ".join(names)}'
    return f"keys that may stand here: {', '.join(names)}" if names else ""


def _error(shown: str, problems: Sequence[Problem]) -> OperatorError:
    ordered = sorted(problems, key=lambda problem: (problem.line, problem.column))
    lines = [f"{shown}:{ordered[0]}"]
    for other in ordered[1:MOST_SHOWN]:
        lines.append(f"{shown}:{other}" + (f" ({other.hint})" if other.hint else ""))
    if len(ordered) > MOST_SHOWN:
        lines.append(f"and {len(ordered) - MOST_SHOWN} more")
    return OperatorError("\n".join(lines), hint=ordered[0].hint)
