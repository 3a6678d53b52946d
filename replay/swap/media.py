"""Pictures, sounds and files as they stand in the formats: inline as base64, or somewhere by URL."""

from __future__ import annotations

import re
from typing import Literal

from replay.swap.neutral import Media

_DATA_URL = re.compile(r"data:([\w.+/-]*)(?:;[\w=.-]+)*;base64,(.*)", re.DOTALL)


def from_url(kind: Literal["image", "audio", "file"], url: str, name: str = "") -> Media:
    """From a URL, which may hold the data itself."""
    inline = _DATA_URL.fullmatch(url)
    if inline is None:
        return Media(kind, url=url, name=name)
    return Media(kind, inline[1], inline[2], name=name)


def to_url(media: Media) -> str:
    return media.url or f"data:{media.media_type or _usual(media)};base64,{media.data}"


def kind_of(media_type: str) -> Literal["image", "audio", "file"]:
    if media_type.startswith("image/"):
        return "image"
    return "audio" if media_type.startswith("audio/") else "file"


def _usual(media: Media) -> str:
    return {"image": "image/png", "audio": "audio/wav", "file": "application/pdf"}[media.kind]
