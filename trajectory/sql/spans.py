"""How bodies are kept: spans compressed where that helps, and lists of digests packed into one blob."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import zstandard

from trajectory.record import Body
from trajectory.sql.schema import DIGEST_BYTES

RAW, ZSTD = 0, 1
# Below this zstd costs more than it saves: 5 us, as for a longer span, for 50 to 100 bytes (measured 2026-11-23).
_WORTH_COMPRESSING_BYTES = 384
_MAX_SPAN_BYTES = 1 << 31


class Packer:
    """Compresses spans. Not for two threads at once."""

    def __init__(self) -> None:
        # Level 1: 5 us for 1.5 KB of JSON and within some percent of level 3 (measured 2026-11-23).
        self._compressor = zstandard.ZstdCompressor(level=1)

    def packed(self, data: bytes) -> tuple[int, bytes]:
        """Codec and stored bytes: compressed only if that saves at least an eighth."""
        if len(data) >= _WORTH_COMPRESSING_BYTES:
            small = self._compressor.compress(data)
            if len(small) <= len(data) - (len(data) >> 3):
                return ZSTD, small
        return RAW, data


def unpacked(codec: int, data: bytes) -> bytes:
    """Raises zstandard.ZstdError if the stored bytes are broken."""
    if codec == RAW:
        return data
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_SPAN_BYTES)


def joined_digests(body: Body) -> bytes:
    return b"".join([span.digest for span in body])


def split_digests(blob: bytes) -> list[bytes]:
    return [blob[i : i + DIGEST_BYTES] for i in range(0, len(blob), DIGEST_BYTES)]


class Known:
    """Which spans are certainly stored, and in use by which trajectory: a resent span costs one look-up.

    Bounded; what it forgets is only asked of the database again. Correct only as long as nobody deletes:
    the writer clears it when `upkeep.deletions` has moved.
    """

    def __init__(self, *, max_spans: int = 65_536, max_uses: int = 131_072) -> None:
        self._stored: dict[bytes, None] = {}
        self._uses: OrderedDict[str, set[bytes]] = OrderedDict()
        self._use_count = 0
        self._max_spans = max_spans
        self._max_uses = max_uses

    def is_stored(self, digest: bytes) -> bool:
        return digest in self._stored

    def used_by(self, trajectory: str) -> set[bytes]:
        """Digests known to be in use by `trajectory`; not to be changed by the caller."""
        uses = self._uses.get(trajectory)
        if uses is None:
            return set()
        self._uses.move_to_end(trajectory)
        return uses

    def note(self, uses: Iterable[tuple[str, bytes]]) -> None:
        """Remember uses that were committed."""
        for trajectory, digest in uses:
            self._stored[digest] = None
            known = self._uses.get(trajectory)
            if known is None:
                known = self._uses[trajectory] = set()
            if digest not in known:
                known.add(digest)
                self._use_count += 1
        while self._use_count > self._max_uses:
            self._use_count -= len(self._uses.popitem(last=False)[1])
        while len(self._stored) > self._max_spans:
            del self._stored[next(iter(self._stored))]

    def forget(self, trajectory: str) -> None:
        """Nothing of it will be written any more. What it shares with others is only asked of the database again."""
        uses = self._uses.pop(trajectory, set())
        self._use_count -= len(uses)
        for digest in uses:
            self._stored.pop(digest, None)

    def clear(self) -> None:
        self._stored.clear()
        self._uses.clear()
        self._use_count = 0
