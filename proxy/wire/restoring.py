"""Values in place of pseudonyms in JSON that is whole: edits of spans, so that all other bytes stay."""

from __future__ import annotations

from functools import partial

from policies.redaction.restore import json_escape, restore
from proxy.wire.format import Lookup
from proxy.wire.spans import Edit


def span_edits(data: bytes, start: int, end: int, lookup: Lookup, levels: int = 1) -> list[Edit]:
    """Restore the JSON value at `start` to `end`. A string may be JSON itself, so its values lie `levels` deep in
    strings; an object or a list holds its strings one level up.
    """
    raw = data[start:end].decode()
    text = restore(raw, lookup, partial(json_escape, levels=levels if raw[:1] == '"' else 1))
    return [Edit(start, end, text.encode())] if text != raw else []
