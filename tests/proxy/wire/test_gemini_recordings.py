"""What was really asked of Google, through the reader of requests."""

from __future__ import annotations

import pytest

from proxy.wire.gemini import GeminiGenerate
from proxy.wire.layout import read_layout
from tests.support.cassettes import exchanges

WIRE = GeminiGenerate()


@pytest.mark.parametrize("method", [":generateContent", ":streamGenerateContent", ":countTokens"])
def test_recorded_requests_are_understood_and_leave_as_they_came(method: str) -> None:
    for one in exchanges(method):
        layout = read_layout(one.asked, WIRE.list_key)
        asked = WIRE.read_request(layout, one.path)
        assert asked.model == one.path.rpartition("/")[2].partition(":")[0]
        assert asked.streamed == (method == ":streamGenerateContent")
        WIRE.drop_tools(layout, frozenset({"no such tool"}))
        assert b"".join(span.data for span in layout.assembled()) == one.asked
