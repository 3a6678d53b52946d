"""What is judged is what the other side parses, in every format: no key twice in any object, nothing behind the end.

Readers differ about which of two equal keys counts, and some stop at the end of the first value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from proxy.wire.layout import read_layout
from proxy.wire.mcp import read_message
from tests.support.judging import Judge
from tests.support.spoken import FORMATS, Mcp, Spoken
from trajectory.errors import FormatError

_KEY = re.compile(rb'\{\s*"([^"\\]+)"')
GARBAGE = (b" x", b"{}", b"]", b",", b"null")

each_format = pytest.mark.parametrize("spoken", FORMATS, ids=repr)


def with_a_key_twice(raw: bytes) -> Iterator[bytes]:
    """Each object's first key once more, in front of it and spelled in another way."""
    for match in _KEY.finditer(raw):
        key = match[1]
        for spelled in (key, b"\\u%04x" % key[0] + key[1:]):
            yield raw[: match.start() + 1] + b'"' + spelled + b'":null,' + raw[match.start() + 1 :]


def spoiled(raw: bytes) -> Iterator[bytes]:
    yield from with_a_key_twice(raw)
    yield from (raw + garbage for garbage in GARBAGE)


@each_format
def test_a_request_with_two_readings_is_refused(spoken: Spoken) -> None:
    for body in spoiled(spoken.request):
        with pytest.raises(FormatError):
            if isinstance(spoken, Mcp):
                read_message(body)
            else:
                spoken.wire.read_request(read_layout(body, spoken.wire.list_key), spoken.path)


@each_format
def test_a_whole_reply_with_two_readings_is_refused(spoken: Spoken) -> None:
    for body in spoiled(spoken.whole):
        with pytest.raises(FormatError):
            spoken.read_whole(body)


@each_format
def test_an_event_with_two_readings_ends_the_stream(spoken: Spoken) -> None:
    for place, frame in enumerate(spoken.frames):
        payload = spoken.framing.payload(frame)
        if not payload.startswith(b"{"):
            continue
        for spoiled_payload in spoiled(payload):
            if spoken.stream_type == "application/json" and spoiled_payload == payload + b"{}":
                continue  # one more object of the array, as lenient readers see it: it is judged
            reader = spoken.reader(Judge())
            reader.feed(b"".join(spoken.frames[:place]))
            with pytest.raises(FormatError):
                reader.feed(spoken.framing.with_payload(frame, spoiled_payload))
                reader.feed(b"".join(spoken.frames[place + 1 :]))  # an array goes on after its object
                raise AssertionError((frame, spoiled_payload))


@pytest.mark.parametrize(
    "spoken", [one for one in FORMATS if one.name.startswith(("openai.", "anthropic.", "ollama."))], ids=repr
)
def test_a_request_with_a_judged_key_in_other_case_is_refused(spoken: Spoken) -> None:
    """Servers written in Go take keys in any case: some that speak the APIs of others are."""
    for key in (b"TOOLS", b"Model"):
        body = b'{"' + key + b'":[],' + spoken.request[1:]
        with pytest.raises(FormatError, match="lower case"):
            spoken.wire.read_request(read_layout(body, spoken.wire.list_key), spoken.path)
