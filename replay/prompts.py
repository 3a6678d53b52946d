"""Edits of a system prompt, each declared by a word, each saying what it changed.

drop-role            role words go ("You are a strict auditor."), an instruction in the same sentence stays
reorder-paragraphs   paragraphs in another order
reorder-sentences    sentences and lines in another order, each within its paragraph
reorder              paragraphs; sentences where there is one paragraph
replace              paraphrases that the user supplies: old text to new text

The same text and seed give the same edit, whichever task it stands in.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """`before` and `after` as they stand in the prompt; one of them may be empty."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Edited:
    text: str
    changes: tuple[Change, ...]
    """None where the edit found nothing to change."""


Edit = Callable[[str, int], Edited]
"""From a text and a seed."""

_AS = (
    r"as (?:an?|the|our)\b(?! (?:rule|result|consequence|reminder|example|first|last|fallback|matter|side)\b)"
    r"[^.,;!?\n]{1,80},"
)
_ROLE = re.compile(
    r"(?:^[ \t]*|(?<=[.!?][ \n]))"
    r"(?:(?:you are|you're|act as|acting as|your role is(?: to be| that of)?|play the role of|pretend to be|"
    r"(?:pretend|imagine) you are)\s+(?:(?:an?|the|our|one of)\b|(?-i:[A-Z]))|" + _AS + r")"
    r"[^\n]*?(?:[.!?](?=\s|$)|$)",
    re.IGNORECASE | re.MULTILINE,
)
_INSTRUCTS = re.compile(
    r"(?:[,;:]|\b(?:and|who|that|which|but|so)\b)[\s,]*(?:you\s+)?"
    r"(?=(?:must|should|shall|may|will|can|cannot|never|always|do not|don't|only|have to|need to|ought to)\b)",
    re.IGNORECASE,
)
_AS_ROLE = re.compile(r"[ \t]*" + _AS + r"\s*", re.IGNORECASE)
_PARAGRAPH_END = re.compile(r"\n(?:[ \t]*\n)+")
_SENTENCE_END = re.compile(r"(?<=[^\d\s][.!?])[ \t]+(?=[^\sa-z])|\n")


def drop_role(text: str, seed: int) -> Edited:
    changes: list[Change] = []
    kept: list[str] = []
    at = 0
    for match in _ROLE.finditer(text):
        sentence = match[0]
        rest = _instruction(sentence)
        end = match.end()
        if not rest:  # the gap that it leaves goes with it: the spaces behind it, or an empty line
            gap = re.compile(r"\s*" if text[: match.start()].strip() == "" else r"[ \t]*").match(text, end)
            end = gap.end() if gap else end
        kept += (text[at : match.start()], rest)
        changes.append(Change("role words dropped", sentence.strip(), rest))
        at = end
    return Edited("".join([*kept, text[at:]]), tuple(changes))


def _instruction(sentence: str) -> str:
    """What a role sentence asks for beside the role, as a sentence of its own; empty where it asks for nothing."""
    begins = _AS_ROLE.match(sentence) or _INSTRUCTS.search(sentence)
    rest = sentence[begins.end() :].strip() if begins else ""
    return rest[:1].upper() + rest[1:]


def reorder(text: str, seed: int) -> Edited:
    edited = reorder_paragraphs(text, seed)
    return edited if edited.changes else reorder_sentences(text, seed)


def reorder_paragraphs(text: str, seed: int) -> Edited:
    return _shuffled(text, _PARAGRAPH_END, "paragraphs reordered", random.Random(seed))  # noqa: S311 (repeatable)


def reorder_sentences(text: str, seed: int) -> Edited:
    source = random.Random(seed)  # noqa: S311 (repeatable)
    paragraphs, gaps = _split(text, _PARAGRAPH_END)
    edited = [_shuffled(one, _SENTENCE_END, "sentences reordered", source) for one in paragraphs]
    return Edited(
        _joined([one.text for one in edited], gaps), tuple(change for one in edited for change in one.changes)
    )


def replacing(replacements: Mapping[str, str]) -> Edit:
    """Each old text wherever it stands, the longest first; what one replacement brought is not replaced again."""
    longest_first = sorted(replacements, key=len, reverse=True)
    pattern = re.compile("|".join(re.escape(old) for old in longest_first)) if longest_first else None

    def replace(text: str, seed: int) -> Edited:
        found = dict.fromkeys(pattern.findall(text)) if pattern is not None else {}
        changes = tuple(Change("replaced", old, replacements[old]) for old in found if replacements[old] != old)
        if pattern is None or not changes:
            return Edited(text, ())
        return Edited(pattern.sub(lambda match: replacements[match[0]], text), changes)

    return replace


EDITS: Mapping[str, Edit] = {
    "drop-role": drop_role,
    "reorder": reorder,
    "reorder-paragraphs": reorder_paragraphs,
    "reorder-sentences": reorder_sentences,
}


def _shuffled(text: str, ends: re.Pattern[str], what: str, source: random.Random) -> Edited:
    """The parts between `ends` in another order; what stands between them keeps its place. Equal parts, or one alone,
    have no other order.
    """
    parts, gaps = _split(text, ends)
    filled = [at for at, part in enumerate(parts) if part.strip()]
    if len({parts[at] for at in filled}) < 2:
        return Edited(text, ())
    order = list(filled)
    while [parts[at] for at in order] == [parts[at] for at in filled]:
        source.shuffle(order)
    moved = list(parts)
    for here, there in zip(filled, order, strict=True):
        moved[here] = parts[there]
    numbers = ", ".join(str(filled.index(at) + 1) for at in order)
    return Edited(_joined(moved, gaps), (Change(f"{what}: {numbers}", text, _joined(moved, gaps)),))


def _split(text: str, ends: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """Parts, and what stands between each and the next."""
    parts: list[str] = []
    gaps: list[str] = []
    at = 0
    for match in ends.finditer(text):
        parts.append(text[at : match.start()])
        gaps.append(match[0])
        at = match.end()
    return [*parts, text[at:]], gaps


def _joined(parts: Sequence[str], gaps: Sequence[str]) -> str:
    return "".join(part + gap for part, gap in zip(parts, [*gaps, ""], strict=True))
