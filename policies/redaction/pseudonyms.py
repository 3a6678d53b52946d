"""Keyed pseudonyms, and the vault of those that one session has issued.

A token is `PII_<KIND>_<10 letters>`: word characters only, so it looks the same at every level of JSON, URL,
shell or Markdown escaping; no digits, so no detector of numbers fires; no vowels, so it spells no word. The
letters are 42 bits of HMAC-SHA-256 over kind and value: the same value gets the same token in any order, turn or
conversation of a tenant, and nobody without the key can forge or guess one.

The value is taken exactly as written (`Bob@x.org` and `bob@x.org` are two values): only so does restoring a
token give back the very characters that it replaced.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection
from itertools import count

from policies.redaction.known import KnownValues
from policies.redaction.restore import json_escape
from policies.redaction.tokens import KIND, LETTER_COUNT, LETTERS, TOKEN
from trajectory.errors import ClientError

__all__ = ["TOKEN", "Pseudonyms", "Vault"]

_LETTERS_PER_DIGEST = 60  # 19**60 < 2**256
_MIN_KEY_BYTES = 16
_MIN_FINDABLE = 6


class Pseudonyms:
    """Tokens of one tenant. `key` is secret and at least 16 bytes; no method shows it."""

    def __init__(self, key: bytes) -> None:
        if len(key) < _MIN_KEY_BYTES:
            raise ValueError(f"a pseudonym key has at least {_MIN_KEY_BYTES} bytes")
        self._key = key

    def token(self, kind: str, value: str, *, attempt: int = 0) -> str:
        """`attempt` above 0 gives the next letters, for a token that is already taken by another value."""
        if not KIND.fullmatch(kind):
            raise ValueError(f"a kind is 2 to 16 capital letters A to Z, not {kind!r}")
        block, position = divmod(attempt, _LETTERS_PER_DIGEST // LETTER_COUNT)
        text = f"{kind}\0{block}\0{value}".encode("utf-8", "surrogatepass")
        number = int.from_bytes(hmac.new(self._key, text, hashlib.sha256).digest(), "big")
        number //= len(LETTERS) ** (position * LETTER_COUNT)
        letters = []
        for _ in range(LETTER_COUNT):
            number, letter = divmod(number, len(LETTERS))
            letters.append(LETTERS[letter])
        return f"PII_{kind}_{''.join(letters)}"


class Vault:
    """Tokens issued in one session, with their values. Only in memory; the owner drops it with the session.

    Raises ClientError above `max_values`: a session that cannot remember a value must not send its token.
    """

    def __init__(self, pseudonyms: Pseudonyms, *, max_values: int = 100_000) -> None:
        self._pseudonyms = pseudonyms
        self._max_values = max_values
        self._values: dict[str, tuple[str, str]] = {}
        self._tokens: dict[tuple[str, str], str] = {}
        self._spellings: dict[str, str] = {}
        self._findable = KnownValues()

    def __len__(self) -> int:
        return len(self._values)

    def __bool__(self) -> bool:
        return True  # an empty vault is still the session's vault: `vault or other` must not lose it

    def issue(self, kind: str, value: str) -> str:
        issued = self._tokens.get((kind, value))
        if issued is not None:
            return issued
        if len(self._values) >= self._max_values:
            raise ClientError(
                f"this session holds {self._max_values} masked values, the most it may",
                hint="start a new session",
            )
        for attempt in count():
            token = self._pseudonyms.token(kind, value, attempt=attempt)
            if token not in self._values:
                break
        self._remember(token, kind, value)
        return token

    def value(self, token: str) -> str | None:
        """The value that this session masked with `token`; None for any other string."""
        held = self._values.get(token)
        return None if held is None else held[1]

    def kind(self, token: str) -> str | None:
        held = self._values.get(token)
        return None if held is None else held[0]

    def restorable(self, never: Collection[str]) -> Callable[[str], str | None]:
        """A look-up for `restore` that knows only tokens of kinds not in `never`."""
        forbidden = frozenset(never)

        def lookup(token: str) -> str | None:
            held = self._values.get(token)
            return None if held is None or held[0] in forbidden else held[1]

        return lookup

    def merge(self, other: Vault) -> None:
        """Also know what `other` issued (same tenant key). A token that means another value here is left out."""
        for token, (kind, value) in other._values.items():
            if token in self._values or (kind, value) in self._tokens:
                continue
            if len(self._values) >= self._max_values:
                raise ClientError("the merged session would hold too many masked values", hint="start a new session")
            self._remember(token, kind, value)

    def find(self, text: str) -> list[tuple[int, int, str]]:
        """(start, end, token) of each issued value in `text`, not overlapping, the longest first at each place.

        A value also counts in its JSON-escaped spelling, which is how it stands inside tool arguments. Left out are
        values that are ordinary words (under 6 characters, or only letters and under 12): they were masked for the
        place where they stood.
        """
        return [(start, end, self._spellings[text[start:end]]) for start, end, _ in self._findable.find(text)]

    def _remember(self, token: str, kind: str, value: str) -> None:
        self._values[token] = (kind, value)
        self._tokens[(kind, value)] = token
        if len(value) < _MIN_FINDABLE or (value.isalpha() and len(value) < 2 * _MIN_FINDABLE):
            return
        for spelling in (value, json_escape(value, 1)):
            if spelling not in self._spellings:
                self._spellings[spelling] = token
                self._findable.add(kind, spelling)
