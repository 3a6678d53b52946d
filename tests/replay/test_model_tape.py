"""Recorded answers in place of a model: what is served, what is missed, and what the agent's own code then shows."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.connection import UpstreamBroke
from proxy.effects import Forward
from proxy.street import Answer
from replay.model_tape import ModelTape, Recording, model_recordings
from scoring.score import score
from tests.support import offline_agent
from tests.support.recordings import Message, calls, result, said, user
from tests.support.replaying import PATH, Replaying, replaying, stream_of
from trajectory.errors import OperatorError
from trajectory.ids import trajectory_id
from trajectory.runs import Run
from trajectory.trajectory import Launch

AGENT = offline_agent.__file__


def recording(place: int, body: object, reply: str = "", **rest: Any) -> Recording:
    fields: dict[str, Any] = {"status": 200, "headers": (), "reply": (reply or f"reply {place}").encode(), **rest}
    return Recording(place, f"a{place}", "openai", "POST", PATH, json.dumps(body).encode(), **fields)


def request(body: object, path: str = PATH, **spelling: Any) -> Forward:
    return Forward("openai", "POST", path, (), json.dumps(body, **spelling).encode())


def tape(*recordings: Recording) -> tuple[ModelTape, list[str]]:
    told: list[str] = []
    return ModelTape(recordings, told.append), told


async def never(_: Forward) -> Answer:
    raise AssertionError("an offline replay asked the upstream")


async def body_of(one: ModelTape, asked: Forward) -> bytes:
    answer = await one.ask(asked, never)
    return b"".join([part async for part in parts(answer)])


async def parts(answer: Answer) -> Any:
    while part := await answer.next_part():
        yield part


# --- pairing


@given(st.permutations(range(12)), st.integers(1, 4))
async def test_in_any_order_and_at_once_each_request_gets_its_own_recorded_answer(order: list[int], same: int) -> None:
    """Each body was asked `same` times; its answers come in the order in which they were recorded."""
    made = [recording(n * same + i, {"n": n}, f"{n}/{i}") for n in range(12) for i in range(same)]
    one, told = tape(*made)
    asked = [n for n in order for _ in range(same)]
    got = await asyncio.gather(*(body_of(one, request({"n": n})) for n in asked))
    expected: dict[int, int] = {}
    for n, body in zip(asked, got, strict=True):
        assert body == f"{n}/{expected.setdefault(n, 0)}".encode()
        expected[n] += 1
    assert (one.unused, told) == ((), [])


async def test_retries_come_back_in_their_order_with_their_status_and_headers() -> None:
    slow = {"status": 429, "headers": (("retry-after", "1"),)}
    one, _ = tape(recording(1, {}, "no", **slow), recording(2, {}, "not yet", **slow), recording(3, {}, "yes"))
    answers = [await one.ask(request({}), never) for _ in range(3)]
    assert [answer.status for answer in answers] == [429, 429, 200]
    assert answers[0].headers == (("retry-after", "1"),)
    assert one.check().passed


async def test_another_spelling_of_the_same_json_is_the_same_request_and_says_so() -> None:
    one, _ = tape(recording(1, {"a": 1, "b": [2]}), recording(2, {"a": 1, "b": [3]}))
    assert await body_of(one, request({"b": [3.0], "a": 1}, indent=2)) == b"reply 2"
    assert await body_of(one, request({"a": 1, "b": [2]})) == b"reply 1"
    assert dict(one.answered) == {"canonical": 1, "exact": 1}


async def test_a_stream_comes_back_event_by_event_with_the_recorded_bytes() -> None:
    stream = "data: one\n\ndata: two\n\ndata: [DONE]\n\n"
    one, _ = tape(recording(1, {}, stream))
    answer = await one.ask(request({}), never)
    assert [part async for part in parts(answer)] == [b"data: one\n\n", b"data: two\n\n", b"data: [DONE]\n\n"]


async def test_what_broke_breaks_again_where_it_did() -> None:
    one, _ = tape(
        recording(1, {}, "half", broke=("reset", "cut off")),
        recording(2, {}, status=0, broke=("timeout", "silence")),
    )
    answer = await one.ask(request({}), never)
    assert await answer.next_part() == b"half"
    with pytest.raises(UpstreamBroke, match="cut off"):
        await answer.next_part()
    with pytest.raises(UpstreamBroke, match="silence"):
        await one.ask(request({}), never)


# --- misses


async def test_a_miss_names_the_nearest_recording_and_where_it_differs() -> None:
    asked = {"messages": [{"role": "user", "content": "where is order 7, please?"}], "temperature": 0}
    long = {**asked, "messages": [*asked["messages"], {"role": "user", "content": "x"}]}  # type: ignore[misc]
    one, told = tape(recording(1, long), recording(2, asked))
    other = json.loads(json.dumps(asked).replace("7", "8"))
    with pytest.raises(UpstreamBroke, match="tape miss"):
        await one.ask(request(other), never)
    assert told == [
        "request 1 of the run: nearest is recorded request 2 (attempt a2), which differs at messages[0].content: "
        'recorded "where is order 7, please?", got "where is order 8, please?"'
    ]
    check = one.check()
    assert (check.passed, check.evidence) == (False, told[0])


async def test_a_request_made_more_often_than_recorded_is_a_miss() -> None:
    one, told = tape(recording(1, {}))
    await one.ask(request({}), never)
    with pytest.raises(UpstreamBroke):
        await one.ask(request({}), never)
    assert told[0].endswith("it was recorded once (recorded request 1) and has been answered as often")


async def test_another_path_is_a_miss_and_a_key_in_it_is_none() -> None:
    keyed = Recording(1, "a", "openai", "POST", "/v1?key=***", b"{}", 200, (), b"yes")
    one, told = tape(keyed)
    assert keyed.path == "/v1?key=***"
    with pytest.raises(UpstreamBroke):
        await body_of(one, request({}, path="/v2"))
    assert "path: recorded /v1?key=***, got /v2" in told[0]


async def test_what_was_never_asked_for_is_a_finding() -> None:
    one, _ = tape(recording(1, {}), recording(2, {"n": 2}))
    await one.ask(request({}), never)
    assert one.check().passed is False
    assert one.check().evidence == "1 of 2 recorded requests were never made: 2"


# --- a whole agent, through a real gateway


def production(messages: list[Message]) -> Message:
    if messages[-1]["role"] == "tool":
        return said(f"It is {messages[-1]['content']}.")
    return calls(("c1", "look", '{"id": 7}'))


async def record(at: Replaying, *, name: str = "Ada", stream: bool = False) -> None:
    """What the agent's run in production would have left."""
    question = [user(f"where is the order? I am {name}")]
    fields: dict[str, Any] = {"stream": True} if stream else {}
    await at.ask("prod", question, **fields)
    answer = calls(("c1", "look", '{"id": 7}'))
    if stream:
        answer = offline_agent.read_stream(stream_of(answer))
    await at.ask("prod", [*question, answer, result("c1", f"in transit to {name}")], **fields)


async def replayed(at: Replaying, variant: str, *, name: str = "Ada", stream: bool = False) -> Run:
    launch = Launch((sys.executable, AGENT, variant, name, "stream" if stream else "whole"), "/")
    at.served.store.launched(trajectory_id("prod", None), launch)
    asked = len(at.model.asked)
    _, runs = await at.bake(at.task("prod"), mode="offline", candidates=(), id=f"b-{variant}", env=dict(os.environ))
    assert len(at.model.asked) == asked, "no model was asked"
    (run,) = runs
    return run


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unchanged_agent_goes_its_recorded_way(tmp_path: Path, stream: bool) -> None:
    async with replaying(tmp_path, {"prod-1": production}) as at:
        await record(at, stream=stream)
        run = await replayed(at, "none", stream=stream)
    assert run.certificate.kill_cause is None, run.certificate
    assert (run.mode, (run.answer or "").strip()) == ("offline", "It is in transit to Ada.")
    assert [(check.kind, check.passed) for check in run.checks] == [("tape", True)]
    assert run.model_answers == {"exact": 2}


async def test_a_changed_agent_misses_the_tape_and_the_place_is_shown(tmp_path: Path) -> None:
    async with replaying(tmp_path, {"prod-1": production}) as at:
        await record(at)
        run = await replayed(at, "wording")
        assert run.certificate.kill_cause == "tape_miss"
        assert 'messages[0].content: recorded "where is' in run.certificate.kill_evidence
        bakeoff = at.served.store.bakeoffs()[0]
        (row,) = score(bakeoff, [run], {}).runs
    assert row.fault is not None
    assert (row.outcome.label, row.fault.name, row.counting) == ("failed", "agent.tape_miss", "scored")


async def test_an_agent_that_stops_early_fails_by_what_it_never_asked(tmp_path: Path) -> None:
    async with replaying(tmp_path, {"prod-1": production}) as at:
        await record(at)
        run = await replayed(at, "stops")
    assert run.checks[0].evidence == "1 of 2 recorded requests were never made: 2"


async def test_a_redacted_recording_matches_the_redacted_request(tmp_path: Path) -> None:
    redaction = {"policies": {"redaction": {"types": [], "known_values": {"NAME": ["Ada Byron"]}}}}
    async with replaying(tmp_path, {"prod-1": production}, **redaction) as at:
        await record(at, name="Ada Byron")
        found = model_recordings(at.served.store, at.task("prod"))
        assert all(b"Ada" not in one.body and b"PII_NAME" in one.body for one in found)
        run = await replayed(at, "none", name="Ada Byron")
        assert run.model_answers == {"exact": 2}
        assert [check.passed for check in run.checks] == [True]


async def test_a_stream_that_was_not_kept_is_told_again(tmp_path: Path) -> None:
    """What the model said held personal data: recorded is what was understood of it, masked."""

    def greeting(messages: list[Message]) -> Message:
        return said("Ada Byron , it is on its way .") if messages[-1]["role"] == "tool" else production(messages)

    redaction = {"policies": {"redaction": {"types": [], "known_values": {"NAME": ["Ada Byron"]}}}}
    async with replaying(tmp_path, {"prod-1": greeting}, **redaction) as at:
        await record(at, name="Ada Byron", stream=True)
        found = model_recordings(at.served.store, at.task("prod"))
        assert [one.spoken is None for one in found] == [True, False]
        run = await replayed(at, "none", name="Ada Byron", stream=True)
        assert run.model_answers == {"exact": 1, "canonical": 1}
        assert run.checks[0].passed, run.checks
        assert "it is on its way" in (run.answer or "")
        assert "Ada" not in (run.answer or ""), "what an agent prints is kept masked"


async def test_an_offline_replay_takes_no_candidate(tmp_path: Path) -> None:
    async with replaying(tmp_path, {"prod-1": production}) as at:
        await record(at)
        with pytest.raises(OperatorError, match="asks no model"):
            await at.bake(at.task("prod"), mode="offline")
