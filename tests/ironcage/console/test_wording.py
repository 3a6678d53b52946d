from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ironcage.console.wording import count, pretty, seconds, size, title_of, when

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(JSON, st.sampled_from([None, 1, "\t"]))
def test_laid_out_json_means_what_it_meant(value: Any, indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent)
    assert json.loads(pretty(text)) == value


@given(st.text())
def test_what_is_no_json_is_left_alone(text: str) -> None:
    shown = pretty(text)
    try:
        json.loads(text)
    except ValueError:
        assert shown == text


def test_tokens_stay_as_they_were_written() -> None:
    text = '{"a":1.10,"a":1e400,"b":"\\u00e9 , : [ {","c":[],"d":{},"e":[[1,2],{"f":null}],"long":"' + "x" * 80 + '"}'
    shown = pretty(text)
    assert '"a": 1.10,\n  "a": 1e400,\n  "b": "\\u00e9 , : [ {",\n  "c": [],\n  "d": {},\n' in shown
    assert "".join(shown.split()) == "".join(text.split())


def test_short_json_stays_on_its_line() -> None:
    assert pretty('{"order_id": "A-1"}') == '{"order_id": "A-1"}'


def test_depth_that_no_parser_takes_is_shown_as_it_is() -> None:
    text = "[" * 100_000
    assert pretty(text) == text


def test_numbers_read_like_numbers() -> None:
    assert [seconds(s) for s in (None, 0.0123, 1.25, 59.94, 61, 3700)] == [
        "-", "12 ms", "1.2 s", "59.9 s", "1 min 1 s", "1 h 1 min",
    ]  # fmt: skip
    assert [size(b) for b in (0, 1023, 1536, 5 * 1024 * 1024)] == ["0 B", "1023 B", "1.5 KB", "5.0 MB"]
    assert (count(1, "step"), count(2000, "step")) == ("1 step", "2,000 steps")
    assert title_of("tool_not_allowed") == "Tool not allowed"
    assert when(0) == "1970-01-01 00:00:00"
    assert when(1e30) == when(float("nan")) == ""
