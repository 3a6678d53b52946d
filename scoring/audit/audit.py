"""Lists behavioural cues in system prompts and tool definitions, each with its place and the words quoted.

A cue is no verdict: an operator may want urgency. It says what else than the model steers the outcome, and what the
author of a tool slipped into the prompt. Nothing found does not mean that there is nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from scoring.audit.cues import IN_TOOLS_ONLY, PATTERNS, Kind
from scoring.audit.reading import fold, invisible_runs
from trajectory.conversation import ToolDefinition
from trajectory.runs import Frozen

_AROUND = 30
_TOO_DEEP = 40
_SAID = ("description", "title", "default", "const", "enum", "examples", "$comment")
"""Keys of a JSON Schema whose text a model reads."""


class Cue(Frozen):
    """Characters `start` to `end` of the text at `where`. `quote` holds them with what stands around, in one line;
    `note` what cannot be seen in it.
    """

    kind: Kind
    where: str
    start: int
    end: int
    span: str
    quote: str
    note: str = ""


def audit(system: Sequence[str], tools: Sequence[ToolDefinition]) -> tuple[Cue, ...]:
    """Cues in the order of the texts, then of their places. `system` holds the system prompts of one agent."""
    found: list[Cue] = []
    for number, text in enumerate(system, start=1):
        where = "system prompt" if len(system) == 1 else f"system prompt {number}"
        found += _cues(text, where, is_tool=False)
    names = [tool.name for tool in tools]
    for tool in tools:
        for place, text in _texts(tool):
            found += _cues(text, f"tool {tool.name}, {place}", is_tool=True)
            found += _shadowing(text, f"tool {tool.name}, {place}", [name for name in names if name != tool.name])
    return tuple(found)


def _cues(text: str, where: str, *, is_tool: bool) -> list[Cue]:
    folded = fold(text)
    found = [
        _cue(kind, where, text, *folded.original(*match.span()))
        for kind, pattern in PATTERNS.items()
        if is_tool or kind not in IN_TOOLS_ONLY
        for match in pattern.finditer(folded.text)
    ]
    found += [_cue("invisible text", where, text, start, end, note) for start, end, note in invisible_runs(text)]
    return sorted(found, key=lambda cue: (cue.start, cue.end, cue.kind))


def _shadowing(text: str, where: str, others: Sequence[str]) -> list[Cue]:
    """A tool that gives orders about another one, by its name."""
    folded = fold(text)
    found = []
    for name in others:
        for order in ("instead of ", "do not use ", "don't use ", "never use ", "before using ", "before calling "):
            start = folded.text.find(order + name.lower())
            if start >= 0:
                span = folded.original(start, start + len(order) + len(name))
                found.append(_cue("tool poisoning", where, text, *span, f"speaks of the tool {name}"))
    return found


def _cue(kind: Kind, where: str, text: str, start: int, end: int, note: str = "") -> Cue:
    before, after = text[max(0, start - _AROUND) : start], text[end : end + _AROUND]
    quote = (
        f"{'…' if start > _AROUND else ''}{before}{text[start:end]}{after}{'…' if end + _AROUND < len(text) else ''}"
    )
    return Cue(
        kind=kind, where=where, start=start, end=end, span=text[start:end], quote=" ".join(quote.split()), note=note
    )


def _texts(tool: ToolDefinition) -> Iterator[tuple[str, str]]:
    """The description, then each text of the parameters' schema that a model reads; what is no JSON as it is."""
    yield "description", tool.description
    try:
        schema = json.loads(tool.schema)
    except (ValueError, RecursionError):
        yield "schema", tool.schema
        return
    yield from _said(schema, "", 0)


def _said(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _TOO_DEEP:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            at = f"{path}.{key}" if path else str(key)
            if key in _SAID and not isinstance(inner, dict):
                yield from ((at, text) for text in _strings(inner))
            else:
                yield from _said(inner, at, depth + 1)
            yield at, str(key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _said(inner, f"{path}[{index}]", depth + 1)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
