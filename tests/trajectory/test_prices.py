from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from genai_prices import Usage as Counts
from genai_prices.data_snapshot import get_snapshot

from trajectory.conversation import Usage
from trajectory.prices import cost_usd, prices_version

LATE_2026 = datetime(2026, 11, 1, 12, tzinfo=UTC)
AT_S = LATE_2026.timestamp()
USAGE = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=200, reasoning_tokens=30, cache_write_tokens=50)


def test_cached_tokens_have_their_own_price() -> None:
    """gpt-4o: 2.50 dollars a million in, 1.25 from the cache, 10 out."""
    usage = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=200)
    assert cost_usd(usage, "gpt-4o", "api.openai.com", AT_S) == pytest.approx(0.00325)
    assert cost_usd(Usage(1000, 100), "gpt-4o", "api.openai.com", AT_S) == pytest.approx(0.0035)


def test_tokens_written_to_a_cache_cost_more_than_plain_ones_where_the_tables_say_so() -> None:
    plain = cost_usd(Usage(1000, 0), "claude-opus-4-5", "api.anthropic.com", AT_S)
    written = cost_usd(Usage(1000, 0, cache_write_tokens=1000), "claude-opus-4-5", "api.anthropic.com", AT_S)
    assert plain is not None
    assert written == pytest.approx(1.25 * plain)


def test_an_unknown_model_has_no_price_and_not_the_price_0() -> None:
    assert cost_usd(USAGE, "scripted-good", "127.0.0.1:8800", AT_S) is None
    assert cost_usd(USAGE, "claude-opus-4-5", "api.openai.com", AT_S) is None


def test_counts_that_the_provider_left_out_make_the_cost_unknown() -> None:
    assert cost_usd(Usage(input_tokens=1000), "gpt-4o", "api.openai.com", AT_S) is None
    assert cost_usd(Usage(output_tokens=10), "gpt-4o", "api.openai.com", AT_S) is None
    assert cost_usd(Usage(10, 10, cache_read_tokens=11), "gpt-4o", "api.openai.com", AT_S) is None


def test_behind_an_unknown_host_the_model_decides() -> None:
    here = cost_usd(USAGE, "gpt-4o", "127.0.0.1:9000", AT_S)
    assert here == cost_usd(USAGE, "gpt-4o", "api.openai.com", AT_S)


@pytest.mark.parametrize("prompt", [1_000, 200_000, 200_001, 600_000])
def test_every_price_is_the_librarys_own(prompt: int) -> None:
    """All chat models that the tables hold, flat and tiered ones."""
    usage = replace(USAGE, input_tokens=prompt)
    counts = Counts(
        input_tokens=prompt, output_tokens=100, cache_read_tokens=200, cache_write_tokens=50, output_reasoning_tokens=30
    )
    snapshot, compared = get_snapshot(), 0
    for provider in snapshot.providers:
        for model in provider.models[:12]:
            mine = cost_usd(usage, model.id, "localhost", AT_S)
            try:
                _, found = snapshot.find_provider_model(model.id, None, None, None)
            except LookupError:
                assert mine is None
                continue
            price = found.get_prices(LATE_2026)
            if price.input_mtok is None or price.output_mtok is None:
                assert mine is None
            else:
                compared += 1
                assert mine == pytest.approx(float(price.calc_price(counts)["total_price"]), rel=1e-9), model.id
    assert compared > 100


def test_the_command_line_starts_without_the_price_tables() -> None:
    code = "import sys, ironcage.cli, trajectory.prices; print('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_version_of_the_tables_is_told() -> None:
    assert prices_version()[0].isdigit()
