"""Reading an object so that nothing of it gets lost in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.wire.spelling import folded
from trajectory.conversation import Text
from trajectory.runs import Loss, LossKind

CACHE = "marks and keys of a cache mean nothing to another provider, and were left out"
REASONING = "another model's reasoning is bound to it, and was left out"
OWN_REASONING = "the agent does not get to see it; it goes back to the candidate as it was"
PROVIDER_RUN = "it is run by the provider, and was left out"
FILE_ID = "a file that lies at its provider cannot be fetched from there"
_NOTHING: tuple[Any, ...] = (None, False, "", [], {})


class Losses:
    """What was lost, each once, in the order in which it was first seen."""

    def __init__(self) -> None:
        self._found: dict[Loss, None] = {}
        self.spelling: Mapping[str, str] = {}
        """How the format that is read calls the settings of the neutral request, where it calls them otherwise."""

    def add(self, kind: LossKind, where: str, what: str) -> None:
        self._found[Loss(kind=kind, where=where, what=what)] = None

    def setting(self, name: str, what: str = "it is not available there, and was left out") -> None:
        self.add("parameter", self.spelling.get(name, name), what)

    def all(self) -> tuple[Loss, ...]:
        return tuple(self._found)

    def __iter__(self) -> Iterator[Loss]:
        return iter(self._found)


class Taking:
    """One JSON object, taken key by key. What nobody has taken when it is closed is a loss.

    With `folds`, keys are matched as Google's APIs take them, in camelCase or snake_case. A value that is null or of
    another type than was asked for is not taken; a null needs no report.
    """

    def __init__(self, value: object, where: str, losses: Losses, *, folds: bool = False) -> None:
        self.where, self.losses, self._folds = where, losses, folds
        self._left: dict[str, tuple[str, Any]] = {}
        if isinstance(value, dict):
            self._left = {self._name(str(key)): (str(key), one) for key, one in value.items()}
        elif value is not None:
            losses.add("unknown", where, "it is no object, and was left out")

    def take(self, key: str, *kinds: type) -> Any:
        """The value of one of `kinds` (any, if none is given); None if there is none such."""
        name = self._name(key)
        value = self._left.get(name, (key, None))[1]
        if value is None or (kinds and (not isinstance(value, kinds) or _is_false_number(value, kinds))):
            return None
        del self._left[name]
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings, or one string alone."""
        value = self.take(key, str, list)
        listed = [value] if isinstance(value, str) else value or []
        return tuple(one for one in listed if isinstance(one, str))

    def inner(self, key: str) -> Taking | None:
        """The object at `key`, to be taken and closed like this one."""
        value = self.take(key, dict)
        return None if value is None else Taking(value, self.at(key), self.losses, folds=self._folds)

    def lose(self, kind: LossKind, what: str, *keys: str) -> None:
        """These keys are not carried. One that says nothing (false, empty) is no loss."""
        for key in keys:
            written, value = self._left.pop(self._name(key), (key, None))
            if value not in _NOTHING:
                self.losses.add(kind, self.at(written), what)

    def without(self, *keys: str) -> None:
        """These keys say nothing that would have to come over."""
        for key in keys:
            self._left.pop(self._name(key), None)

    def forget(self) -> None:
        """The whole object has been named as a loss already."""
        self._left.clear()

    def close(self, kind: LossKind = "parameter", what: str = "it is not available there, and was left out") -> None:
        for written, value in self._left.values():
            if value is not None:
                self.losses.add(kind, self.at(written), what)
        self._left.clear()

    def at(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def _name(self, key: str) -> str:
        return folded(key) if self._folds else key


def _is_false_number(value: object, kinds: tuple[type, ...]) -> bool:
    """True is an int to Python, and no number to anybody else."""
    return isinstance(value, bool) and bool not in kinds


def text_parts(value: object, where: str, losses: Losses) -> list[Text]:
    """A text alone, or a list of blocks of text."""
    if isinstance(value, str):
        return [Text(value)] if value else []
    found: list[Text] = []
    for block in value if isinstance(value, list) else ():
        one = Taking(block, f"{where}[]", losses)
        text = one.take("text", str)
        one.without("type")
        one.lose(
            "cache", "marks of a cache mean nothing to another provider", "cache_control", "prompt_cache_breakpoint"
        )
        one.close("text")
        if text:
            found.append(Text(text))
        elif text is None:
            losses.add("unknown", f"{where}[]", "it is no text, and was left out")
    if value is not None and not isinstance(value, str | list):
        losses.add("unknown", where, "it is no text, and was left out")
    return found
