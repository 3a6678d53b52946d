from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.world.rows import RowStore, freeze, read_table, thaw

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_thawing_what_was_frozen_gives_it_back(value: Any) -> None:
    assert thaw(freeze(value)) == value


def store() -> RowStore:
    return RowStore({"t": freeze({"a": {"n": [1]}, "b": {"n": [2]}})})


def test_row_of_the_snapshot_cannot_be_changed_by_reading_it() -> None:
    row = store().get("t", "a")
    assert row is not None
    with pytest.raises(TypeError):
        row["n"] = 3  # type: ignore[index]
    with pytest.raises(AttributeError):
        row["n"].append(3)


def test_edit_insert_and_delete_are_seen_by_reads_and_told_as_changes() -> None:
    rows = store()
    rows.edit("t", "a")["n"].append(9)
    rows.put("t", "c", {"n": []})
    rows.delete("t", "b")
    rows.edit("t", "c")["n"] = [3]
    assert [(key, thaw(row)) for key, row in rows.rows("t")] == [("a", {"n": [1, 9]}), ("c", {"n": [3]})]
    assert rows.get("t", "b") is None
    assert rows.changes() == {"t": {"a": {"n": [1, 9]}, "b": None, "c": {"n": [3]}}}
    with pytest.raises(KeyError):
        rows.edit("t", "b")
    with pytest.raises(KeyError):
        rows.delete("t", "b")


def test_copy_that_was_not_changed_and_row_that_came_and_went_are_no_change() -> None:
    rows = store()
    rows.edit("t", "a")
    rows.put("t", "c", {})
    rows.delete("t", "c")
    assert rows.changes() == {"t": {}}


def test_tables_are_objects_by_key_or_arrays_with_a_key_compressed_or_not(tmp_path: Path) -> None:
    plain, packed = tmp_path / "t.json", tmp_path / "t.json.gz"
    plain.write_text(json.dumps([{"id": 1, "x": 2}]))
    packed.write_bytes(gzip.compress(b'{"1": {"id": 1, "x": 2}}'))
    assert read_table(plain, "id") == read_table(packed)


@pytest.mark.parametrize("content", ["[{}]", "3", '{"a": 1}', '[{"id": 1}, {"id": 1}]'])
def test_file_that_is_no_table_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "t.json"
    file.write_text(content)
    with pytest.raises((ValueError, KeyError)):
        read_table(file, "id" if content.startswith("[{}") or "1}, {" in content else None)
