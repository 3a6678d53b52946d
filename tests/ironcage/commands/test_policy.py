from __future__ import annotations

import json

from ironcage.commands.policy import settings_schema
from policies.constraints import schema
from tests.support.attempts import model_attempt
from tests.support.command_line import CommandLine
from trajectory.conversation import Reply, ToolCall

LIMITS = {"constraints": {"max_retries": 3, "allowed_tools": ["look_up", "refund"]}}


def test_check_is_0_without_findings_1_with_and_2_where_it_cannot_read(cli: CommandLine) -> None:
    cli.config(constraints=LIMITS, policies={"redaction": {}})
    assert (cli("policy", "check").code, cli("policy", "check").out) == (0, "0 findings\n")
    cli.config(constraints=LIMITS)
    found = cli("policy", "check")
    assert (found.code, "policies.redaction" in found.out) == (1, True)
    assert [finding["code"] for finding in cli("policy", "check", "--json").json["findings"]] == ["redaction_off"]
    cli.config(constraints="nowhere.json")
    assert cli("policy", "check").code == 2
    cli.config(constraints={"constraints": {"egress_hosts": ["a.test"]}}, policies={"egress": {"hosts": ["b.test"]}})
    assert cli("policy", "check").code == 2
    cli.config(policies={"redaction": {"known_values_file": "nowhere.txt"}})
    assert cli("policy", "check").code == 2


def test_check_looks_into_the_record_only_when_asked_and_makes_no_store(cli: CommandLine) -> None:
    cli.config(constraints={"constraints": {"allowed_tools": ["look_up", "Refund"]}}, policies={"redaction": {}})
    assert cli("policy", "check").code == 0
    assert not (cli.folder / "ironcage.db").exists()
    cli.record([model_attempt(0)])
    found = cli("policy", "check", "--record", "--json")
    assert [finding["code"] for finding in found.json["findings"]] == ["tool_never_seen"]


def test_explain_answers_of_a_tool_and_a_host_with_its_exit_code(cli: CommandLine) -> None:
    cli.config(constraints=LIMITS)
    allowed = cli("policy", "explain", "--tool", "refund")
    assert (allowed.code, allowed.out.startswith("allowed (tool_allowlist)")) == (0, True)
    refused = cli("policy", "explain", "--tool", "refund", "--host", "evil.test", "--json")
    assert refused.code == 1
    assert [(a["kind"], a["allowed"], a["code"]) for a in refused.json["answers"]] == [
        ("tool", True, ""),
        ("host", False, "egress_host_refused"),
    ]
    assert len(cli("policy", "explain", "--json").json["rules"]) == 8
    assert "look_up, refund" in cli("policy", "explain").out


def test_schemas_are_those_of_the_models(cli: CommandLine) -> None:
    assert cli("policy", "schema", "constraints").json == json.loads(json.dumps(schema()))
    assert cli("policy", "schema").json == cli("policy", "schema", "settings").json == settings_schema()
    assert cli("policy", "schema", "elsewhere").code == 2
    inline = settings_schema()["properties"]["constraints"]["anyOf"]
    assert any("evaluation_config" in choice.get("properties", {}) for choice in inline)


def test_what_if_is_1_where_a_passed_run_would_be_refused(cli: CommandLine) -> None:
    answer = Reply("", (ToolCall("c", "look_up", "{}"),), "tool_call")
    cli.record([model_attempt(n, trajectory=f"s-{n}", session=f"s-{n}", answer=answer) for n in (1, 2)])
    (cli.folder / "tight.json").write_text('{"constraints": {"allowed_tools": ["refund"]}}', encoding="utf-8")
    tight = ("--constraints", str(cli.folder / "tight.json"))
    unlabelled = cli("policy", "what-if", "--all", *tight)
    assert (unlabelled.code, "of 2 trajectories 2 would meet a new refusal" in unlabelled.out) == (0, True)
    assert cli("trajectories", "label", "s-1", "passed").code == 0
    broken = cli("policy", "what-if", "--all", *tight, "--json")
    assert broken.code == 1
    assert broken.json["passed_and_refused"] == ["s-1"]
    assert cli("policy", "what-if", "s-2", *tight).code == 0
    assert cli("policy", "what-if", "--all").code == 0


def test_what_if_needs_to_know_which(cli: CommandLine) -> None:
    assert cli("policy", "what-if").code == 2
    assert cli("policy", "what-if", "s-1", "--all").code == 2
    assert cli("policy", "what-if", "nobody").code == 3
