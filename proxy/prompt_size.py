"""How large a prompt is: what its provider counted of it before, and the bytes that are new since then.

Weighed is what a body brings; what an earlier request of the trajectory held already, its provider has counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import Struct

from proxy.wire.format import HeldTurn
from proxy.wire.layout import Layout, Section
from proxy.wire.strings import SealedKey, ToolKey
from trajectory.conversation import Reply
from trajectory.events import PromptSize

_SEALS = frozenset({"signature", "encrypted_content", "thoughtSignature", "thought_signature", "redactedContent"})
_DATA = frozenset({"data", "file_data", "bytes", "images"})
_LINKS = frozenset({"url", "image_url", "document_url"})
_REFERENCES = frozenset({"file_id", "file_url", "file_uri", "fileUri", "uri", "cachedContent", "cached_content"})
_KEPT = ("type", "item_reference")
_STORED = "prompt"
"""A text; or, where it is an object, one that the provider keeps."""
_IMAGES = frozenset({"image", "image_url", "input_image"})


class Weight(Struct, frozen=True):
    """As in PromptSize."""

    text_bytes: int
    data_bytes: int = 0
    media: int = 0
    elsewhere: int = 0
    is_kept: bool = False
    """An item of an earlier turn by its id: the provider keeps it."""


@dataclass(frozen=True, slots=True, eq=False)
class CountedPrompt:
    """The last prompt of a trajectory whose answer came in full, with the provider's own count of it.

    `last` and `fields` are the sections that it ended with and had beside its list: a later body with the same ones
    begins with it. `model` is the one that counted, as upstream/model.
    """

    model: str
    tokens: int
    answer_tokens: int
    text_bytes: int
    items: int
    last: Section | None
    fields: dict[str, Section]
    reply: str | None

    @classmethod
    def of(cls, model: str, layout: Layout, size: PromptSize, reply: Reply) -> CountedPrompt | None:
        """None where the provider counted nothing. `size` is that of `layout`."""
        usage = reply.usage
        if usage is None or not usage.input_tokens:
            return None
        return cls(
            model=model,
            tokens=usage.input_tokens,
            answer_tokens=usage.output_tokens or 0,
            text_bytes=size.counted_bytes + size.text_bytes,
            items=len(layout.items),
            last=_own(layout.items[-1].section) if layout.items else None,
            fields={key: _own(placed.section) for key, placed in layout.fields.items()},
            reply=reply.id,
        )

    def by(self, model: str) -> CountedPrompt | None:
        """None where another model counted, which has other tokens."""
        return self if self.model == model else None

    def begins(self, layout: Layout) -> bool:
        at = self.items - 1
        return at >= 0 and len(layout.items) > at and _own(layout.items[at].section) is self.last


def prompt_size(layout: Layout, held: HeldTurn | None, counted: CountedPrompt | None) -> PromptSize:
    """`held` is the turn that the provider keeps and this request goes on from (proxy.wire.format.Wire.held_turn)."""
    tokens, first, elsewhere = 0, 0, 0
    known: dict[str, Section] = {}
    if held is not None:
        if counted is not None and (held.is_latest or held.id == counted.reply):
            tokens = counted.tokens + counted.answer_tokens
        else:
            elsewhere = 1
    elif counted is not None and counted.begins(layout):
        tokens, first, known = counted.tokens, counted.items, counted.fields
    weights = [weight_of(placed.section) for placed in layout.items[first:]]
    for key, placed in layout.fields.items():
        is_list = layout.is_listed and key == layout.list_key
        if not is_list and key not in layout.dropped and known.get(key) is not _own(placed.section):
            weights.append(weight_of(placed.section))
            elsewhere += key in _REFERENCES or (key == _STORED and placed.section.raw.startswith(b"{"))
    elsewhere += any(weight.is_kept for weight in weights)  # together: each is a part of one conversation
    return PromptSize(
        tokens=tokens,
        counted_bytes=counted.text_bytes if counted is not None and tokens else 0,
        text_bytes=sum(weight.text_bytes for weight in weights),
        data_bytes=sum(weight.data_bytes for weight in weights),
        media=sum(weight.media for weight in weights),
        elsewhere=elsewhere + sum(weight.elsewhere for weight in weights),
        tokens_per_byte=counted.tokens / counted.text_bytes if counted is not None and counted.text_bytes else None,
    )


def weight_of(section: Section) -> Weight:
    """Kept with the section, as the turns to come bring it again."""
    known: Weight | None = section.weight
    if known is None:
        known = section.weight = _weighed(section)
    return known


def _weighed(section: Section) -> Weight:
    """Of what is sent in its place, too, where that is longer: another system prompt, a call that is put back."""
    sent = len(section.sent) + sum(len(one.sent) for one in section.behind)
    data, media, elsewhere = 0, 0, 0
    for key, text in section.texts:
        kind = type(key)
        if kind is ToolKey:
            continue
        if kind is SealedKey or key in _SEALS:
            data += len(text)
        elif key in _DATA or (key in _LINKS and text.startswith("data:")):
            data, media = data + len(text), media + 1
        elif key in _REFERENCES or (key in _LINKS and "://" in text[:12]):
            is_image = key == "image_url" or any(one in _IMAGES for _, one in section.texts)
            media, elsewhere = (media + 1, elsewhere) if is_image else (media, elsewhere + 1)
    return Weight(max(0, max(len(section.raw), sent) - data), data, media, elsewhere, _KEPT in section.texts)


def _own(section: Section) -> Section:
    """As the client sent it, whatever is sent in its place."""
    return section.original or section
