"""What is written down of an MCP server's reply while redaction is on: each message masked as the JSON that it is."""

from __future__ import annotations

from dataclasses import dataclass

from policies.redaction.finding import Detector
from policies.redaction.pseudonyms import Vault
from proxy.recordable import Recordable
from proxy.wire.sse import Framer, data_of, with_data
from trajectory.errors import FormatError


@dataclass(frozen=True, slots=True)
class RecordableReply:
    """One message, or a stream of events with a message each."""

    _pieces: tuple[tuple[bytes, Recordable], ...]
    """Each frame of a stream with what is read of it; a message alone is its own frame."""

    @classmethod
    def of(cls, data: bytes, *, is_stream: bool) -> RecordableReply:
        frames = _frames(data) if is_stream else [data]
        return cls(tuple((frame, Recordable.of(_data(frame) if is_stream else frame)) for frame in frames))

    def texts(self) -> tuple[tuple[str, str], ...]:
        """The (text, key) pairs that detection must see before the reply is written down."""
        return tuple(pair for _, read in self._pieces for pair in read.texts)

    def masked(self, detector: Detector, vault: Vault) -> bytes:
        return b"".join([_masked(frame, read, detector, vault) for frame, read in self._pieces])


def _masked(frame: bytes, read: Recordable, detector: Detector, vault: Vault) -> bytes:
    masked = read.masked(detector, vault)
    if masked is read.data:
        return frame
    return masked if read.data is frame else with_data(frame, masked.replace(b"\r", b" ").replace(b"\n", b" "))


def _frames(data: bytes) -> list[bytes]:
    framer = Framer()
    try:
        return [frame for frame in (*framer.feed(data), framer.rest()) if frame]
    except FormatError:
        return [data]


def _data(frame: bytes) -> bytes:
    """Of a frame without a message, the frame itself."""
    try:
        return data_of(frame) or frame
    except FormatError:
        return frame
