"""Objects of APIs that take each field in two spellings, camelCase and snake_case (protobuf's JSON mapping)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from trajectory.errors import FormatError

_MAX_KNOWN_KEYS = 32


class Fields(dict[str, Any]):
    """The members of one object by folded name (lower case, no underscores); `keys_as_written` has its own keys."""

    __slots__ = ("keys_as_written",)

    def __init__(self, raw: dict[str, Any], keys: dict[str, str]) -> None:
        """`keys` are those of `raw` by folded name, in its order."""
        super().__init__(zip(keys, raw.values(), strict=True))
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
    written = tuple(raw)
    keys = _known_keys(written) if len(written) <= _MAX_KNOWN_KEYS else _folded_keys(written)
    if len(keys) < len(written):
        twice = next(key for key in written if keys[folded(key)] != key)
        raise FormatError(f"{what} has one field in two spellings: {keys[folded(twice)][:40]!r} and {twice[:40]!r}")
    return Fields(raw, keys)


def _folded_keys(written: tuple[str, ...]) -> dict[str, str]:
    """The first key of each folded name."""
    keys: dict[str, str] = {}
    for key in written:
        keys.setdefault(folded(key), key)
    return keys


@lru_cache(maxsize=1024)
def _known_keys(written: tuple[str, ...]) -> dict[str, str]:
    """The chunks of a stream have the same few sets of keys; nobody changes what is given here."""
    return _folded_keys(written)


@lru_cache(maxsize=4096)
def folded(key: str) -> str:
    return key.replace("_", "").lower()


def camel(key: str) -> str:
    """`key` in camelCase, the name that the API's reference uses."""
    first, *rest = key.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
