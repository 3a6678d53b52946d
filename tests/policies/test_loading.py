from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from policies.constraints import Constraints
from policies.loading import load_model
from policies.settings import PolicySettings
from trajectory.errors import OperatorError

SECRET = "sk-hunter2"


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Upstream(Strict):
    base_url: str
    kind: Literal["model", "tool"] = "model"


class Http(Strict):
    door: Literal["http"]
    port: int


class Unix(Strict):
    door: Literal["unix"]
    path: str


class Settings(Strict):
    """The shape of ironcage.yaml: nested models, a dict of models, unions of a model and a path, a tagged union."""

    listen: str = "127.0.0.1:8800"
    token: str | None = None
    constraints: Constraints | Path = Constraints()
    policies: PolicySettings = PolicySettings()
    upstreams: dict[str, Upstream] = {}
    more: tuple[Upstream, ...] = ()
    doors: list[Annotated[Http | Unix, Field(discriminator="door")]] = []


def load(text: str | bytes) -> Settings:
    return load_model(text, Settings, name="ironcage.yaml")


def failure(text: str | bytes) -> OperatorError:
    with pytest.raises(OperatorError) as raised:
        load(text)
    return raised.value


def test_unknown_key_is_named_with_its_place_and_the_nearest_name() -> None:
    error = failure("listen: 127.0.0.1:1\npolicies:\n  tols: {}\n")
    assert str(error) == "ironcage.yaml:3:3: policies.tols: unknown key"
    assert error.hint.startswith('did you mean "tools"?')
    assert "retries, tools, approvals, egress, spend, context, redaction" in error.hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("upstreams:\n  a: {base_url: x, knd: tool}", "2:20: upstreams.a.knd: unknown key", '"kind"'),
        ("upstreams:\n  a: {kind: tool}", "2:3: upstreams.a.base_url: missing", ""),
        ("upstreams:\n  a:\n    base_url: x\n    kind: web", "4:11: upstreams.a.kind: should be 'model' or 'tool'", ""),
        ("more:\n- base_url: x\n- base_ur: x", "3:3: more.1.base_ur: unknown key", '"base_url"'),
        ("doors:\n- {door: http, prt: 1, port: 2}", "2:16: doors.0.prt: unknown key", '"port"'),
        ("doors:\n- {door: unix, port: 2, path: x}", "2:16: doors.0.port: unknown key", ": door, path"),
        ("max-retries: 3", "1:1: max-retries: unknown key", "belongs under constraints.constraints"),
        ("tools: {}", "1:1: tools: unknown key", "belongs under policies"),
        ("policies: {listen: x}", "1:12: policies.listen: unknown key", "at the top of the file"),
        ("zzz: 1", "1:1: zzz: unknown key", "listen, token"),
        ("listen: 5", "1:9: listen: should be text", ""),
        ("policies: []", "1:11: policies: should be a mapping of keys to values", ""),
        ("[]", "1:1: should be a mapping of keys to values", ""),
        ("just text", "1:1: should be a mapping of keys to values", ""),
    ],
)
def test_error_names_line_column_key_and_what_to_do(text: str, message: str, hint: str) -> None:
    error = failure(text)
    assert str(error).startswith(f"ironcage.yaml:{message}")
    assert hint in error.hint


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("constraints:\n  constraints: {max_retrys: 3}", "2:17: constraints.constraints.max_retrys: unknown key"),
        (
            "constraints:\n  evaluation_config:\n    constraints: {max_retries: -1}",
            "3:32: constraints.evaluation_config.constraints.max_retries: should be greater",
        ),
        ("constraints: 5", "1:14: constraints: should be a mapping of keys to values, or should be a path"),
    ],
)
def test_error_inside_a_union_is_that_of_the_branch_which_was_meant(text: str, place: str) -> None:
    error = failure(text)
    assert str(error).startswith(f"ironcage.yaml:{place}")
    assert "\n" not in str(error), "the other branch has nothing to say"


def test_all_errors_are_listed_in_the_order_of_the_file() -> None:
    error = failure("zzz: 1\nlisten: 5\nupstreams:\n  a: {bas_url: x}\n")
    places = [line.split(": ")[0] for line in str(error).splitlines()]
    assert places == ["ironcage.yaml:1:1", "ironcage.yaml:2:9", "ironcage.yaml:4:7"], (
        "base_url is not missing, but misspelled"
    )
    assert '"base_url"' in str(error).splitlines()[-1]


def test_long_list_of_errors_is_cut() -> None:
    lines = str(failure("".join(f"zzz{number}: 1\n" for number in range(30)))).splitlines()
    assert lines[-1] == "and 10 more"


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# only a comment\n", "---\n", "{}", "policies:\n  # all off\n", b"\xef\xbb\xbf"]
)
def test_nothing_written_is_the_defaults(text: str | bytes) -> None:
    assert load(text) == Settings()


@pytest.mark.parametrize(
    "text",
    [
        "constraints:\n  constraints:\n    allowed_tools:\n      # - shell_exec\n",
        "policies:\n  redaction:\n",
        "token:\n",
        "zzz: 1\ntoken:\n",
    ],
)
def test_key_whose_value_was_commented_out_lifts_no_limit(text: str) -> None:
    assert "no value" in str(failure(text))


def test_null_that_is_written_out_means_none() -> None:
    assert load("token: null\npolicies: {redaction: ~}") == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listen: a\nlisten: b", "2:1: listen: this key already stands in line 1"),
        ('{"upstreams": {"a": {"base_url": "x"}, "a": {"base_url": "y"}}}', "1:40: upstreams.a: this key already"),
        ("listen: !!python/object/apply:os.system [id]", "1:9: listen: this tag is not allowed"),
        ("listen: !secret x", "1:9: listen: this tag is not allowed"),
        ("!!set {a, b}", "1:1: this tag is not allowed"),
        ("listen: !!int x", "1:9: listen: cannot be read as int"),
        ("listen: a\n---\nlisten: b", "2:1: a second document begins here"),
        ("? [a]\n: b", "1:3: a key is a single word or text"),
        ("listen: [", "1:10: "),
        ("listen: *nothing", "1:9: "),
        ("a:\n\tb: 1", "2:1: a tab where YAML allows only spaces"),
        ("listen: \x07", "1:9: a character that YAML does not allow"),
        ("upstreams: &a\n  x: *a", "1:12: nested too deeply or too large"),
        ("[" * 5000, "1:1: nested too deeply"),
        (b"listen: a\ntoken: \xff", "2:8: not UTF-8"),
        ("listen: a".encode("utf-16"), "1:1: not UTF-8"),
    ],
)
def test_file_that_means_something_else_than_it_seems_is_refused(text: str | bytes, message: str) -> None:
    assert str(failure(text)).startswith(f"ironcage.yaml:{message}")


def test_aliases_of_aliases_do_not_grow_without_end() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "too large" in str(failure("\n".join(lines)))


def test_anchor_may_be_used_again() -> None:
    loaded = load("upstreams:\n  a: &a {base_url: x}\n  b: *a\n")
    assert loaded.upstreams["a"] == loaded.upstreams["b"]


@pytest.mark.parametrize(
    "text",
    [
        f"tokn: {SECRET}",
        f"token: [{SECRET}]",
        f"listen: {{a: {SECRET}}}",
        f"token: !x {SECRET}",
        f"token: a\ntoken: {SECRET}",
        f"upstreams: {{a: {SECRET}}}",
        f"policies: {{tools: {{offered: {SECRET}}}}}",
    ],
)
def test_message_quotes_no_value(text: str) -> None:
    error = failure(text)
    assert SECRET not in str(error) + error.hint


def test_words_that_old_yaml_reads_as_something_else_stay_text() -> None:
    for word in ("yes", "no", "on", "off", "12:30", "1_000", "2026-11-23", "0b1"):
        assert load(f"listen: {word}").listen == word
    tools = load_model("constraints: {allowed_tools: [on, yes]}", Constraints).constraints.allowed_tools
    assert tools == ("on", "yes")


@pytest.mark.parametrize(("text", "value"), [("1e3", 1000.0), ("0x10", 16), ("0o10", 8), ("010", 10), (".5", 0.5)])
def test_numbers_are_those_of_the_core_schema(text: str, value: float) -> None:
    loaded = load_model(f"constraints: {{memory_limit_mb: {text}}}", Constraints)
    assert loaded.constraints.memory_limit_mb == value


def test_json_may_be_indented_with_tabs_and_hold_surrogate_pairs() -> None:
    text = json.dumps({"listen": "\U0001f600", "upstreams": {"a": {"base_url": "x\ty"}}}, indent="\t")
    loaded = load(text)
    assert loaded.listen == "\U0001f600"
    assert loaded.upstreams["a"].base_url == "x\ty"
    assert str(failure('{\n\t"listn": 1\n}')).startswith("ironcage.yaml:2:2: listn: unknown key")


def test_file_is_read_and_named(tmp_path: Path) -> None:
    file = tmp_path / "constraints.json"
    file.write_text('{"evaluation_config": {"constraints": {"max_retries": 3}}}')
    assert load_model(file, Constraints).constraints.max_retries == 3
    file.write_text('{"evaluation_config":\n {"constraints": {"max_retries": 3.5}}}')
    with pytest.raises(OperatorError, match=r"constraints\.json:2:34: evaluation_config\.constraints\.max_retries: "):
        load_model(file, Constraints)


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_file_that_cannot_be_read_is_an_operator_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be read"):
        load_model(tmp_path / name, Constraints)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=12,
)


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


@given(st.dictionaries(st.text(min_size=1, max_size=5).map(lambda key: "k" + key), plain, max_size=4))
def test_any_json_is_read_as_json_reads_it(data: dict[str, object]) -> None:
    assert load_model(json.dumps(data), Anything).model_extra == data


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,5}", fullmatch=True),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.from_regex(r"[a-z ]*", fullmatch=True),
        max_size=5,
    )
)
def test_yaml_that_was_written_is_read_back(data: dict[str, object]) -> None:
    assert load_model(yaml.safe_dump(data), Anything).model_extra == data


@given(st.text(alphabet="ab:{}[]-?!&*#|>'\"%@` \n\t0.1~", max_size=30))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        load(text)
    except OperatorError as error:
        assert str(error).startswith("ironcage.yaml:")
