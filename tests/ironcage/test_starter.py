from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironcage.settings import Settings
from ironcage.starter import (
    VENDORS,
    Machine,
    constraints_text,
    found_upstreams,
    settings_text,
    suggested_constraints,
)
from policies.constraints import Constraints
from policies.loading import load_model

SECRET = "sk-do-not-write-this"
VARIABLES = [name for vendor in VENDORS for name in (*vendor.keys, *vendor.urls)]


def loaded(environment: dict[str, str]) -> Settings:
    return load_model(settings_text(found_upstreams(environment)), Settings)


def test_no_key_is_ever_written() -> None:
    environment = {name: SECRET for vendor in VENDORS for name in vendor.keys}
    text = settings_text(found_upstreams(environment))
    assert SECRET not in text
    assert set(load_model(text, Settings).upstreams) == {vendor.name for vendor in VENDORS}


@given(st.dictionaries(st.sampled_from(VARIABLES), st.text(min_size=1)))
def test_whatever_the_environment_holds_the_file_loads(environment: dict[str, str]) -> None:
    loaded(environment)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://gw.example.com/v1", "https://gw.example.com"),
        ("https://gw.example.com/v1/", "https://gw.example.com"),
        ("https://gw.example.com/openai/v1", "https://gw.example.com/openai"),
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
    ],
)
def test_address_is_taken_without_the_version_that_clients_say_themselves(url: str, expected: str) -> None:
    assert loaded({"OPENAI_BASE_URL": url}).upstreams["openai"].base_url == expected


@pytest.mark.parametrize(
    "url", [f"https://ada:{SECRET}@x.test/v1", f"https://x.test/v1?key={SECRET}", "x.test", "a\nb: c"]
)
def test_address_with_a_secret_or_none_is_left_out_and_named(url: str) -> None:
    text = settings_text(found_upstreams({"OPENAI_BASE_URL": url}))
    assert SECRET not in text
    assert "# OPENAI_BASE_URL is set to an address that cannot stand here" in text
    assert load_model(text, Settings).upstreams["openai"].base_url == "https://api.openai.com"


def test_proxy_never_becomes_its_own_upstream() -> None:
    inside = {"IRONCAGE_URL": "http://127.0.0.1:8800", "OPENAI_BASE_URL": "http://127.0.0.1:8800/s/X/openai/v1"}
    assert found_upstreams(inside) == []
    (found,) = found_upstreams({**inside, "OPENAI_API_KEY": "k"})
    assert found.base_url == "https://api.openai.com"


def test_nothing_found_is_a_file_without_upstreams_that_shows_how() -> None:
    text = settings_text([])
    assert load_model(text, Settings).upstreams == {}
    assert "# upstreams:" in text


@given(st.integers(1, 2**44), st.integers(0, 1024))
def test_limits_fit_any_machine_and_load(memory_bytes: int, cpus: int) -> None:
    suggested = suggested_constraints(Machine(memory_bytes, cpus))
    assert load_model(constraints_text(suggested), Constraints) == suggested
    limit = suggested.constraints.memory_limit_mb
    assert limit is not None
    assert 256 <= limit <= 4096
    assert limit == 256 or limit * max(cpus, 1) * 2 <= memory_bytes / 1024 / 1024
