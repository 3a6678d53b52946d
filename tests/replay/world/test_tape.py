from __future__ import annotations

from replay.world.recordings import record_tape
from replay.world.tape import Recording, Tape
from tests.support.recordings import calls, model_attempt, record, request_body, result, said, user
from trajectory.memory import MemoryStore

LOOK = Recording("look", '{"id": 1}', "found")


def test_same_raw_arguments_are_exact_and_same_meaning_is_canonical() -> None:
    reader = Tape((LOOK, LOOK)).reader()
    assert reader.find("look", '{"id": 1}').served.fidelity == "exact"
    other = reader.find("look", '{ "id":1.0 }')
    assert (other.text, other.served.fidelity, other.served.note) == ("found", "canonical", "")


def test_results_of_a_repeated_call_come_in_recorded_order_and_the_last_one_again() -> None:
    tape = Tape((Recording("poll", "{}", "waiting"), Recording("poll", "{}", "done")))
    reader = tape.reader()
    answers = [reader.find("poll", "{}") for _ in range(3)]
    assert [a.text for a in answers] == ["waiting", "done", "done"]
    assert [bool(a.served.note) for a in answers] == [False, False, True]
    assert tape.reader().find("poll", "{}").text == "waiting", "each run reads from the start"


def test_fresh_canonical_recording_comes_before_an_exact_one_given_again() -> None:
    reader = Tape((Recording("poll", '{"a":1}', "first"), Recording("poll", '{"a": 1}', "second"))).reader()
    assert [reader.find("poll", '{"a":1}').text for _ in range(2)] == ["first", "second"]


def test_miss_names_the_nearest_recordings() -> None:
    reader = Tape((LOOK, Recording("refund", "{}", "ok"))).reader()
    note = reader.find("look", '{"id": 2}').served.note
    assert note.startswith('no recorded result for look({"id": 2}); nearest recordings: look({"id": 1}); refund')
    assert len(reader.unused) == 2


def test_arguments_that_are_no_json_match_only_as_they_stand() -> None:
    reader = Tape((Recording("run", "{broken", "error: no JSON", True),)).reader()
    assert reader.find("run", "{broken").is_error
    assert reader.find("run", "{broken ").is_missing


def test_tape_of_a_conversation_has_each_result_once() -> None:
    store = MemoryStore()
    conversation = [
        user("where is it?"),
        calls(("c1", "look", '{"id":1}'), ("c2", "track", "{}")),
        result("c1", "order 1"),
        result("c2", "in transit"),
        calls(("c3", "track", "{}")),
        result("c3", "arrived"),
        said("it has arrived"),
    ]
    record(store, "t1", conversation)
    found = [(one.tool, one.text) for one in record_tape(store, "t1").recordings]
    assert found == [("look", "order 1"), ("track", "in transit"), ("track", "arrived")]


def test_results_that_a_shortened_context_dropped_are_on_the_tape() -> None:
    store = MemoryStore()
    early = [user("go"), calls(("a", "look", "1")), result("a", "one")]
    late = [user("summary so far"), calls(("b", "look", "2")), result("b", "two")]
    store.append([model_attempt("t", 0, request_body(early), said("x"))])
    store.append([model_attempt("t", 1, request_body(late), said("y"))])
    assert [one.text for one in record_tape(store, "t").recordings] == ["one", "two"]


def test_same_call_with_the_same_result_twice_in_one_conversation_counts_twice() -> None:
    store = MemoryStore()
    twice = [user("go"), calls(("x", "poll", "{}")), result("x", "no"), calls(("x", "poll", "{}")), result("x", "no")]
    record(store, "t", [*twice, said("done")])
    assert len(record_tape(store, "t").recordings) == 2


def test_digest_of_a_tape_tells_its_content() -> None:
    assert Tape((LOOK,)).digest == Tape((LOOK,)).digest
    assert Tape((LOOK,)).digest != Tape((Recording("look", '{"id": 1}', "found "),)).digest
    assert Tape((Recording("ab", "c", ""),)).digest != Tape((Recording("a", "bc", ""),)).digest
