"""How large prompts are, against what providers counted of recorded ones."""

from __future__ import annotations

import json
from typing import Any

from policies.tokens import likely_tokens, most_tokens
from proxy.prompt_size import CountedPrompt, prompt_size
from proxy.wire.choose import wire_at, wire_of
from proxy.wire.format import HeldTurn
from proxy.wire.holding import stream_reader
from proxy.wire.layout import Layout, read_layout
from tests.support.cassettes import Recorded, cassettes, recorded_in
from tests.support.judging import Judge
from trajectory.conversation import Reply, Usage
from trajectory.errors import FormatError
from trajectory.events import PromptSize

# Cassettes of these do not show what a provider's own tools read; and neither does a request.
OWN_TOOLS = (
    b"web_search", b"web_fetch", b"code_exec", b"codeExec", b"code_interpreter", b"file_search", b"google_search",
    b"url_context", b"googleSearch", b"googleMaps", b"urlContext", b"compound", b"advisor", b"mcp", b"plugins",
    b":online", b"image_generation", b"x_search", b"tool_search", b"memory_2", b"search_context",
)  # fmt: skip


def body(*messages: Any, previous: Layout | None = None, **fields: Any) -> Layout:
    listed = [{"role": "user", "content": one} for one in messages]
    return read_layout(json.dumps({"model": "m", "messages": listed, **fields}).encode(), "messages", previous)


def counted(layout: Layout, tokens: int, size: PromptSize | None = None) -> CountedPrompt:
    reply = Reply(usage=Usage(tokens, 7), id="r1")
    made = CountedPrompt.of("openai/m", layout, size or prompt_size(layout, None, None), reply)
    assert made is not None
    return made


def test_what_the_provider_has_counted_is_not_estimated_again() -> None:
    first = body("a" * 1_000)
    before = counted(first, 300)
    grown = prompt_size(body("a" * 1_000, "b" * 500, previous=first), None, before)
    assert grown.tokens == 300
    assert 500 < grown.text_bytes < 550
    assert most_tokens(grown) < 300 + 550 + 1_025


def test_what_changed_beside_the_conversation_is_new_and_so_is_a_conversation_that_was_rewritten() -> None:
    first = body("a" * 1_000, system="s" * 200)
    before = counted(first, 300)
    other = prompt_size(body("a" * 1_000, "b", system="t" * 200, previous=first), None, before)
    assert (other.tokens, other.text_bytes > 200) == (300, True)
    rewritten = prompt_size(body("z" * 1_000, "b", previous=first), None, before)
    assert (rewritten.tokens, rewritten.text_bytes > 1_000) == (0, True)
    assert rewritten.tokens_per_byte == before.tokens / before.text_bytes, "its text is likely to be as before"


def test_what_is_sent_in_place_of_something_counts_where_it_is_longer() -> None:
    layout = body("a" * 100, "b", tools=[])
    layout.replace_item(0, json.dumps({"role": "system", "content": "c" * 900}).encode())
    layout.put_behind(1, [json.dumps({"role": "tool", "content": "d" * 900}).encode()])
    layout.replace("tools", json.dumps(["e" * 900]).encode())
    assert 2_700 < prompt_size(layout, None, None).text_bytes < 2_900


def test_a_conversation_that_the_provider_keeps_is_as_large_as_it_said_last() -> None:
    layout = body("more")
    known = prompt_size(layout, HeldTurn("r1"), counted(body("a" * 9_000), 3_000))
    assert (known.tokens, known.elsewhere) == (3_007, 0)
    unknown = prompt_size(layout, HeldTurn("r0"), counted(body("a"), 3_000))
    assert (unknown.tokens, unknown.elsewhere) == (0, 1)


def test_what_the_provider_keeps_and_is_named_by_its_id_is_elsewhere() -> None:
    def read(**fields: Any) -> Layout:
        return read_layout(json.dumps({"model": "m", **fields}).encode(), "input", None)

    kept = [{"type": "item_reference", "id": f"msg_{number}"} for number in range(3)]
    assert prompt_size(read(input=kept), None, None).elsewhere == 1
    assert prompt_size(read(input="hi", prompt={"id": "pmpt_1"}), None, None).elsewhere == 1
    assert (
        prompt_size(read(prompt="hi", input=[{"type": "message", "content": "item_reference"}]), None, None).elsewhere
        == 0
    )


def test_media_and_seals_are_no_text_and_tool_data_is() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5_000}}
    size = prompt_size(body([image, {"type": "text", "text": "what is it?"}]), None, None)
    assert (size.media, size.elsewhere, size.data_bytes > 5_000, size.text_bytes < 300) == (1, 0, True, True)
    linked = prompt_size(body([{"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}]), None, None)
    assert (linked.media, linked.elsewhere) == (1, 0)
    stored = prompt_size(body([{"type": "file", "file": {"file_id": "file-1"}}]), None, None)
    assert (stored.media, stored.elsewhere) == (0, 1)
    called = [{"type": "tool_use", "name": "open", "input": {"url": "https://a.test", "data": "B" * 400}}]
    given = prompt_size(body(called), None, None)
    assert (given.media, given.elsewhere, given.data_bytes, given.text_bytes > 400) == (0, 0, 0, True)


def test_what_providers_counted_of_recorded_prompts_is_never_above_the_bound() -> None:
    """1,158 of the recordings have a count, and nothing that only the provider reads."""
    pairs = [pair for cassette in cassettes() for pair in _sized(recorded_in(cassette))]
    assert len(pairs) > 1_100
    assert [(size, told) for size, told in pairs if most_tokens(size) < told] == []
    long = [(size, told) for size, told in pairs if size.counted_bytes + size.text_bytes > 2_000 and not size.media]
    errors = sorted(likely_tokens(size) / told - 1 for size, told in long)
    assert -0.05 < errors[len(errors) // 2] < 0.05
    following = sorted(abs(likely_tokens(size) / told - 1) for size, told in pairs if size.tokens)
    assert following[len(following) // 2] < 0.15


def _sized(exchanges: tuple[Recorded, ...]) -> list[tuple[PromptSize, int]]:
    """The exchanges of a cassette as those of one trajectory; each with what its provider counted."""
    sized: list[tuple[PromptSize, int]] = []
    last: tuple[Layout | None, CountedPrompt | None] = None, None
    for one in exchanges:
        read = _read(one, last[0])
        if read is None:
            continue
        layout, held, reply = read
        size = prompt_size(layout, held, last[1])
        now = CountedPrompt.of("openai/m", layout, size, reply)
        last = layout, now
        if now is not None and not any(name in one.asked for name in OWN_TOOLS):
            sized.append((size, now.tokens))
    return sized


def _read(one: Recorded, previous: Layout | None) -> tuple[Layout, HeldTurn | None, Reply] | None:
    name = wire_of(one.method, one.path)
    if name is None or one.status != 200:
        return None
    wire = wire_at(name, one.path)
    same = previous if previous is not None and previous.list_key == wire.list_key else None
    try:
        layout = read_layout(one.asked, wire.list_key, same)
        if wire.read_request(layout, one.path).counts:
            return None
        if one.is_event_stream or "eventstream" in one.content_type:
            reader = stream_reader(wire.stream, Judge())
            reader.feed(one.answered)
            return layout, wire.held_turn(layout), reader.reply()
        return layout, wire.held_turn(layout), wire.read_reply(one.answered, Judge()).reply
    except FormatError:
        return None
