"""No loss is silent: what can be taken out of a request without a trace, in what is sent or in the losses, was lost."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from functools import cache
from itertools import permutations
from typing import Any

import pytest

from proxy.effects import Forward
from proxy.wire.format import Rendered
from replay.swap.dialects import DIALECTS
from replay.swap.session import SwapSession
from tests.support.cassettes import exchanges
from tests.support.providers import CHECKS, SAYS, Turn, WrongError
from tests.support.swap_talks import Talk
from tests.support.translated import translate
from trajectory.runs import Candidate

PLACES = {
    "openai.chat": ("/chat/completions",),
    "openai.responses": ("/responses",),
    "anthropic.messages": ("/v1/messages",),
    "gemini.generate": (":generateContent", ":streamGenerateContent"),
}
# What a request says by leaving it out, and what every candidate has of its own.
SAYS_NOTHING = (None, False, "", [], {}, "auto", {"type": "auto"})
LISTS = {"messages", "input", "contents", "tools"}
OWN = {"model", "stream", "n", "stream_options"}


@cache
def recorded(wire: str) -> list[Any]:
    """Recorded requests of one format, one of each shape."""
    shapes: dict[str, Any] = {}
    for place in PLACES[wire]:
        for one in exchanges(place):
            try:
                body = json.loads(one.asked)
            except ValueError:
                continue
            if isinstance(body, dict) and one.status < 400:
                body.pop("previous_response_id", None)  # a reply of no session here
                shapes.setdefault(shape(body), body)
    assert len(shapes) > 10, "the recordings are there, but none was found"
    return list(shapes.values())


def shape(value: Any, depth: int = 5) -> str:
    """The same for requests with the same keys and kinds of blocks; what lies deeper is a schema, or arguments."""
    if isinstance(value, dict) and depth:
        inner = sorted(f"{key}{shape(one, depth - 1)}" for key, one in value.items())
        return "{" + f"{value.get('type')}{value.get('role')}" + ",".join(inner) + "}"
    if isinstance(value, list) and depth:
        return "[" + "".join(sorted({shape(one, depth - 1) for one in value})) + "]"
    return ""


def without_one(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """`body` without one top-level key, and without all list elements of one kind; and what that was."""
    for key, value in body.items():
        if key not in OWN and value not in SAYS_NOTHING and (key not in LISTS or says_something(value)):
            yield key, {k: v for k, v in body.items() if k != key}
        if key not in LISTS:
            continue
        for kind in kinds(value):
            less = copy.deepcopy(body)
            less[key] = [one for one in less[key] if kind_of(one) != kind]
            yield f"{key}[] {kind}", less
        if not isinstance(value, list):
            continue
        for name in ("content", "parts", "tool_calls", "functionDeclarations"):
            inner = [item for item in value if isinstance(item, dict) and item.get("type") in (None, "message")]
            for kind in sorted({kind for item in inner for kind in kinds(item.get(name))}):
                less = copy.deepcopy(body)
                for item in less[key]:
                    if isinstance(item.get(name), list) and item.get("type") in (None, "message"):
                        item[name] = [one for one in item[name] if kind_of(one) != kind]
                yield f"{key}[].{name}[] {kind}", less


def kinds(value: Any) -> list[str]:
    return sorted({kind_of(one) for one in value if says_something(one)}) if isinstance(value, list) else []


def says_something(value: Any) -> bool:
    if isinstance(value, dict):
        return any(says_something(one) for key, one in value.items() if key not in ("type", "role"))
    return any(says_something(one) for one in value) if isinstance(value, list) else value not in SAYS_NOTHING


def kind_of(element: Any) -> str:
    """How two elements of a list are told apart: by type and role, or by their keys where they have neither."""
    if not isinstance(element, dict):
        return type(element).__name__
    named = [str(element[key]) for key in ("type", "role") if key in element]
    return " ".join(named or sorted(element))


@pytest.mark.parametrize(("source", "target"), list(permutations(DIALECTS, 2)))
def test_recorded_requests_are_translated_and_each_provider_takes_them(source: str, target: str) -> None:
    for body in recorded(source):
        made = translate(body, source, target)
        try:
            CHECKS[target](made.body, [])
        except WrongError as wrong:
            pytest.fail(f"{wrong}: {json.dumps(body)[:1500]}\n-> {json.dumps(made.body)[:1500]}")


@pytest.mark.parametrize("source", DIALECTS)
def test_nothing_of_a_recorded_request_vanishes_without_a_trace(source: str) -> None:
    for number, body in enumerate(recorded(source)):
        target = [wire for wire in DIALECTS if wire != source][number % 3]
        whole = translate(body, source, target)
        for place, less in without_one(body):
            other = translate(less, source, target)
            assert (other.body, set(other.losses)) != (whole.body, set(whole.losses)), f"{place} of {json.dumps(body)}"


JUNK: list[Any] = [None, True, -1, 1.5, "", [], {}, [1], ["x"], {"a": 1}, [{}], [None], {"type": "x"}, {"type": 1}]


@pytest.mark.parametrize("source", DIALECTS)
def test_a_request_that_is_no_good_is_translated_or_declined_and_never_a_crash(source: str) -> None:
    choose = random.Random(source)
    for body in choose.sample(recorded(source), 30):
        spoilt = copy.deepcopy(body)
        at = choose.choice(list(places(spoilt)))
        here = spoilt
        for step in at[:-1]:
            here = here[step]
        here[at[-1]] = choose.choice(JUNK)
        for target in DIALECTS:
            session = SwapSession(Candidate(name="c", upstream="u", model="m", wire=target), "", 7)
            path = DIALECTS[source].path("", "prod")
            answer = session.request(Forward("u", "POST", path, (), json.dumps(spoilt).encode()))
            assert not isinstance(answer, Rendered) or answer.status == 400


ASKED: dict[str, dict[str, Any]] = {
    "openai.chat": {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    "openai.responses": {"model": "m", "input": "x"},
    "anthropic.messages": {"model": "m", "max_tokens": 3, "messages": [{"role": "user", "content": "x"}]},
    "gemini.generate": {"contents": [{"role": "user", "parts": [{"text": "x"}]}]},
}


@pytest.mark.parametrize("candidate", DIALECTS)
def test_a_reply_that_is_no_good_is_translated_or_an_error_and_never_a_crash(candidate: str) -> None:
    whole, _ = SAYS[candidate](Turn("hi", (("look", {"a": 1}),)), 1)
    agent = next(wire for wire in DIALECTS if wire != candidate)
    for number, at in enumerate(places(whole)):
        spoilt = copy.deepcopy(whole)
        here = spoilt
        for step in at[:-1]:
            here = here[step]
        for junk in JUNK[number % 3 :: 3]:
            here[at[-1]] = junk
            talk = Talk(agent, candidate)
            talk.said(ASKED[agent], spoilt)
            assert talk.status in (200, 502)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value below, keys and indices."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*at, key)
        yield from places(one, (*at, key))
