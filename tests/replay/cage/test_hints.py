from __future__ import annotations

from replay.cage.hints import runtime_hints


def test_no_memory_limit_gives_no_hints() -> None:
    assert runtime_hints({}, None) == {}


def test_what_the_operator_set_is_left_alone() -> None:
    env = {"NODE_OPTIONS": "--max-old-space-size=99", "JAVA_TOOL_OPTIONS": "-Xmx64m", "GOMEMLIMIT": "1GiB"}
    assert not runtime_hints(env, 512).keys() & env.keys()


def test_other_options_of_a_runtime_are_kept() -> None:
    hints = runtime_hints({"NODE_OPTIONS": "--no-warnings"}, 512)
    assert hints["NODE_OPTIONS"] == "--no-warnings --max-old-space-size=512"


def test_go_is_told_a_little_less_than_the_limit() -> None:
    assert runtime_hints({}, 100)["GOMEMLIMIT"] == "90MiB"
