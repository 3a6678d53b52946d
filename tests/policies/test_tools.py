from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.memory_ledger import MemoryLedger
from policies.tools import ToolAllowlist, check_entry
from policies.verdict import ALLOW, DropTools, Refuse, Verdict
from trajectory.events import BytesMoved, CallProposed, Event, ModelAsked, ToolAsked

ALLOWED = ("file_read", "web_search", "mcp__files__*")


def judge(event: Event, allowed: tuple[str, ...] = ALLOWED, **settings: str) -> Verdict:
    return ToolAllowlist(allowed, **settings).judge(event, MemoryLedger())  # type: ignore[arg-type]


def offer(*tools: str, forced: str | None = None) -> ModelAsked:
    return ModelAsked("t", "openai", "api.openai.com", "m", "d", 10, tools, forced)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "shell_exec",
        "File_Read",
        "file_read ",
        " file_read",
        "file_read\n",
        "file_read\x00",
        "file_read\u200b",
        "f\u0456le_read",  # a Cyrillic letter that looks like i
        "\uff46ile_read",  # a full-width f, which NFKC would make an f
        "file_read2",
        "file_rea",
        "xfile_read",
        "mcp__files__*\n",
        "mcp__files__read\u202e",
        "mcp__files__read\nshell_exec",
        "mcp__files_",
        "MCP__FILES__read",
        "mcp__files__" + "x" * 400,
        "*",
    ],
)
def test_name_that_only_resembles_an_allowed_one_is_refused(name: str) -> None:
    for event in (CallProposed("t", name), ToolAsked("t", "files", "h", name, "d", 1), offer(forced=name)):
        verdict = judge(event)
        assert isinstance(verdict, Refuse), event
        assert verdict.code == "tool_not_allowed"
        assert (verdict.message + verdict.subject).isascii()
        assert (verdict.message + verdict.subject).isprintable(), "a name cannot write lines into a log"
        assert len(verdict.message) < 600
    assert judge(offer("file_read", name)) == DropTools(
        "tool_allowlist",
        frozenset({name}),
        judge(offer(name)).message,  # type: ignore[union-attr]
    )


@pytest.mark.parametrize("name", ["file_read", "web_search", "mcp__files__read", "mcp__files__"])
def test_allowed_names_pass(name: str) -> None:
    for event in (CallProposed("t", name), ToolAsked("t", "files", "h", name, "d", 1), offer(name, forced=name)):
        assert judge(event) == ALLOW


def test_refusal_names_the_tool_and_what_is_allowed() -> None:
    verdict = judge(CallProposed("t", "shell_exec"))
    assert isinstance(verdict, Refuse)
    assert verdict.subject == "shell_exec"
    assert "shell_exec" in verdict.message
    assert "file_read, web_search, mcp__files__*" in verdict.message


def test_empty_list_allows_no_tool() -> None:
    verdict = judge(CallProposed("t", "file_read"), ())
    assert isinstance(verdict, Refuse)
    assert "Allowed tools: none." in verdict.message
    assert judge(offer(), ()) == ALLOW, "a request without tools needs none"


def test_star_allows_each_plain_name_and_no_other() -> None:
    assert judge(CallProposed("t", "anything"), ("*",)) == ALLOW
    assert isinstance(judge(CallProposed("t", ""), ("*",)), Refuse)
    assert isinstance(judge(CallProposed("t", "a\x1b[2J"), ("*",)), Refuse)


def test_offered_tools_beyond_the_list_are_dropped_once_each() -> None:
    verdict = judge(offer("shell", "file_read", "rm", "shell"))
    assert isinstance(verdict, DropTools)
    assert verdict.names == {"shell", "rm"}
    assert "shell, rm" in verdict.message


def test_strict_mode_refuses_the_whole_offer() -> None:
    verdict = judge(offer("shell", "file_read"), offered="refuse")
    assert isinstance(verdict, Refuse)
    assert "shell" in verdict.message
    assert judge(offer("file_read"), offered="refuse") == ALLOW


def test_forced_tool_is_judged_even_if_it_is_not_offered() -> None:
    assert isinstance(judge(offer("file_read", forced="shell")), Refuse)


def test_host_without_a_name_is_left_to_the_egress_rule() -> None:
    assert judge(ToolAsked("t", None, "evil.example", "GET evil.example/", "d", 1)) == ALLOW


def test_other_events_pass() -> None:
    assert judge(BytesMoved("t", "h", 1, 1)) == ALLOW


@pytest.mark.parametrize("entry", ["", " a", "a ", "a*b", "*a", "**", "a\n", "a\u200b", "x" * 257])
def test_entry_that_cannot_be_meant_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="name"):
        check_entry(entry)
    with pytest.raises(ValueError, match="name"):
        ToolAllowlist([entry])


@given(st.lists(st.sampled_from(["a", "b*", "c_d"]), unique=True), st.text(max_size=6))
def test_shorter_list_never_allows_more(entries: list[str], name: str) -> None:
    for gone in entries:
        shorter = [entry for entry in entries if entry != gone]
        assert not ToolAllowlist(shorter).allows(name) or ToolAllowlist(entries).allows(name)


@given(st.text())
def test_what_is_allowed_is_written_in_the_list(name: str) -> None:
    assert ToolAllowlist(ALLOWED).allows(name) <= (name in ALLOWED[:2] or name.startswith("mcp__files__"))
