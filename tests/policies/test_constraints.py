from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policies.constraints import MB, WRAPPER, Constraints, Section, schema
from trajectory.runs import Limits

FILE: dict[str, Any] = {
    "evaluation_config": {
        "constraints": {
            "memory_limit_mb": 512,
            "cpu_timeout_ms": 30000,
            "max_retries": 3,
            "allowed_tools": ["file_read", "file_write", "shell_exec", "web_search"],
            "network_egress_limit_mb": 100,
        },
        "metrics": {
            "track_resource_usage": True,
            "track_tool_calls": True,
            "track_retry_count": True,
            "error_classification": True,
        },
        "scoring": {"success_weight": 0.6, "efficiency_weight": 0.4, "penalty_oom": 1.0, "penalty_timeout": 0.8},
    }
}
INNER: dict[str, Any] = FILE[WRAPPER]


def limited(**limits: object) -> Constraints:
    return Constraints.model_validate({"constraints": limits})


def test_documented_file_is_read_with_and_without_its_wrapper() -> None:
    wrapped, bare = Constraints.model_validate(FILE), Constraints.model_validate(INNER)
    assert wrapped == bare
    assert wrapped.constraints.memory_limit_mb == 512
    assert wrapped.constraints.allowed_tools == ("file_read", "file_write", "shell_exec", "web_search")
    assert wrapped.metrics.error_classification
    assert wrapped.egress_limit_bytes == 100 * MB
    assert wrapped.limits() == Limits(memory_mb=512, cpu_s=30, egress_mb=100, max_retries=3)


def test_nothing_written_means_no_limit_and_the_documented_weights() -> None:
    empty = Constraints()
    assert empty.limits() == Limits()
    assert empty.egress_limit_bytes is None
    assert empty.constraints.allowed_tools is None
    near_ceiling = {"penalty_near_ceiling": 0.0, "near_ceiling_from": 0.85}
    assert empty.scoring.model_dump() == INNER["scoring"] | near_ceiling
    assert empty.metrics.model_dump() == INNER["metrics"]


def test_yaml_extension() -> None:
    extended = limited(wall_timeout_s=60, egress_hosts=["*.corp.test", "a.test:8443"])
    assert extended.limits().wall_s == 60
    assert extended.constraints.egress_hosts == ("*.corp.test", "a.test:8443")


@pytest.mark.parametrize("key", ["memory_limit_mb", "cpu_timeout_ms", "wall_timeout_s", "network_egress_limit_mb"])
@pytest.mark.parametrize("value", [-1, True, "512", float("nan"), float("inf"), 1e300, [1]])
def test_amount_that_cannot_be_meant_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        limited(**{key: value})


@pytest.mark.parametrize("key", ["memory_limit_mb", "cpu_timeout_ms", "wall_timeout_s"])
def test_run_without_memory_or_time_is_refused(key: str) -> None:
    with pytest.raises(ValidationError):
        limited(**{key: 0})


def test_no_retries_and_no_egress_can_be_asked_for() -> None:
    none = limited(max_retries=0, network_egress_limit_mb=0, allowed_tools=[])
    assert none.egress_limit_bytes == 0
    assert none.limits().max_retries == 0
    assert none.constraints.allowed_tools == ()


@pytest.mark.parametrize("value", [-1, 1.5, True, "3", 10**30])
def test_retry_budget_is_a_whole_number(value: object) -> None:
    with pytest.raises(ValidationError):
        limited(max_retries=value)


@pytest.mark.parametrize(
    "limits",
    [
        {"allowed_tools": ["a", "b", "a"]},
        {"allowed_tools": [""]},
        {"allowed_tools": ["a "]},
        {"allowed_tools": ["a*b"]},
        {"allowed_tools": "shell"},
        {"allowed_tools": [1]},
        {"egress_hosts": ["http://a.test"]},
        {"egress_hosts": ["a.test", "a.test"]},
    ],
)
def test_list_that_cannot_be_meant_is_refused(limits: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        limited(**limits)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf"), "1", True])
def test_weight_that_cannot_be_meant_is_refused(weight: object) -> None:
    with pytest.raises(ValidationError):
        Constraints.model_validate({"scoring": {"success_weight": weight}})


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"constraint": {}}, ("constraint",)),
        ({**FILE, "metrics": {}}, (WRAPPER,)),
        ({WRAPPER: {"constraints": {"max_retrys": 3}}}, (WRAPPER, "constraints", "max_retrys")),
        ({WRAPPER: {WRAPPER: {}}}, (WRAPPER, WRAPPER)),
    ],
)
def test_unknown_key_is_refused_at_its_place(data: dict[str, object], place: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as raised:
        Constraints.model_validate(data)
    assert place in [line["loc"] for line in raised.value.errors()]


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        Constraints().constraints.max_retries = 9


def test_digest_is_of_the_meaning() -> None:
    digest = Constraints.model_validate(FILE).digest()
    reordered = json.loads(json.dumps(INNER, sort_keys=True))
    reordered["constraints"]["allowed_tools"].reverse()
    reordered["constraints"]["memory_limit_mb"] = 512.0
    reordered["constraints"]["wall_timeout_s"] = None
    del reordered["metrics"], reordered["scoring"]
    assert Constraints.model_validate(reordered).digest() == digest
    assert len(digest) == 64


def test_digest_differs_with_each_limit() -> None:
    digests = {
        Constraints().digest(),
        Constraints.model_validate({"scoring": {"penalty_oom": 0.5}}).digest(),
        Constraints.model_validate({"metrics": {"track_tool_calls": False}}).digest(),
        limited(allowed_tools=[]).digest(),
        limited(allowed_tools=["a"]).digest(),
        limited(egress_hosts=[]).digest(),
        *(limited(**{key: 1}).digest() for key in ("memory_limit_mb", "cpu_timeout_ms", "wall_timeout_s")),
        *(limited(**{key: 1}).digest() for key in ("max_retries", "network_egress_limit_mb")),
        limited(max_retries=0).digest(),
    }
    assert len(digests) == 12


limit_values = st.fixed_dictionaries(
    {},
    optional={
        "memory_limit_mb": st.none() | st.floats(1, 1e6) | st.integers(1, 10**6),
        "max_retries": st.none() | st.integers(0, 99),
        "allowed_tools": st.none() | st.lists(st.sampled_from(["a", "b*", "c"]), unique=True),
    },
)


@given(limits=limit_values)
def test_what_is_written_is_read_back(limits: dict[str, object]) -> None:
    constraints = limited(**limits)
    again = Constraints.model_validate_json(constraints.model_dump_json())
    assert again == constraints
    assert again.digest() == constraints.digest()


def _properties(node: object) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(node, dict):
        return []
    own = [(key, value) for key, value in node.get("properties", {}).items() if key != WRAPPER]
    return own + list(itertools.chain.from_iterable(_properties(value) for value in node.get("$defs", {}).values()))


def test_schema_names_every_key_with_a_sentence_and_forbids_others() -> None:
    made = schema()
    keys = _properties(made)
    assert {key for key, _ in keys} >= {"constraints", "metrics", "scoring", "wall_timeout_s", "egress_hosts"}
    for key, value in keys:
        assert value["description"].endswith("."), key
    for definition in made["$defs"].values():
        assert definition["additionalProperties"] is False
    references = json.dumps(made).split('"$ref": "#/$defs/')[1:]
    assert {reference.split('"')[0] for reference in references} <= set(made["$defs"])


def test_every_section_forbids_unknown_keys() -> None:
    assert {section.__name__ for section in Section.__subclasses__()} >= {"LimitSection", "Constraints"}
    for section in Section.__subclasses__():
        assert section.model_config["extra"] == "forbid"
        assert section.model_config["frozen"]
