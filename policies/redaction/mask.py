"""Replacing what a detector finds by pseudonyms."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from policies.redaction.finding import Detector
from policies.redaction.pseudonyms import Vault
from policies.redaction.tokens import TOKEN
from trajectory.errors import ClientError

_MAX_ROUNDS = 6
_OPEN = frozenset("\0 \t\r\n\"'`()[]{}<>,;:=|/?&!*#\\")

Span = tuple[int, int, str]
"""Start and end in the text that is being masked, and the token that takes the place."""


@dataclass(frozen=True, slots=True)
class Masked:
    """`edits` are (start, end, replacement) over the text that came in, in order and apart; apply them from the right.

    `counts` says how many places were masked, by kind; empty when nothing was found, and then `text` is the one
    that came in.
    """

    text: str
    edits: tuple[Span, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)


def mask(text: str, detector: Detector, vault: Vault, *, key: str = "") -> Masked:
    """Every value that `vault` has issued and everything that `detector` finds becomes a token of `vault`.

    Masking the result again changes nothing: rounds are made until nothing is found. A text made of restored values
    masks back to the same tokens where each stands between spaces, quotes, brackets or other punctuation; one that is
    part of a longer value (`first.bob@example.org`) is masked with it. Raises what the detector raises.
    """
    edits: list[Span] = []
    masked = text
    for _ in range(_MAX_ROUNDS):
        spans = _spans(masked, detector, vault, key)
        if not spans:
            return Masked(masked, tuple(edits), _counted(edits)) if edits else Masked(text)
        masked, edits = _applied(masked, spans), _over_original(edits, spans)
    raise ClientError("redaction of a text came to no end")


def _spans(text: str, detector: Detector, vault: Vault, key: str) -> list[Span]:
    blanked = TOKEN.sub(lambda match: "\0" * len(match.group()), text) if "PII_" in text else text
    issued = vault.find(blanked) if len(vault) else []
    # first what stands alone exactly as it was issued, so that restored history gets its old tokens
    alone = [span for span in issued if _stands_alone(blanked, span)]
    if alone:
        return alone
    found = list(detector.find(text, key=key))
    spans = [(finding.start, finding.end, "") for finding in found]
    kinds = {(finding.start, finding.end): finding.kind for finding in found}
    spans += [span for span in issued if not any(span[0] < other[1] and other[0] < span[1] for other in spans)]
    return [
        (start, end, token or vault.issue(kinds[start, end], text[start:end])) for start, end, token in sorted(spans)
    ]


def _stands_alone(text: str, span: Span) -> bool:
    start, end, _ = span
    before, after = text[max(0, start - 1) : start], text[end : end + 2]
    closed = not after or after[0] in _OPEN or (after[0] == "." and (len(after) == 1 or after[1] in _OPEN))
    return (not before or before in _OPEN) and closed


def _applied(text: str, spans: list[Span]) -> str:
    for start, end, token in reversed(spans):
        text = text[:start] + token + text[end:]
    return text


def _over_original(edits: list[Span], spans: list[Span]) -> list[Span]:
    """`spans` lie in the text that `edits` made, never inside a token; both together over the original text."""
    merged = list(edits)
    position = shift = 0
    for start, end, token in spans:
        while position < len(edits):
            first, last, replacement = edits[position]
            if first + shift >= start:
                break
            shift += len(replacement) - (last - first)
            position += 1
        merged.append((start - shift, end - shift, token))
    return sorted(merged)


def _counted(edits: list[Span]) -> dict[str, int]:
    return dict(Counter(token.split("_")[1] for _, _, token in edits))
