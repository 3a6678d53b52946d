from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ironcage.linting import lint
from ironcage.settings import Loaded, load

TOOL = {"base_url": "http://127.0.0.1:9000", "kind": "tool", "tools": {"POST /refund": "refund"}}
MODEL = {"base_url": "https://api.example.com"}


def settings(folder: Path, limits: dict[str, Any] | None = None, policies: Any = None, **keys: Any) -> Loaded:
    document = {
        "policies": {"redaction": None, **(policies or {})},
        "constraints": {"constraints": {"max_retries": 3, **(limits or {})}},
        **keys,
    }
    file = folder / "ironcage.yaml"
    file.write_text(json.dumps(document), encoding="utf-8")
    return load(file, environment={})


def codes(loaded: Loaded, recorded: set[str] | None = None) -> list[str]:
    return [finding.code for finding in lint(loaded, recorded)]


def test_sound_configuration_has_no_findings(tmp_path: Path) -> None:
    limits = {"allowed_tools": ["refund", "look*"], "network_egress_limit_mb": 5, "egress_hosts": ["cdn.example.net"]}
    policies = {
        "retries": {"on_exhausted": "final_message"},
        "tools": {"offered": "refuse"},
        "egress": {"count": "sent"},
    }
    loaded = settings(
        tmp_path, limits, policies, upstreams={"model": MODEL, "orders": TOOL}, forward_listen="127.0.0.1:0"
    )
    assert codes(loaded, {"look_up", "refund"}) == []


def test_defaults_limit_nothing_and_redact_nothing(tmp_path: Path) -> None:
    file = tmp_path / "ironcage.yaml"
    file.write_text("{}", encoding="utf-8")
    assert codes(load(file, environment={})) == ["nothing_limited", "redaction_off"]


@pytest.mark.parametrize(
    ("limits", "policies", "expected"),
    [
        (
            {"max_retries": None, "cpu_timeout_ms": 5},
            {"retries": {"on_exhausted": "final_message"}},
            ["never_exhausted"],
        ),
        ({}, {"tools": {"offered": "refuse"}}, ["never_offered_beyond"]),
        ({}, {"egress": {"count": "sent"}}, ["never_counted"]),
        ({"network_egress_limit_mb": 0}, {}, ["no_byte_allowed"]),
        ({}, {"spend": {"unpriced": "allow"}}, ["never_exhausted"]),
        ({"spend_limit_usd": 1}, {"spend": {"unpriced": "allow"}}, []),
        ({}, {"context": {"on_exhausted": "final_message"}}, ["never_exhausted"]),
        ({"spend_limit_usd": 0}, {}, ["no_dollar_allowed"]),
        ({"spend_limit_usd": 0}, {"spend": {"prices": {"model/*": {"input": 0, "output": 0}}}}, []),
        ({"allowed_tools": []}, {}, ["no_tool_allowed", "tool_never_allowed"]),
        ({"allowed_tools": ["*"]}, {}, ["all_tools_allowed"]),
        ({}, {"redaction": {"types": ["EMAIL"], "refuse": ["SECRET", "EMAIL"]}}, ["kind_never_refused"]),
        ({}, {"tools": {"arguments": {"pay": {"x": {"max": 1}}}}}, ["arguments_without_allowlist"]),
        (
            {"allowed_tools": ["refund"]},
            {"tools": {"arguments": {"ref*": {"x": {"max": 1}}, "pay": {"x": {"max": 1}}}}},
            ["arguments_never_judged"],
        ),
        ({"allowed_tools": ["ref*", "refund"]}, {}, ["tool_covered"]),
        ({"allowed_tools": ["look_up"]}, {}, ["tool_never_allowed"]),
        ({"egress_hosts": ["api.example.com"]}, {}, ["host_covered"]),
        ({"egress_hosts": ["api.example.com:443"]}, {}, ["host_covered"]),
        ({"egress_hosts": ["127.0.0.1:9000"]}, {}, ["host_covered"]),
        ({"egress_hosts": ["api.example.com:9999"]}, {}, []),
        ({"egress_hosts": ["*.example.org", "a.example.org"]}, {}, ["host_covered"]),
        ({"egress_hosts": ["*.example.org:80", "a.example.org"]}, {}, []),
        ({"egress_hosts": ["*"]}, {}, ["all_hosts_allowed"]),
        ({}, {"redaction": {"types": []}}, ["redaction_finds_nothing"]),
        ({}, {"redaction": {"types": [], "known_values": ["A-1234"]}}, []),
    ],
)
def test_each_rule_that_cannot_fire_is_found(
    tmp_path: Path, limits: dict[str, Any], policies: dict[str, Any], expected: list[str]
) -> None:
    upstreams = {"model": MODEL, "orders": TOOL}
    assert codes(settings(tmp_path, limits, policies, upstreams=upstreams, forward_listen="127.0.0.1:0")) == expected


def test_hosts_behind_a_closed_door_are_found(tmp_path: Path) -> None:
    assert codes(settings(tmp_path, {"egress_hosts": ["cdn.example.net"]})) == ["hosts_never_reached"]


def test_tool_that_the_record_never_saw_is_found_only_when_the_record_was_asked(tmp_path: Path) -> None:
    loaded = settings(tmp_path, {"allowed_tools": ["Look_up", "look*"]})
    assert codes(loaded) == []
    assert [(f.code, "`Look_up`" in f.message) for f in lint(loaded, {"look_up"})] == [("tool_never_seen", True)]


def test_each_finding_says_where_and_what_to_do(tmp_path: Path) -> None:
    for finding in lint(settings(tmp_path, {"allowed_tools": [], "network_egress_limit_mb": 0})):
        assert finding.where
        assert finding.hint
