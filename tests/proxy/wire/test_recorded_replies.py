"""The neutral reply agrees with what the provider's own SDK reads out of the same bytes, for every recorded reply."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from proxy.wire.choose import wire_at, wire_of
from proxy.wire.holding import stream_reader
from tests.support import openai_sdk, sdk_views
from tests.support.cassettes import Recorded, cassettes, recorded_in
from tests.support.judging import Judge, Waiting, restoring, streamed
from tests.support.seen import Seen, seen_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.wire.format import Wire

VIEWS: dict[str, tuple[Callable[[bytes], Seen], Callable[[bytes], Seen]]] = {
    "openai": (sdk_views.chat, sdk_views.accumulated_chat),
    "compatible": (sdk_views.chat, sdk_views.chat_chunks),
    "mistral": (sdk_views.mistral, sdk_views.mistral_chunks),
    "openai.responses": (sdk_views.response, sdk_views.accumulated_response),
    "anthropic.messages": (sdk_views.message, sdk_views.accumulated_message),
    "gemini.generate": (sdk_views.generated, sdk_views.generated_stream),
}
"""What the SDK reads of a whole reply and of a stream: through its own accumulator where it has one that the streams of
these servers do not break.
"""
AT_LEAST = {
    "openai": (220, 95), "compatible": (165, 15), "mistral": (35, 12),
    "openai.responses": (160, 50), "anthropic.messages": (190, 35), "gemini.generate": (185, 20),
}  # fmt: skip
# The SDK joins a name that is repeated with each piece of the arguments; it means one call of one tool.
REPEATS_A_NAME = {"test_tools_streaming_variant_a.yaml#0": b'"name":"llm_version",'}


def provider_of(one: Recorded) -> str | None:
    """None for what has no SDK here, and for a count of tokens, which is no reply."""
    wire = wire_of(one.method, one.path)
    if one.path.endswith((":countTokens", "/count_tokens", "/input_tokens")):
        return None
    if wire != "openai.chat":
        return wire if wire in VIEWS else None
    if "mistral" in one.host:
        return "mistral"
    return "openai" if one.host.endswith(("api.openai.com", "openai.azure.com")) else "compatible"


def recorded_of(provider: str) -> list[Recorded]:
    return [one for cassette in cassettes() for one in recorded_in(cassette) if provider_of(one) == provider]


def spoken(one: Recorded) -> Wire:
    return wire_at(wire_of(one.method, one.path) or "", f"{one.path}?{one.query}" if one.query else one.path)


@pytest.mark.parametrize("provider", VIEWS)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
def test_whole_replies_pass_and_read_as_the_sdk_reads_them(provider: str) -> None:
    read = 0
    for one in recorded_of(provider):
        if one.status != 200 or one.is_event_stream:
            continue
        got = spoken(one).read_reply(one.answered, restoring(["no such tool"]))
        assert (got.client is not None, got.client_reply) == (True, None), one.name
        assert got.client == one.answered
        assert (one.name, seen_of(got.reply)) == (one.name, VIEWS[provider][0](one.answered))
        read += 1
    assert read >= AT_LEAST[provider][0]


@pytest.mark.parametrize("provider", VIEWS)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
def test_streams_pass_and_read_as_the_sdk_reads_them(provider: str) -> None:
    read = 0
    for one in recorded_of(provider):
        if not one.is_event_stream:
            continue
        read += 1
        reader = spoken(one).stream(Judge(("no such tool",)))
        assert (one.name, streamed(reader, [one.answered])) == (one.name, one.answered)
        assert not reader.edited
        reply, shown = reader.reply(), reader.client_reply()
        assert (shown.text, shown.calls) == (reply.text, reply.calls)
        if reader.failed:
            with pytest.raises(openai_sdk.errors()):
                openai_sdk.chunks(one.answered)
            continue
        ours, theirs = seen_of(reply), VIEWS[provider][1](one.answered)
        if one.name in REPEATS_A_NAME:
            ((name, arguments),) = theirs.calls
            theirs = replace(theirs, calls=((name[: len(name) // 2], arguments),))
        assert (one.name, ours) == (one.name, theirs)
    assert read >= AT_LEAST[provider][1]


def without_repeated_name(one: Recorded) -> bytes:
    """Where arguments are judged, nobody has judged them as those of a tool with the joined name."""
    name = REPEATS_A_NAME.get(one.name)
    if name is None:
        return one.answered
    head, told, rest = one.answered.partition(name)
    return head + told + rest.replace(name, b"")


@pytest.mark.parametrize("provider", VIEWS)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
def test_calls_of_streams_wait_for_their_arguments_and_pass_or_are_text(provider: str) -> None:
    calls = 0
    for one in recorded_of(provider):
        if not one.is_event_stream:
            continue
        plain = spoken(one).stream(Judge())
        streamed(plain, [one.answered])
        waiting = Waiting()
        reader = stream_reader(spoken(one).stream, waiting)
        out = streamed(reader, one.answered.splitlines(keepends=True))
        assert (one.name, out) == (one.name, without_repeated_name(one))
        assert (one.name, reader.reply()) == (one.name, plain.reply())
        judged = sorted((name, said) for (name, _), said in zip(waiting.asked, waiting.arguments, strict=True))
        assert (one.name, judged) == (one.name, sorted((call.name, call.arguments) for call in plain.reply().calls))
        calls += len(judged)
        refusing = stream_reader(spoken(one).stream, Waiting(refuses=True))
        out = streamed(refusing, [one.answered])
        if not refusing.failed:
            assert (one.name, VIEWS[provider][1](out).calls) == (one.name, ())
    assert calls > 0
