"""Objects of APIs that take each field in two spellings, camelCase and snake_case (protobuf's JSON mapping)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from trajectory.errors import FormatError


class Fields(dict[str, Any]):
    """The members of one object by folded name (lower case, no underscores); `keys_as_written` has its own keys."""

    __slots__ = ("keys_as_written",)

    def __init__(self, raw: dict[str, Any], keys: dict[str, str]) -> None:
        super().__init__({name: raw[key] for name, key in keys.items()})
        self.keys_as_written = keys

    def key(self, name: str) -> str:
        """The key of a present field as it is written; `name` is folded."""
        return self.keys_as_written[name]


def fields_of(raw: object, what: str) -> Fields:
    """The fields of an object. FormatError if it is none, or if one field stands there in two spellings: only the
    server knows which of them counts.
    """
    if not isinstance(raw, dict):
        raise FormatError(f"{what} must be an object")
    keys: dict[str, str] = {}
    for key in raw:
        if keys.setdefault(folded(key), key) != key:
            raise FormatError(f"{what} has one field in two spellings: {keys[folded(key)][:40]!r} and {key[:40]!r}")
    return Fields(raw, keys)


@lru_cache(maxsize=4096)
def folded(key: str) -> str:
    return key.replace("_", "").lower()


def camel(key: str) -> str:
    """`key` in camelCase, the name that the API's reference uses."""
    first, *rest = key.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
