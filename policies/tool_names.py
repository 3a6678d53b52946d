"""Which tools an agent may take a name for, and which calls stand within a call.

Models write names that nobody offered: `functions.bash`, `default_api.bash`, `tools/bash`, `bash<|channel|>json`,
`shell.exec` for `shell_exec`. Some agents refuse them, some take them for the tool that was meant. A rule that
restricts a tool (its arguments, who approves it) must hold for all of these; the allowlist, which permits, knows exact
names only and so refuses them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import msgspec

from policies.arguments.reading import UnclearError, read_arguments
from policies.spelling import folded

PARALLEL = "multi_tool_use.parallel"
"""The call of several calls that OpenAI's models write; agents that know it take it apart."""
_PARALLEL_FOLDED = "multi_tool_use_parallel"
_MAX_WITHIN = 128
_MAX_NAMESPACES = 16
_MAX_SEGMENTS = 64
"""Of a path; what stands further behind is read as one."""

_GARBAGE = re.compile(r"<\|.*", re.DOTALL)  # special tokens of a model's own format
_AROUND = " \"'`()"
_NAMESPACE = re.compile(r"[./:]+")
_JOINTS = re.compile(r"[\s_./:-]+")  # what a client writes as one underscore, or strips, to make a name a valid one


def readings(*names: str) -> frozenset[str]:
    """All that some agent may take these names for, spelled alike: with and without each namespace in front."""
    return frozenset(reading for name in names for reading in _readings(name))


def names_of_path(path: str) -> tuple[str, ...]:
    """A tool's name and, where that is a path, each path above it: a server may serve `pay/1` by its route `pay`."""
    segments = path.split("/", _MAX_SEGMENTS)
    return (path, *("/".join(segments[:end]) for end in range(1, len(segments))))


def _readings(name: str) -> Iterable[str]:
    segments = _NAMESPACE.split(_GARBAGE.sub("", folded(name)).strip(_AROUND))
    starts = {0, *range(max(len(segments) - _MAX_NAMESPACES, 0), len(segments))}
    return [_joined("_".join(segments[at:])) for at in starts]


def _joined(name: str) -> str:
    return _JOINTS.sub("_", name)


@dataclass(frozen=True, slots=True)
class ToolEntry:
    """An entry of a rule that restricts tools: a name, or the beginning of names where it ends in `*`."""

    spelled: str
    is_prefix: bool

    @classmethod
    def of(cls, entry: str) -> Self:
        return cls(_joined(folded(entry.removesuffix("*"))), entry.endswith("*"))

    def concerns(self, read: frozenset[str]) -> bool:
        """Whether a tool with these `readings` may be one that the entry names."""
        if not self.is_prefix:
            return self.spelled in read
        return any(name.startswith(self.spelled) for name in read)


def is_wrapper(name: str) -> bool:
    """Whether a call of this name is there to make other calls."""
    return _PARALLEL_FOLDED in _readings(name)


class _Use(msgspec.Struct, forbid_unknown_fields=True):
    recipient_name: str
    parameters: msgspec.Raw


class _Uses(msgspec.Struct, forbid_unknown_fields=True):
    tool_uses: list[_Use]


def calls_within(arguments: str) -> tuple[tuple[str, str], ...]:
    """Names and arguments of the calls that a wrapper makes. Raises UnclearError where they cannot be told."""
    read_arguments(arguments)  # no key stands twice, at any depth
    try:
        uses = msgspec.json.decode(arguments.encode(), type=_Uses).tool_uses
    except (msgspec.MsgspecError, ValueError):
        raise UnclearError("the calls within it are not a list of 'recipient_name' and 'parameters'") from None
    if not 0 < len(uses) <= _MAX_WITHIN:
        raise UnclearError(f"it does not hold 1 to {_MAX_WITHIN} calls")
    return tuple((use.recipient_name, bytes(use.parameters).decode()) for use in uses)
