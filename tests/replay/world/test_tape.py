from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.world.kinds import ToolKinds, kind_by_name
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


# --- several recordings, and what was written before each

GET, CANCEL, PAY = ("get_order", "{}"), ("cancel_order", "{}"), ("pay_order", "{}")


def tape(*runs: list[tuple[tuple[str, str], str]], kinds: ToolKinds | None = None) -> Tape:
    own, *pool = [tuple(Recording(*call, text) for call, text in run) for run in runs]
    return Tape(own, tuple(pool), kinds or ToolKinds())


def test_pool_answers_what_the_source_cannot_and_says_so() -> None:
    reader = Tape((LOOK,), ((Recording("look", '{"id": 2}', "two"),),)).reader()
    assert reader.find("look", '{"id": 1}').served.fidelity == "exact"
    pooled = reader.find("look", '{"id":2}')
    assert (pooled.text, pooled.served.fidelity) == ("two", "pooled")
    assert reader.unused == (), "what the pool holds was not asked of this run"


def test_own_recording_comes_before_the_pool() -> None:
    reader = tape([(GET, "own")], [(GET, "pooled")]).reader()
    assert [reader.find(*GET).text for _ in range(2)] == ["own", "own"]


def test_read_after_a_write_is_the_one_that_was_recorded_after_it() -> None:
    recorded = [(GET, "open"), (CANCEL, "ok"), (GET, "cancelled")]
    reader = tape(recorded).reader()
    answers = [reader.find(*call) for call in (GET, CANCEL, GET)]
    assert [one.text for one in answers] == ["open", "ok", "cancelled"]
    assert not any(one.served.may_be_stale for one in answers)
    hasty = tape(recorded).reader()
    assert [hasty.find(*call).text for call in (CANCEL, GET)] == ["ok", "cancelled"], "not the read before it"


def test_read_after_a_write_that_the_recording_lacks_says_that_the_state_may_have_moved() -> None:
    reader = tape([(GET, "open")], [(CANCEL, "ok")]).reader()
    assert reader.find(*GET).served.note == ""
    reader.find(*CANCEL)
    served = reader.find(*GET).served
    assert served.may_be_stale
    assert "state may have moved: this run called 1 write (cancel_order) that the recording had not" in served.note


def test_read_before_a_write_that_the_recording_had_says_so_too() -> None:
    served = tape([(CANCEL, "ok"), (GET, "cancelled")]).reader().find(*GET).served
    assert served.may_be_stale
    assert "the recording had called 1 write (cancel_order) that this run has not" in served.note


def test_pooled_recording_in_the_same_state_comes_before_an_own_one_in_another() -> None:
    reader = tape([(GET, "open"), (CANCEL, "ok")], [(CANCEL, "ok"), (GET, "cancelled")]).reader()
    reader.find(*CANCEL)
    answer = reader.find(*GET)
    assert (answer.text, answer.served.fidelity, answer.served.may_be_stale) == ("cancelled", "pooled", False)


def test_same_writes_in_another_order_say_so() -> None:
    reader = tape([(CANCEL, "ok"), (PAY, "ok"), (GET, "odd")]).reader()
    notes = [reader.find(*call).served.note for call in (PAY, CANCEL, GET)]
    assert notes[-1] == "state may have moved: the same writes were called in another order"


def test_pure_tools_never_go_stale_and_declared_kinds_go_before_names() -> None:
    count = ("calculate", "1+1")
    recorded = [(count, "2"), (GET, "a"), (("look_up_and_lock", "{}"), "ok")]
    plain = tape(recorded).reader()
    plain.witness("cancel_order", "{}")
    assert plain.find(*count).served.may_be_stale, "no name says that a tool is pure"
    declared = tape(recorded, kinds=ToolKinds({"calculate": "pure", "cancel_order": "read"})).reader()
    declared.witness("cancel_order", "{}")
    assert not declared.find(*count).served.may_be_stale
    assert not declared.find(*GET).served.may_be_stale


@given(
    st.lists(st.sampled_from([GET, CANCEL, PAY, ("get_user", '{"id": 1}')]), max_size=8),
    st.lists(st.sampled_from([GET, CANCEL, PAY, ("get_user", '{"id":1}')]), max_size=8),
)
def test_unmarked_result_always_follows_the_writes_that_it_was_recorded_after(
    recorded: list[tuple[str, str]], asked: list[tuple[str, str]]
) -> None:
    """Each recorded result tells the writes before it; one served unmarked must tell this run's own."""
    written: list[str] = []
    run: list[tuple[tuple[str, str], str]] = []
    for call in recorded:
        run.append((call, " ".join(written)))
        written += [call[0]] if kind_by_name(call[0]) == "write" else []
    reader = tape(run).reader()
    made: list[str] = []
    for call in asked:
        answer = reader.find(*call)
        if not answer.is_missing:
            assert answer.served.may_be_stale == (answer.text != " ".join(made))
            made += [call[0]] if kind_by_name(call[0]) == "write" else []


def test_own_calls_in_order_are_answered_as_recorded_and_unmarked() -> None:
    run = [(GET, "1"), (PAY, "2"), (GET, "3"), (GET, "3"), (CANCEL, "4"), (GET, "5")]
    reader = tape(run, [(GET, "other"), (PAY, "other")]).reader()
    answers = [reader.find(*call) for call, _ in run]
    assert [one.text for one in answers] == [text for _, text in run]
    assert {(one.served.fidelity, one.served.note) for one in answers} == {("exact", "")}


@pytest.mark.parametrize(
    "other",
    [
        tape([(GET, "b")]),
        tape([(GET, "a")], [(GET, "a")]),
        tape([(GET, "a"), (GET, "a")]),
        tape([(GET, "a")], kinds=ToolKinds({"get_order": "pure"})),
    ],
)
def test_digest_differs_with_recordings_pool_and_kinds(other: Tape) -> None:
    assert tape([(GET, "a")]).digest == tape([(GET, "a")]).digest
    assert other.digest != tape([(GET, "a")]).digest
