from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.gemini import GeminiGenerate, GeminiGenerateArray
from proxy.wire.gemini_stream import GeminiStream
from proxy.wire.json_stream import ArrayFramer
from tests.support.chunks import at_every_cut, cut, cut_positions
from tests.support.genai_sdk import chunks, text_and_calls
from tests.support.judging import TOKEN, VALUE, Judge, notice, restoring, streamed
from trajectory.errors import FormatError

WIRE = GeminiGenerate()
USAGE = {"promptTokenCount": 4, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "totalTokenCount": 9}


def chunk(*parts: dict[str, Any], finish: str | None = None, index: int | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}}
    if finish is not None:
        candidate["finishReason"] = finish
    if index is not None:
        candidate["index"] = index
    return {"candidates": [candidate], "modelVersion": "gemini-x", "responseId": "r1", **more}


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"text": said, **more}


def call(name: str, call_id: str = "", **args: Any) -> dict[str, Any]:
    made = {"functionCall": {"name": name, "args": args}}
    if call_id:
        made["functionCall"]["id"] = call_id
    return made


def pieces(*given_: tuple[str, str, bool], more: bool = True) -> dict[str, Any]:
    listed = [{"jsonPath": p, "stringValue": v} | ({"willContinue": True} if w else {}) for p, v, w in given_]
    return {"functionCall": {"partialArgs": listed} | ({"willContinue": True} if more else {})}


def events(*told: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(one, ensure_ascii=False).encode() + b"\r\n\r\n" for one in told)


def array(*told: dict[str, Any]) -> bytes:
    return b"[" + b",\r\n".join(json.dumps(one, indent=1, ensure_ascii=False).encode() for one in told) + b"\n]\n"


def objects(stream: bytes) -> list[dict[str, Any]]:
    if stream.lstrip()[:1] == b"[":
        return list(json.loads(stream))
    return [json.loads(frame[6:]) for frame in stream.split(b"\r\n\r\n") if frame.strip()]


def read(stream: bytes, judge: Judge | None = None) -> tuple[bytes, GeminiStream]:
    reader = WIRE.stream(judge or Judge())
    return streamed(reader, [stream]), reader


PARALLEL = (
    chunk(text("thinking", thought=True)),
    chunk(text("Let me "), text("see.")),
    chunk(call("a", "c0", x=1) | {"thoughtSignature": "c2ln"}, call("b", "c1", y=2)),
    chunk(call("c", "c2", z=3)),
    chunk(text(""), finish="STOP", usageMetadata=USAGE),
)
IN_PIECES = (
    chunk({"functionCall": {"name": "a", "id": "c0", "willContinue": True}}),
    chunk(pieces(("$.to", f"<{TOKEN[:9]}", True))),
    chunk(pieces(("$.to", TOKEN[9:] + ">", False), ("$.list[0].who", TOKEN, False))),
    chunk(pieces(("$.cut", "PII_EM", True))),
    chunk({"functionCall": {}}),
    chunk(call("b", "c1", y=2)),
    chunk(finish="STOP", usageMetadata=USAGE),
)
RESTORED = (
    *(chunk(text(c)) for c in f"Write to {TOKEN}, {TOKEN}P"),
    chunk(call("a", "c0", to=TOKEN, cc=[TOKEN])),
    chunk(text("PII_"), text("", thoughtSignature="c2ln"), finish="STOP", usageMetadata=USAGE),
)
WRITTEN = (events, array)


def short(*told: dict[str, Any]) -> list[dict[str, Any]]:
    """Without what only makes them longer: these are cut at every place."""
    return [{k: v for k, v in one.items() if k == "candidates"} for one in told]


SHORT = {
    "calls": short(*PARALLEL[2:]),
    "pieces": short(*IN_PIECES[:2], *IN_PIECES[3:5], chunk(finish="STOP")),
    "texts": short(chunk(text("to PI")), chunk(text(f"{TOKEN[2:]} P")), chunk(text("", thoughtSignature="cw"))),
}


@pytest.mark.parametrize("write", WRITTEN)
@pytest.mark.parametrize("told", list(SHORT.values()), ids=list(SHORT))
@pytest.mark.parametrize("refused", [(), ("a",)], ids="".join)
def test_every_cut_of_a_stream_gives_the_same_reply_and_the_same_output(
    told: list[dict[str, Any]], refused: tuple[str, ...], write: Any
) -> None:
    stream = write(*told)
    whole, reader = read(stream, restoring(refused))
    for parts in at_every_cut(stream):
        other = WIRE.stream(restoring(refused))
        assert streamed(other, parts) == whole
        assert (other.reply(), other.client_reply()) == (reader.reply(), reader.client_reply())
        assert (other.refused, other.restored) == (reader.refused, reader.restored)


_PARTS = [text("a"), text("PII_"), text(TOKEN), text("T", thought=True), call("a"), call("b"), {"executableCode": {}}]


@given(st.lists(st.sampled_from(_PARTS), max_size=8), cut_positions, st.booleans())
def test_any_turn_cut_anywhere_is_the_same_as_whole(parts: list[Any], cuts: list[int], is_array: bool) -> None:
    stream = (array if is_array else events)(*(chunk(part) for part in parts), chunk(finish="STOP"))
    whole, reader = read(stream, restoring({"a"}))
    assert streamed(WIRE.stream(restoring({"a"})), cut(stream, cuts)) == whole
    said = "".join(p.get("text", "") for p in parts if not p.get("thought"))
    assert reader.reply().text == said
    shown = [p for one in objects(whole) for p in one["candidates"][0]["content"]["parts"]]
    assert reader.client_reply().text == "".join(p.get("text", "") for p in shown if not p.get("thought"))
    assert [p["functionCall"]["name"] for p in shown if "functionCall" in p] == ["b"] * parts.count(call("b"))
    assert "".join(p["text"] for p in shown if p.get("thought")) == "T" * parts.count(text("T", thought=True))


@pytest.mark.parametrize("write", WRITTEN)
def test_a_refused_call_is_text_in_its_place_and_its_signature_stays(write: Any) -> None:
    out, reader = read(write(*PARALLEL), Judge({"a"}))
    told = objects(out)
    assert told[2]["candidates"][0]["content"]["parts"] == [
        {"text": "\n\n" + notice("a"), "thoughtSignature": "c2ln"},
        {"thoughtSignature": "skip_thought_signature_validator", **call("b", "c1", y=2)},
    ]
    assert [told[i] for i in (0, 1, 3, 4)] == [PARALLEL[i] for i in (0, 1, 3, 4)]
    assert [c.name for c in reader.reply().calls] == ["a", "b", "c"]
    assert [c.name for c in reader.client_reply().calls] == ["b", "c"]
    assert reader.reply().usage is not None
    assert (reader.reply().usage.input_tokens, reader.reply().usage.output_tokens) == (4, 5)


@pytest.mark.parametrize("refused", [(), ("a",), ("b",), ("a", "b", "c")])
@pytest.mark.parametrize("told", [PARALLEL, RESTORED, IN_PIECES], ids=["parallel", "restored", "pieces"])
def test_the_sdk_reads_what_the_client_reply_says(told: Any, refused: tuple[str, ...]) -> None:
    out, reader = read(events(*told), restoring(refused))
    got = chunks(out)
    said, calls = text_and_calls(got)
    assert said == reader.client_reply().text
    named = [(i, n) for i, n, _ in calls if n]
    assert named == [(c.id, c.name) for c in reader.client_reply().calls]
    assert got[-1].candidates[0].finish_reason.value == "STOP"
    assert got[-1].usage_metadata.total_token_count == 9


def test_arguments_that_come_in_pieces_are_joined_judged_and_restored() -> None:
    for write in WRITTEN:
        _, reader = read(write(*IN_PIECES), restoring())
        first, second = reader.client_reply().calls
        assert json.loads(first.arguments) == {"to": f"<{VALUE}>", "list": [{"who": VALUE}], "cut": "PII_EM"}
        assert json.loads(reader.reply().calls[0].arguments)["to"] == f"<{TOKEN}>"
        assert second.name == "b"
    out, reader = read(events(*IN_PIECES), restoring({"a"}))
    assert [p for o in objects(out)[:5] for p in o["candidates"][0]["content"]["parts"]] == [
        {"text": notice("a")}, {"text": ""}, {"text": ""}, {"text": ""}, {"text": ""},
    ]  # fmt: skip
    assert len(reader.refused) == 1


def test_a_name_that_comes_late_is_a_call_of_its_own() -> None:
    judge = Judge({"evil"})
    out, _ = read(
        events(
            chunk({"functionCall": {"name": "a", "willContinue": True}}),
            chunk({"functionCall": {"name": "evil", "partialArgs": [{"jsonPath": "$.x", "stringValue": "1"}]}}),
        ),
        judge,
    )
    assert [name for name, _ in judge.asked] == ["a", "evil"]
    assert b"functionCall" not in out.split(b"\r\n\r\n")[1]


def test_the_chunk_that_may_be_the_last_waits_for_the_end() -> None:
    stream = [events(one) for one in PARALLEL]
    reader = WIRE.stream(Judge())
    steps = [reader.feed(part) for part in stream]
    assert [step.send for step in steps] == [*stream[:4], b""]
    assert reader.end().last == stream[4]
    late = events(chunk(text("more")))
    reader = WIRE.stream(Judge())
    for part in stream:
        reader.feed(part)
    assert (reader.feed(late).send, reader.end().last) == (stream[4], late)


def test_the_end_of_the_array_is_the_last_part() -> None:
    stream = array(*PARALLEL)
    reader = WIRE.stream(Judge())
    step = reader.feed(stream)
    assert reader.ended
    assert step.last.endswith(b"\n]")
    assert json.loads(step.last.rstrip()[:-1].lstrip(b",\r\n"))["usageMetadata"] == USAGE
    assert step.send + step.last + reader.end().last == stream


def test_a_key_in_snake_case_is_judged_too_and_two_spellings_are_refused() -> None:
    out, reader = read(events(chunk({"function_call": {"name": "a", "args": {}}})), Judge({"a"}))
    assert b"function_call" not in out
    assert reader.refused
    for part in (
        {"functionCall": {"name": "b"}, "function_call": {"name": "a"}},
        {"functionCall": {"name": "b"}, "text": "x"},
    ):
        with pytest.raises(FormatError):
            read(events(chunk(part)), Judge({"a"}))


@pytest.mark.parametrize(
    "stream",
    [
        b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"a"}}],"parts":[]}}]}\r\n\r\n',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"a"}}]}}]} x',
        b'data: {"candidates":{"content":{}}}\r\n\r\n',
        b"[1,2]",
        b'[{"a":1}] {"b":1}',
        b'["{",{"a":1}]',
        b'[{"a":1}{"',
        b'[,{"a":1}]x',
        b"data: [DONE]\r\n\r\n",
    ],
)
def test_what_cannot_be_judged_is_refused(stream: bytes) -> None:
    with pytest.raises(FormatError):
        read(stream)


def test_an_error_inside_a_stream_is_told_of_and_passes() -> None:
    stream = events(chunk(text("a")), {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}})
    out, reader = read(stream)
    assert out == stream
    assert reader.failed
    assert reader.reply().finish == "error"


def test_our_own_error_has_the_shape_of_the_stream_so_far() -> None:
    reader = WIRE.stream(Judge())
    assert reader.error_event("c", "m") is None
    out = reader.feed(array(chunk(text("a")), chunk(text("b")))[:-4]).send
    error = reader.error_event("upstream_reset", "it broke")
    assert error is not None
    assert json.loads(out + error)[-1]["error"]["details"][0]["reason"] == "upstream_reset"
    assert json.loads(GeminiGenerateArray().error_event("c", "m"))[0]["error"]["code"] == 503
    with pytest.raises(Exception, match="it broke"):
        chunks(events(chunk(text("a"))) + WIRE.error_event("upstream_reset", "it broke"))


def test_candidates_are_told_apart() -> None:
    stream = events(
        chunk(text("PII_EMAIL_"), index=0), chunk(text("PII_EMAIL_"), index=1),
        chunk(text(TOKEN[10:]), index=0), chunk(text("x"), index=1, finish="STOP"), chunk(finish="STOP", index=0),
    )  # fmt: skip
    out, reader = read(stream, restoring())
    assert reader.client_reply().text == f"{VALUE}\nPII_EMAIL_x"
    by_index: dict[int, str] = {}
    for one in objects(out):
        candidate = one["candidates"][0]
        said = "".join(part["text"] for part in candidate["content"]["parts"])
        by_index[candidate["index"]] = by_index.get(candidate["index"], "") + said
    assert by_index == {0: VALUE, 1: "PII_EMAIL_x"}


_VALUES = st.recursive(
    st.none() | st.text(max_size=5) | st.sampled_from(['"', "\\", "]", "{", '\\"']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(max_size=3), _VALUES, max_size=3), max_size=4), cut_positions, st.booleans())
def test_an_array_is_cut_into_its_objects_however_it_is_chunked(told: list[Any], cuts: list[int], pretty: bool) -> None:
    stream = json.dumps(told, indent=2 if pretty else None).encode() + b"\n"
    framer = ArrayFramer()
    frames = [frame for part in cut(stream, cuts) for frame in framer.feed(part)]
    rest = framer.rest()
    assert b"".join(frames) + rest == stream
    assert [json.loads(frame[frame.find(b"{") :]) for frame in frames[:-1]] == told
    assert framer.is_closed


@pytest.mark.parametrize(("reason", "finish"), [("STOP", "end"), ("MAX_TOKENS", "length"), ("CONTINUATION", "pause")])
def test_finish_reasons_in_the_neutral_words(reason: str, finish: str) -> None:
    reader = WIRE.stream(Judge())
    reader.feed(events(chunk(text("so far"), finish=reason)))
    assert reader.reply().finish == finish
