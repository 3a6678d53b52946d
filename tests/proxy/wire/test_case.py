from __future__ import annotations

from typing import Any

import pytest

from proxy.wire.case import ReplyKeys
from trajectory.errors import FormatError

CALL = {"calls": [{"name": "lookup", "arguments": {"Name": "the client's own"}}], "text": "Calls"}
OTHERWISE: list[Any] = [
    {"CALLS": []},
    {"calls": [{"name": "a", "arguments": {}}, {"Name": "a", "arguments": {}}]},
    {"calls": [{"name": "a", "argument\u017f": {}}]},
    [{"calls": {"calls": [[{"Arguments": {}}]]}}],
]


@pytest.mark.parametrize("reply", OTHERWISE)
def test_a_key_in_another_case_is_seen_whatever_was_looked_at_before(reply: object) -> None:
    keys = ReplyKeys("calls", "name", "arguments")
    for _ in range(2):
        keys.check(CALL, "the reply")
        with pytest.raises(FormatError, match="which some readers take for a key in lower case"):
            keys.check(reply, "the reply")


def test_of_what_was_looked_at_only_so_much_is_remembered_and_the_rest_is_looked_at_each_time() -> None:
    keys = ReplyKeys("calls", "name", "arguments")
    keys.check([{f"key {number}": 0} for number in range(5_000)], "the reply")
    keys.check({"k" * 100_000: 0}, "the reply")
    assert sum(len(key) for shape in keys._leading for key in shape) <= 500_000
    for reply in OTHERWISE:
        keys.check(CALL, "the reply")
        with pytest.raises(FormatError):
            keys.check(reply, "the reply")
