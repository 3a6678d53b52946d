"""There and back again: a request that was translated and is read in its new format says what it said, but for the
losses that were named.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.swap.dialects import DIALECTS
from replay.swap.losses import Losses
from replay.swap.naming import Names
from replay.swap.neutral import (
    Call,
    JsonFormat,
    Media,
    Message,
    Part,
    Request,
    Result,
    Settings,
    Tool,
    ToolChoice,
    canonical,
)
from replay.swap.pairing import paired
from trajectory.conversation import Text

words = st.text('abc é😀"\\\n', min_size=1, max_size=8).filter(lambda text: bool(text.strip()))
texts = words.map(Text)
names = st.sampled_from(["look", "change_order", "a-b"])
PICTURE, FILE = Media("image", "image/png", data="AAAA"), Media("file", "application/pdf", data="BBBB", name="f")
pictures = st.sampled_from([PICTURE, FILE])
objects = st.dictionaries(st.sampled_from(["id", "why"]), st.one_of(st.integers(-9, 9), words), max_size=2)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    messages = [Message("system", (draw(texts),))] if draw(st.booleans()) else []
    for number in range(draw(st.integers(1, 3))):
        said: tuple[Part, ...] = (draw(texts), *draw(st.lists(pictures, max_size=1)))
        messages.append(Message("user", said))
        calls = [
            Call(f"call_{number}_{at}", draw(names), json.dumps(draw(objects))) for at in range(draw(st.integers(0, 2)))
        ]
        spoken = tuple(draw(st.lists(texts, min_size=0 if calls else 1, max_size=1)))
        messages.append(Message("assistant", (*spoken, *calls)))
        answers = tuple(Result(call.id, (draw(texts),), draw(st.booleans()), call.name) for call in calls)
        messages.append(Message("tool", answers))
    return canonical([*messages, Message("user", (draw(texts),))])


SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "integer"}},
    "required": ["id"],
    "additionalProperties": False,
}
tools = st.lists(st.builds(Tool, names, words, st.just(SCHEMA), st.just(True)), max_size=2, unique_by=lambda t: t.name)
KEPT = ("call", "result")
requests = st.builds(
    Request,
    messages=conversations(),
    tools=tools.map(tuple),
    settings=st.builds(
        Settings,
        max_tokens=st.one_of(st.none(), st.integers(1, 5000)),
        temperature=st.one_of(st.none(), st.floats(0, 2)),
        top_p=st.one_of(st.none(), st.floats(0, 1)),
        top_k=st.one_of(st.none(), st.integers(1, 50)),
        stop=st.lists(words, max_size=6).map(tuple),
        seed=st.one_of(st.none(), st.integers(0, 9)),
        presence_penalty=st.one_of(st.none(), st.floats(-2, 2)),
        effort=st.sampled_from([None, "low", "medium", "high", "minimal", "max"]),
        parallel=st.sampled_from([None, True, False]),
        format=st.sampled_from([None, JsonFormat(), JsonFormat(SCHEMA, strict=True)]),
        end_user=st.sampled_from([None, "ada"]),
    ),
)


def over(request: Request, wire: str) -> tuple[Request, Losses]:
    """`request` written in `wire` and read again, and what writing it lost."""
    dialect, losses = DIALECTS[wire], Losses()
    ready = Request(**{**_fields(request), "messages": paired(request.messages, dialect.ids, losses)})
    body = json.loads(json.dumps(dialect.writes.write(ready, Names(dialect.names, losses), losses)))
    return dialect.reads.read(body, Losses()), losses


def _fields(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__dataclass_fields__}


def essence(request: Request, *, flat_errors: bool) -> list[Any]:
    """What was said, called and answered, in order."""
    out: list[Any] = []
    for message in (*request.instructions, *request.messages):
        for part in message.parts:
            if isinstance(part, Result):
                said = "".join(part.texts)
                text = f"Error: {said}" if flat_errors and part.is_error else said
                out.append(("result", part.call_id, text, part.is_error and not flat_errors))
            elif isinstance(part, Call):
                out.append(("call", part.id, part.name, json.loads(part.arguments)))
            elif isinstance(part, Media):
                out.append((message.role, part.kind, part.data))
            else:
                out.append((message.role, part.text))
    return out


@pytest.mark.parametrize("wire", DIALECTS)
@settings(max_examples=40)
@given(request_=requests)
def test_a_request_says_the_same_in_every_format_but_for_what_is_named(wire: str, request_: Request) -> None:
    back, losses = over(request_, wire)
    flat = wire.startswith("openai")
    assert sorted(map(str, essence(back, flat_errors=False))) == sorted(map(str, essence(request_, flat_errors=flat)))
    has_error = any(one.is_error for message in request_.messages for one in message.results)
    assert any(loss.where.startswith("is_error") for loss in losses) == (flat and has_error)
    described = [[(tool.name, tool.description) for tool in one.tools] for one in (back, request_)]
    assert described[0] == described[1]
    named = {loss.where for loss in losses if loss.kind == "parameter"}
    for name in Settings.__dataclass_fields__:
        asked, kept = getattr(request_.settings, name), getattr(back.settings, name)
        if name == "parallel" and (asked is True or not request_.tools):
            continue  # as it is where nothing is said, or where there are no tools
        if name == "format" and asked is not None and kept is not None:
            assert (kept.schema is None) == (asked.schema is None)
            continue
        assert asked == kept or name in named, f"{name}: {asked!r} became {kept!r}"


@settings(max_examples=25)
@given(request_=requests, way=st.permutations(list(DIALECTS)))
def test_calls_and_results_survive_the_way_through_all_formats(way: list[str], request_: Request) -> None:
    back = request_
    for wire in way:
        back, _ = over(back, wire)
    before, after = (
        [one[:2] if one[0] == "result" else one for one in essence(each, flat_errors=False) if one[0] in KEPT]
        for each in (request_, back)
    )
    assert after == before


@pytest.mark.parametrize("wire", DIALECTS)
@pytest.mark.parametrize(
    "choice",
    [ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), ToolChoice("required", ("look",))],
)
def test_choices_of_tools_come_back(wire: str, choice: ToolChoice) -> None:
    asked = Request(
        (Message("user", (Text("x"),)),), (Tool("look", schema=SCHEMA), Tool("sell", schema=SCHEMA)), choice
    )
    back, losses = over(asked, wire)
    assert back.choice == choice
    assert not [loss for loss in losses if loss.kind == "tool_choice"]


@pytest.mark.parametrize("wire", DIALECTS)
def test_choice_among_some_tools_never_offers_the_others(wire: str) -> None:
    tools = (Tool("look", schema=SCHEMA), Tool("sell", schema=SCHEMA), Tool("burn", schema=SCHEMA))
    asked = Request((Message("user", (Text("x"),)),), tools, ToolChoice("auto", ("look", "sell")))
    back, losses = over(asked, wire)
    allowed = set(back.choice.names if back.choice and back.choice.names else [tool.name for tool in back.tools])
    assert allowed == {"look", "sell"}
    assert ("tool_choice" in {loss.kind for loss in losses}) == (not wire.startswith("openai"))
