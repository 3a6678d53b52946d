"""Conditions on what stands within an argument: no value at the place escapes them, wherever it is put."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policies.arguments.places import MAX_VALUES, MisplacedError, find, segments
from policies.arguments.rule import ToolArguments
from policies.engine import Engine
from policies.memory_ledger import MemoryLedger
from policies.settings import ToolSettings
from policies.verdict import ALLOW, Refuse, Verdict
from trajectory.events import CallProposed, ToolAsked

WORK = {"under": ["/workspace"]}
INSIDE, OUTSIDE = "/workspace/a", "/etc/passwd"


def engine(place: str, **conditions: object) -> Engine:
    arguments = ToolSettings.model_validate({"arguments": {"edit": {place: conditions}}}).arguments
    return Engine([ToolArguments(arguments)], MemoryLedger())


def called(place: str, arguments: object, **conditions: object) -> Verdict:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return engine(place, **(conditions or WORK)).judge(CallProposed("t", "edit", "c", text))


@pytest.mark.parametrize(
    ("place", "arguments"),
    [
        ("$.path", {"path": INSIDE}),
        ("$.to.path", {"to": {"path": INSIDE, "mode": "w"}}),
        ("$['to']['a b']", {"to": {"a b": INSIDE}}),
        ("$.items[*].path", {"items": [{"path": INSIDE}, {"path": "/workspace"}]}),
        ("$.items[*].path", {"items": []}),
        ("$.items[*]", {"items": [INSIDE]}),
        ("$.by_name.*", {"by_name": {"x": INSIDE, "y": INSIDE}}),
        ("$.grid[*][*]", {"grid": [[INSIDE], [], [INSIDE]]}),
        ("$..path", {"items": [{"path": INSIDE}, {"deep": [{"path": INSIDE}]}], "text": OUTSIDE}),
        ("a.b", {"a.b": INSIDE}),
    ],
)
def test_where_each_value_meets_its_conditions_a_call_passes(place: str, arguments: object) -> None:
    assert called(place, arguments) is ALLOW


@pytest.mark.parametrize(
    ("place", "arguments"),
    [
        ("$.to.path", {"to": {"path": OUTSIDE}}),
        ("$.to.path", {"to": [{"path": INSIDE}]}),
        ("$.to.path", {"to": json.dumps({"path": INSIDE})}),
        ("$.to.path", {"to": {"path": [INSIDE]}}),
        ("$.to.path", {"to": {"path": INSIDE, "Path": OUTSIDE}}),
        ("$.to.path", {"to": {"path": INSIDE}, "TO": {"path": OUTSIDE}}),
        ("$.to.path", '{"to":{"path":"/workspace/a","path":"/etc"}}'),
        ("$.to.path", {"to": {}}),
        ("$.to.path", {"to": None}),
        ("$.to.path", {"to.path": INSIDE}),
        ("$.to.path", {}),
        ("$.items[*].path", {"items": [{"path": INSIDE}, {"path": OUTSIDE}]}),
        ("$.items[*].path", {"items": [{"path": INSIDE}, {}]}),
        ("$.items[*].path", {"items": [{"path": INSIDE}, OUTSIDE]}),
        ("$.items[*].path", {"items": {"path": INSIDE}}),
        ("$.items[*].path", {"items": OUTSIDE}),
        ("$.items[*].path", {"items": None}),
        ("$.items[*]", {"items": [[INSIDE]]}),
        ("$.items[*]", {"items": [INSIDE, {"path": INSIDE}]}),
        ("$.by_name.*", {"by_name": {"x": INSIDE, "y": OUTSIDE}}),
        ("$..path", {"path": INSIDE, "items": [{"deep": [{"path": OUTSIDE}]}]}),
        ("$..path", {"path": INSIDE, "items": [{"deep": [{"PATH": OUTSIDE}]}]}),
        ("$..path", {"text": INSIDE}),
        ("$.items[*]", {"items": [INSIDE] * (MAX_VALUES + 1)}),
    ],
)
def test_a_value_that_does_not_or_could_hide_refuses_it(place: str, arguments: object) -> None:
    verdict = called(place, arguments)
    assert isinstance(verdict, Refuse) and verdict.code == "tool_arguments_refused"
    assert OUTSIDE not in verdict.message and place in verdict.message


def test_what_may_be_left_out_may_be_left_out_by_each() -> None:
    some = {"items": [{"path": INSIDE}, {}]}
    assert called("$.items[*].path", some, **WORK, optional=True) is ALLOW
    assert called("$.items[*].path", {}, **WORK, optional=True) is ALLOW
    assert isinstance(called("$.items[*].path", {"items": None}, **WORK, optional=True), Refuse)
    some["items"].append({"path": OUTSIDE})
    assert isinstance(called("$.items[*].path", some, **WORK, optional=True), Refuse)


def test_numbers_within_are_numbers() -> None:
    assert called("$.lines[*].price", '{"lines":[{"price":1},{"price":2.5}]}', max=3) is ALLOW
    for price in ("3.0000000000000000001", '"1"', "[1]", "true"):
        assert isinstance(called("$.lines[*].price", f'{{"lines":[{{"price":{price}}}]}}', max=3), Refuse)


@pytest.mark.parametrize("query", ["path[]=/etc", "path[x]=/etc", "path.x=/etc", "a=1&path%5B0%5D=/etc"])
def test_a_query_whose_names_some_read_as_places_is_unclear_also_where_the_argument_is_optional(query: str) -> None:
    asked = ToolAsked("t", "shop", "h", "edit", "d", 0, query)
    assert isinstance(engine("path", **WORK, optional=True).judge(asked), Refuse)
    assert isinstance(engine("$.path.x", **WORK, optional=True).judge(asked), Refuse)


@pytest.mark.parametrize(
    "place", ["$", "$.", "$x", "$.items[0]", "$.a[", "$.a[?(@.b)]", "$..", "$...a", "$['a", "$.a b"]
)
def test_a_path_that_is_not_read_is_refused_with_the_settings(place: str) -> None:
    with pytest.raises(ValidationError, match=r"\$\.items\[\*\]\.path"):
        engine(place, **WORK)


nested = st.recursive(
    st.sampled_from(["mark", 1, None]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from("abc"), nested, max_size=3))
def test_at_any_depth_means_all_of_them(arguments: dict[str, object]) -> None:
    def members(value: object) -> int:
        if isinstance(value, dict):
            return ("a" in value) + sum(map(members, value.values()))
        return sum(map(members, value)) if isinstance(value, list) else 0

    found = find(arguments, segments("$..a"))
    assert len(found.values) == members(arguments) and found.is_missing == (not found.values)


@pytest.mark.parametrize("place", ["$..x..y", "$..x..x.y", "$..x..x[*]"])
def test_what_stands_below_itself_is_looked_at_only_so_often(place: str) -> None:
    """Without that, one call of a megabyte keeps all others waiting for minutes."""
    wide = {f"k{number}": 1 for number in range(5_000)}
    deep = json.dumps(wide)
    for _ in range(300):
        deep = f'{{"x": {deep}}}'
    with pytest.raises(MisplacedError, match="more places than are looked at"):
        find(json.loads(deep), segments(place))
    assert find({"x": wide}, segments("$..x..k1")).values == [1]
