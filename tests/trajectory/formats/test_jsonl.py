from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.attempts import body, model_attempt, tool_attempt
from trajectory.conversation import Reply
from trajectory.errors import FormatError, OperatorError, StoreError
from trajectory.formats.jsonl import export_trajectory, import_trajectory
from trajectory.memory import MemoryStore
from trajectory.record import Attempt
from trajectory.sql.opening import open_store
from trajectory.store import Store
from trajectory.trajectory import Launch


def _filled(store: Store) -> None:
    store.launched("s-1", Launch(("python", "-m", "agent"), "/somewhere", 0, 1.5), task="t-1", source="live")
    store.append(
        [
            model_attempt(1, task="t-1", client_reply=body(b"\xff\xfe\x00", "text\u2028\x85")),
            tool_attempt(2, task="t-1", reply=(), client_reply=()),
            model_attempt(3, task="t-1", id="again", operation="op000001", number=2, tools=(), end="cut"),
        ]
    )
    store.label("s-1", "failed", "wrong order refunded")


def test_a_trajectory_comes_back_whole_from_its_file(store: Store) -> None:
    _filled(store)
    lines = list(export_trajectory(store, "s-1"))
    other = MemoryStore()
    assert import_trajectory(other, lines) == "s-1"
    assert list(other.attempts("s-1")) == list(store.attempts("s-1"))
    was, now = store.trajectory("s-1"), other.trajectory("s-1")
    assert (now.steps, now.label, now.label_evidence, now.launch, now.task, now.source) == (
        *(was.steps, was.label, was.label_evidence, was.launch, was.task),
        "imported",
    )
    again = list(export_trajectory(other, "s-1"))
    assert again[1:] == lines[1:]


def test_a_file_can_be_imported_into_every_store(store: Store) -> None:
    source = MemoryStore()
    _filled(source)
    import_trajectory(store, export_trajectory(source, "s-1"))
    assert list(store.attempts("s-1")) == list(source.attempts("s-1"))
    assert store.find(source="imported")[0].label == "failed"


def test_a_resent_message_stands_in_the_file_once() -> None:
    store = MemoryStore()
    message = "the same message each turn " * 40
    store.append([model_attempt(n, request=body(message)) for n in range(10)])
    text = "\n".join(export_trajectory(store, "s-1"))
    assert text.count(message) == 1
    assert text.isascii()


def test_any_bytes_in_any_spans_export_byte_equal() -> None:
    source, target = open_store("sqlite://"), open_store("sqlite://")

    @settings(max_examples=40)
    @given(
        parts=st.lists(st.binary(max_size=200) | st.text(max_size=80).map(str.encode), max_size=5),
        answer=st.text(alphabet=st.characters(), max_size=40),
    )
    def holds(parts: list[bytes], answer: str) -> None:
        written = model_attempt(1, request=body(*parts), reply=body(*reversed(parts)), answer=Reply(answer))
        source.append([written])
        file = "\n".join(export_trajectory(source, "s-1"))
        import_trajectory(target, file.splitlines())
        assert list(target.attempts("s-1")) == [written]
        target.delete("s-1")

    holds()
    source.close()
    target.close()


def _file() -> list[str]:
    store = MemoryStore()
    _filled(store)
    return list(export_trajectory(store, "s-1"))


def _changed(index: int, **changes: object) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        fields = json.loads(lines[index]) | changes
        return (
            [*lines[:index], json.dumps(fields), *lines[index + 1 :]]
            if index >= 0
            else [*lines[:-1], json.dumps(fields)]
        )

    return change


_ATTEMPT = next(i for i, line in enumerate(_file()) if json.loads(line)["line"] == "attempt")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda lines: [*lines[:3], '{"line": "span", ', *lines[3:]], "line 4: "),
        (lambda lines: [*lines[:3], "[1]", *lines[3:]], "line 4: not a JSON object"),
        (lambda lines: [*lines[:3], '{"line": "riddle"}', *lines[3:]], "line 4: unknown kind of line 'riddle'"),
        (lambda lines: [*lines[:3], '{"line": ["span"]}', *lines[3:]], "line 4: unknown kind"),
        (lambda lines: lines[1:], "line 1: the first line"),
        (lambda lines: [lines[0], *lines], "line 2: the first line"),
        (lambda lines: lines[:-1], "breaks off before its end"),
        (lambda lines: [*lines, lines[1]], "something follows the end"),
        (lambda lines: [lines[0], *lines[2:]], "is not defined above"),
        (lambda _: [], "holds no trajectory"),
        (_changed(0, format="other"), "line 1: this is not the ironcage-trajectory format"),
        (_changed(0, version=2), "line 1: version 2"),
        (_changed(0, id="../../etc"), "line 1: "),
        (_changed(0, id=5), "line 1: "),
        (_changed(1, text="other"), "line 2: the bytes do not have the digest"),
        (_changed(1, text=7), "line 2: "),
        (_changed(_ATTEMPT, trajectory="s-2"), "belongs to another trajectory"),
        (_changed(_ATTEMPT, end="maybe"), f"line {_ATTEMPT + 1}: "),
        (_changed(_ATTEMPT, request=None), "lists of digests"),
        (lambda lines: [*lines[: _ATTEMPT + 1], *lines[_ATTEMPT:]], "is there twice"),
        (_changed(-1, attempts=7), "7 attempts were written, 3 are here"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_stored(spoil: Callable[[list[str]], list[str]], says: str) -> None:
    store = MemoryStore()
    with pytest.raises(FormatError) as caught:
        import_trajectory(store, spoil(_file()))
    assert says in str(caught.value)
    assert caught.value.hint
    assert store.find() == []


def test_a_trajectory_that_is_there_is_not_overwritten() -> None:
    store = MemoryStore()
    _filled(store)
    before = list(store.attempts("s-1"))
    with pytest.raises(OperatorError, match="already"):
        import_trajectory(store, _file())
    assert list(store.attempts("s-1")) == before


def test_an_import_that_the_store_cannot_finish_leaves_nothing() -> None:
    class FullStore(MemoryStore):
        def append(self, attempts: Sequence[Attempt]) -> None:
            raise StoreError("disk is full")

    store = FullStore()
    with pytest.raises(StoreError, match="full"):
        import_trajectory(store, _file())
    assert store.find() == []


def test_exporting_what_is_not_there_is_a_store_error(store: Store) -> None:
    with pytest.raises(StoreError):
        list(export_trajectory(store, "nobody"))
