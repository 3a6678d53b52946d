from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ironcage.explaining import explain, explain_host, explain_tool
from ironcage.settings import Loaded, load
from trajectory.errors import OperatorError


def settings(folder: Path, **keys: Any) -> Loaded:
    file = folder / "ironcage.yaml"
    file.write_text(json.dumps(keys), encoding="utf-8")
    return load(file, environment={})


def test_sentences_carry_the_values_that_are_set(tmp_path: Path) -> None:
    limits = {
        "allowed_tools": ["look_up"], "max_retries": 4, "network_egress_limit_mb": 2.5, "memory_limit_mb": 512,
        "spend_limit_usd": 2.5,
        "context_limit_tokens": 90_000, "cpu_timeout_ms": 100, "wall_timeout_s": 9, "egress_hosts": ["cdn.example.net"],
    }  # fmt: skip
    loaded = settings(
        tmp_path, constraints={"constraints": limits}, policies={"redaction": {}, "egress": {"count": "sent"}},
        upstreams={"m": {"base_url": "https://api.example.com"}, "n": {"base_url": "https://api.example.com/n"}},
    )  # fmt: skip
    text = " ".join(sentence.text for sentence in explain(loaded))
    for shown in ("look_up", "4 times", "2.5 US dollars", "90000 tokens",
                  "2.5 MB (sent)", "512 MB", "100 ms", "9 s", "cdn.example.net", "EMAIL",
                  "api.example.com"):  # fmt: skip
        assert shown in text
    assert "reached: api.example.com, cdn" in text, "a host of two upstreams is named once"


def test_without_limits_each_rule_says_that_it_is_off(tmp_path: Path) -> None:
    text = " ".join(sentence.text for sentence in explain(settings(tmp_path)))
    for shown in (
        "Any tool",
        "Bytes are not limited",
        "Retries are not limited",
        "Spending is not limited",
        "size of prompts is not limited",
        "neither masked",
        "limits no resource",
    ):
        assert shown in text


def test_tool_is_answered_by_the_rule_itself(tmp_path: Path) -> None:
    loaded = settings(tmp_path, constraints={"constraints": {"allowed_tools": ["look*", "pay"]}})
    assert [explain_tool(loaded, name).allowed for name in ("look_up", "pay", "Pay", "payment")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert explain_tool(loaded, "Pay").code == "tool_not_allowed"
    assert '"look*"' in explain_tool(loaded, "look_up").text
    assert explain_tool(settings(tmp_path), "anything").allowed


def test_host_is_judged_apart_from_bytes(tmp_path: Path) -> None:
    limits = {"network_egress_limit_mb": 0, "egress_hosts": ["*.example.net"]}
    loaded = settings(
        tmp_path, constraints={"constraints": limits}, upstreams={"m": {"base_url": "https://api.example.com"}}
    )
    asked = {
        host: explain_host(loaded, host) for host in ("api.example.com", "a.example.net", "example.net", "evil.test")
    }
    assert [answer.allowed for answer in asked.values()] == [True, True, False, False]
    assert "upstream m" in asked["api.example.com"].text
    assert asked["evil.test"].code == "egress_host_refused"


def test_url_in_place_of_a_host_is_the_operators_fault(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="--host"):
        explain_host(settings(tmp_path), "https://example.com/x")


def test_calls_that_wait_for_a_person_are_explained(tmp_path: Path) -> None:
    approvals = {"tools": {"pay": {"unless": {"amount": {"max": 100}}}, "drop": {}}, "remember": "trajectory"}
    loaded = settings(tmp_path, policies={"approvals": approvals})
    text = " ".join(sentence.text for sentence in explain(loaded) if sentence.rule == "approvals")
    assert '"pay" wait up to 300 s for a person to allow them, unless amount is a number, at most 100; the same' in text
    assert '"drop" wait up to 300 s for a person to allow them; the same call' in text
    assert "policies.approvals" in explain_tool(loaded, "pay").text
    assert "waits for a person" in explain_tool(loaded, "functions.pay", '{"amount": 900}').text
    assert "waits" not in explain_tool(loaded, "pay", '{"amount": 9}').text


def test_arguments_are_explained_and_a_call_is_answered_with_its_own(tmp_path: Path) -> None:
    rules = {"pay": {"amount": {"max": 100}}, "file_*": {"path": {"under": ["/workspace"]}}}
    loaded = settings(tmp_path, policies={"tools": {"arguments": rules}})
    text = " ".join(sentence.text for sentence in explain(loaded) if sentence.rule == "tool_arguments")
    assert '"pay"' in text and "at most 100" in text and "/workspace" in text
    assert explain_tool(loaded, "pay").allowed and "arguments are judged" in explain_tool(loaded, "pay").text
    assert explain_tool(loaded, "pay", '{"amount": 5}').allowed
    refused = explain_tool(loaded, "pay", '{"amount": 500}')
    assert (refused.allowed, refused.code, refused.rule) == (False, "tool_arguments_refused", "tool_arguments")
