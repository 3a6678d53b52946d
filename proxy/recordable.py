"""A body on its way into the record, read once: what detection must see of it, and how it may be written down."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from policies.redaction.finding import Detector
from policies.redaction.pseudonyms import Vault
from proxy.masking import content_texts, mask_json, mask_plain, mask_text, needs_mask
from proxy.wire.spans import Edit, Texts, apply_edits, keys_and_numbers, raw_offsets, read_value, unescaped
from proxy.wire.strings import collected
from trajectory.errors import FormatError

_MIN_DIGITS = 7
_MIN_KEY = 4
# Finds every number that is long enough, and what looks like one inside strings.
_LONG_NUMBER = re.compile(rb"[-0-9][-+.0-9eE]{6,}")


@dataclass(frozen=True, slots=True)
class Recordable:
    """`texts` are the (text, key) pairs that detection must have seen before `masked` is asked for."""

    data: bytes
    texts: tuple[tuple[str, str], ...] = ()
    _text: str | None = None
    """None where the bytes are no text."""
    _strings: Texts | None = None
    """Of JSON: its string values. None where it is none."""
    _value: Any = None

    @classmethod
    def of(cls, data: bytes) -> Recordable:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return cls(data)
        if text.lstrip()[:1] in ("{", "["):
            with suppress(FormatError):  # it only looks like JSON
                return cls.of_json(data, read_value(data))
        return cls(data, ((text, ""),) if text else (), text)

    @classmethod
    def of_json(cls, data: bytes, value: Any) -> Recordable:
        """`value` is what `data` says."""
        strings = collected(value)
        return cls(data, tuple(content_texts(strings, has_structure=False)), data.decode(), strings, value)

    def masked(self, detector: Detector, vault: Vault) -> bytes:
        """JSON and other text masked, anything else left out but for its size; `data` itself if nothing is found."""
        if self._text is None:
            return f"[{len(self.data)} bytes that are not text: not recorded while redaction is on]".encode()
        if self._strings is not None:
            try:
                return self._masked_json(self._strings, detector, vault)
            except (FormatError, ValueError, IndexError):
                pass  # its strings cannot be told apart byte by byte
        masked = mask_plain(self._text, detector, vault)
        return self.data if masked is self._text else masked.encode()

    def _masked_json(self, strings: Texts, detector: Detector, vault: Vault) -> bytes:
        """In most bodies nothing is found: only where something is are the places looked for."""
        masked = self.data
        if needs_mask(strings, detector, vault, has_structure=False):
            masked = mask_json(masked, detector, vault, has_structure=False)[0]
        if any(mask_text(text, detector, vault) for text in self._keys_and_numbers()):
            masked = _mask_keys_and_numbers(masked, detector, vault)
        return masked

    def _keys_and_numbers(self) -> set[str]:
        """Keys of objects and numbers hold personal data too, in what tools answer."""
        found = {number.decode() for number in _LONG_NUMBER.findall(self.data)}
        containers = [self._value]
        while containers:
            inside = containers.pop()
            if type(inside) is dict:
                found.update(inside)
                inside = inside.values()
            containers += [value for value in inside if type(value) is dict or type(value) is list]
        return {text for text in found if len(text) >= _MIN_KEY}


def _mask_keys_and_numbers(raw: bytes, detector: Detector, vault: Vault) -> bytes:
    """A masked number becomes a string."""
    edits: list[Edit] = []
    for leaf in keys_and_numbers(raw):
        inside = raw[leaf.start : leaf.end]
        is_number = not leaf.key
        if len(inside) < (_MIN_DIGITS if is_number else _MIN_KEY):
            continue
        text = inside.decode() if is_number else unescaped(inside)
        replaced = mask_text(text, detector, vault)
        if replaced and is_number:
            edits.append(Edit(leaf.start, leaf.end, b'"' + replaced[0][2].encode() + b'"'))
        elif replaced:
            offsets = raw_offsets(inside, text)
            edits += [Edit(leaf.start + offsets[a], leaf.start + offsets[b], t.encode()) for a, b, t in replaced]
    return apply_edits(raw, edits) if edits else raw
