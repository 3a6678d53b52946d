"""What is written down of an MCP server's reply while redaction is on: each message masked as the JSON that it is."""

from __future__ import annotations

from policies.redaction.finding import Detector
from policies.redaction.pseudonyms import Vault
from proxy.masking import mask_recorded, texts_of
from proxy.wire.sse import Framer, data_of, with_data
from trajectory.errors import FormatError


def texts_of_reply(data: bytes, *, is_stream: bool) -> tuple[tuple[str, str], ...]:
    """The (text, key) pairs that detection must see before the reply is written down."""
    if not is_stream:
        return texts_of(data)
    pairs: list[tuple[str, str]] = []
    for frame in _frames(data):
        pairs += texts_of(_data(frame) or frame)
    return tuple(pairs)


def mask_reply(data: bytes, detector: Detector, vault: Vault, *, is_stream: bool) -> bytes:
    if not is_stream:
        return mask_recorded(data, detector, vault)
    return b"".join(_masked(frame, detector, vault) for frame in _frames(data))


def _masked(frame: bytes, detector: Detector, vault: Vault) -> bytes:
    raw = _data(frame)
    if not raw:
        return mask_recorded(frame, detector, vault)
    masked = mask_recorded(raw, detector, vault)
    return frame if masked == raw else with_data(frame, masked.replace(b"\r", b" ").replace(b"\n", b" "))


def _frames(data: bytes) -> list[bytes]:
    framer = Framer()
    try:
        return [frame for frame in (*framer.feed(data), framer.rest()) if frame]
    except FormatError:
        return [data]


def _data(frame: bytes) -> bytes:
    try:
        return data_of(frame)
    except FormatError:
        return b""
