"""A judge of replies that refuses some tool names and knows some pseudonyms."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from policies.verdict import Refuse
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import Lookup, StreamReader

TOKEN = "PII_EMAIL_BCDFGHJKMN"
VALUE = 'bob"é\\@example.org'  # needs escapes at each level of JSON


class Judge:
    def __init__(self, refused: Collection[str] = (), values: Mapping[str, str] | None = None) -> None:
        self._refused = refused
        self.lookup: Lookup | None = values.get if values is not None else None
        self.reads_arguments = False
        self.asked: list[tuple[str, str]] = []
        self.arguments: list[str | ArrivingArguments] = []

    def call(self, name: str, call_id: str, arguments: str | ArrivingArguments) -> Refuse | None:
        self.asked.append((name, call_id))
        self.arguments.append(arguments)
        return Refuse("tool_not_allowed", "tools", notice(name), name) if name in self._refused else None

    def question(self, name: str, call_id: str, arguments: str) -> None:
        return None

    def awaits_arguments(self, name: str) -> bool:
        return False

    def passes(self, name: str) -> bool:
        return name not in self._refused and not self.awaits_arguments(name)

    def doubted(self, name: str, why: str) -> Refuse:
        return Refuse("tool_arguments_refused", "tools", why, name)

    def offered(self, tools: Sequence[tuple[str, ...]]) -> frozenset[str]:
        return frozenset()


class Waiting(Judge):
    """Judges every call by its arguments: all pass, or none."""

    def __init__(self, *, refuses: bool = False) -> None:
        super().__init__()
        self.reads_arguments = True
        self._refuses = refuses

    def awaits_arguments(self, name: str) -> bool:
        return True

    def call(self, name: str, call_id: str, arguments: str | ArrivingArguments) -> Refuse | None:
        super().call(name, call_id, arguments)
        assert isinstance(arguments, str), "judged before its arguments were there"
        return Refuse("tool_arguments_refused", "tools", notice(name), name) if self._refuses else None


def notice(name: str) -> str:
    return f'The tool "{name}" is not allowed.'


def restoring(refused: Collection[str] = ()) -> Judge:
    return Judge(refused, {TOKEN: VALUE})


def streamed(reader: StreamReader, parts: list[bytes]) -> bytes:
    """All that the client would get."""
    out = b"".join(step.send + step.last for step in map(reader.feed, parts))
    end = reader.end()
    return out + end.send + end.last
