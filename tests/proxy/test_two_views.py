"""What every format owes: whatever is refused, the upstream gets a conversation that it takes, in its own words."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.two_views import TwoViews
from proxy.wire.anthropic_messages import AnthropicMessages
from proxy.wire.format import TurnCall
from proxy.wire.gemini import GeminiGenerate
from proxy.wire.gemini_interactions import GeminiInteractions
from proxy.wire.layout import read_layout
from proxy.wire.ollama import OllamaChat
from proxy.wire.openai_chat import OpenAIChat
from proxy.wire.openai_responses import OpenAIResponses
from tests.support.judging import notice
from tests.support.strict import Piece, call, say
from tests.support.strict_chat import StrictChat
from tests.support.strict_gemini import StrictGemini
from tests.support.strict_interactions import StrictInteractions
from tests.support.strict_messages import StrictMessages
from tests.support.strict_ollama import StrictOllama
from tests.support.strict_responses import StrictResponses
from tests.support.talking import Talk

TALKS: dict[str, Callable[[], Talk]] = {
    "chat": lambda: Talk(OpenAIChat(), StrictChat()),
    "responses": lambda: Talk(OpenAIResponses(), StrictResponses()),
    "messages": lambda: Talk(AnthropicMessages(), StrictMessages()),
    "gemini": lambda: Talk(GeminiGenerate(), StrictGemini()),
    "gemini without ids": lambda: Talk(GeminiGenerate(), StrictGemini(ids=False)),
    "interactions": lambda: Talk(GeminiInteractions(), StrictInteractions()),
    "ollama": lambda: Talk(OllamaChat(), StrictOllama()),
}
FORMATS = pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS.keys())
PIECES = st.sampled_from([say("So."), call("ok", a="é\n"), call("bad"), call("bad", b=[{"c": None}]), call("ok")])
TURNS = st.lists(
    st.tuples(st.lists(PIECES, min_size=1, max_size=5), st.booleans(), st.booleans()), min_size=1, max_size=4
)


@FORMATS
@settings(max_examples=12, deadline=None)
@given(turns=TURNS)
def test_whatever_is_refused_the_upstream_gets_its_own_conversation(
    talk: Callable[[], Talk], turns: list[tuple[list[Piece], bool, bool]]
) -> None:
    chat = talk()
    chat.user("Clean up.")
    for pieces, stream, is_resumed in turns:
        chat.results(chat.turn(*pieces, stream=stream))
        chat.user("Go on.")
        if is_resumed:  # the history is not byte for byte what it was: nothing of the last layout can be used
            chat.pass_on(b"{ " + chat.upstream.request(chat.history, streamed=stream)[1:])
    chat.turn(say("Done."))
    pure = [body for body in chat.sent if not body.startswith(b"{ ")]
    for before, after in pairwise(pure):
        assert after.startswith(before[: before.rindex(b"]")])


@FORMATS
def test_a_notice_of_another_conversation_is_text(talk: Callable[[], Talk]) -> None:
    first, second = talk(), talk()
    for chat in (first, second):
        chat.user("Clean up.")
    first.turn(call("bad"))
    second.history += first.history[1:]
    second.user("Go on.")
    body = second.upstream.request(second.history, streamed=False)
    second.pass_on(body)
    assert second.sent[-1] == body


@FORMATS
def test_two_answers_to_one_conversation_are_told_apart_by_what_the_client_goes_on_with(
    talk: Callable[[], Talk],
) -> None:
    chat = talk()
    chat.user("Clean up.")
    with_ok = chat.turn(call("ok"), call("bad", n=1))
    chat.history = chat.history[:1]
    chat.turn(call("bad", n=2))
    chat.history = [*chat.history[:1], *with_ok]
    chat.results(with_ok)
    chat.user("Go on.")
    chat.turn(say("Done."))
    assert b'"n' in chat.sent[-1] and b"2}" not in chat.sent[-1].replace(b"\\", b"")


def test_of_very_many_turns_the_oldest_are_forgotten() -> None:
    wire = OpenAIChat()
    views = TwoViews()
    messages: list[dict[str, object]] = [{"role": "user", "content": "x"}]
    calls = [TurnCall(f"c{n}", "bad", notice("bad"), b'{"id":"c%d"}' % n) for n in range(300)]
    for one in calls:
        views.answered(wire, read_layout(StrictChat().request(messages, streamed=False), "messages"), None, (one,))
        messages += [{"role": "assistant", "content": notice("bad")}, {"role": "user", "content": "x"}]
    layout = read_layout(StrictChat().request(messages, streamed=False), "messages")
    assert views.put_back(wire, layout) == 256
    assert layout.items[1].section.original is None
    assert layout.items[599].section.original is not None


def test_of_very_long_turns_the_oldest_are_forgotten_and_none_is_that_is_too_long() -> None:
    wire = OpenAIChat()
    views = TwoViews()
    long = "x" * 300_000
    messages: list[dict[str, object]] = [{"role": "user", "content": "x"}]
    for n in range(9):
        layout = read_layout(StrictChat().request(messages, streamed=False), "messages")
        raw = b'{"id":"c%d","type":"function","function":{"name":"bad","arguments":"%s"}}' % (n, long.encode())
        views.answered(wire, layout, None, (TurnCall(f"c{n}", "bad", notice("bad"), raw),))
        messages += [{"role": "assistant", "content": notice("bad")}, {"role": "user", "content": "x"}]
    assert len(long) * 3 < views.held_bytes < 1024 * 1024
    layout = read_layout(StrictChat().request(messages, streamed=False), "messages")
    assert views.put_back(wire, layout) == 3
    views.answered(wire, layout, None, (TurnCall("c", "bad", notice("bad"), b"{}" * 2**20),))
    assert views.held_bytes == 0


@FORMATS
def test_a_client_that_says_something_else_instead_gets_the_turn_put_back_again(talk: Callable[[], Talk]) -> None:
    chat = talk()
    chat.user("Clean up.")
    got = chat.turn(call("bad"))
    for said in ("Why?", "Do it.", "Go on."):
        chat.history = [*chat.history[:1], *got]
        chat.user(said)
        chat.turn(say("So."))


@FORMATS
def test_a_client_that_goes_back_to_the_turn_itself_sends_it_as_it_has_it(talk: Callable[[], Talk]) -> None:
    chat = talk()
    chat.user("Clean up.")
    got = chat.turn(call("bad"))
    chat.user("Why?")
    chat.turn(say("So."))
    body = chat.upstream.request([*chat.history[:1], *got], streamed=False)
    chat.pass_on(body)
    assert chat.sent[-1] == body


@pytest.mark.parametrize("name", ["responses", "messages", "gemini", "interactions"])
def test_where_a_model_says_just_what_the_notice_says_nobody_can_tell_which_is_which(name: str) -> None:
    chat = TALKS[name]()
    chat.user("Clean up.")
    chat.turn(say(notice("bad")), call("bad"))
    chat.user("Go on.")
    body = chat.upstream.request(chat.history, streamed=False)
    chat.pass_on(body)
    assert chat.sent[-1] == body
