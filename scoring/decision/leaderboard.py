"""Public leaderboards as context: marketing metrics, with what each row does not say of how it came about.

Reads CSV with one row a figure, and JSON lines as tau2-bench publishes its submissions. Column names are matched
loosely, since every leaderboard has its own.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scoring.decision.model import Leaderboard, LeaderboardRow
from trajectory.runs import Candidate

INFRASTRUCTURE: dict[str, tuple[str, ...]] = {
    "memory limit": ("memory_mb", "memory", "memory_limit", "memory_limit_mb"),
    "CPU limit": ("cpus", "cpu", "cpu_limit"),
    "time limit": ("timeout", "timeout_s", "time_limit", "agent_timeout"),
    "retry policy": ("retries", "max_retries", "retry_policy"),
    "infrastructure failures": ("infra_failures", "infra_errors", "excluded_runs", "infrastructure_errors"),
    "harness": ("agent", "scaffold", "harness", "agent_name"),
    "user simulator": ("user_simulator", "user_model"),
    "trials": ("trials", "num_trials", "n_trials", "runs"),
    "interval": ("half_width_pct", "stderr", "ci", "standard_error"),
    "prompt changes": ("modified_prompts",),
    "reasoning effort": ("reasoning_effort",),
    "benchmark version": ("version", "benchmark_version", "tau2_bench_version"),
}
"""What a figure depends on besides the model, and the columns in which a leaderboard may say it."""

_MODEL = ("model", "model_name", "name")
_SCORES = ("pass_1", "score", "resolution_rate_pct", "accuracy", "success_rate", "resolved")
_COSTS = ("cost", "cost_usd", "cost_per_task")
_BENCHMARKS = ("benchmark", "domain", "dataset")
_DATES = ("submission_date", "date", "evaluation_date", "published")
_AUTHORS = ("submitting_organization", "model_organization", "organization", "by", "source")


def read_leaderboard(text: str, source: str, candidates: Sequence[Candidate]) -> Leaderboard:
    """Rows that may be about one of the `candidates` come first. Raises ValueError where `text` is neither form, or no
    row holds a model and a figure.
    """
    records = list(_records(text))
    rows = [row for record in records if (row := _row(record, candidates)) is not None]
    if not rows:
        wanted = f"a model ({', '.join(_MODEL)}) and a figure ({', '.join(_SCORES)})"
        raise ValueError(f"no row with {wanted}")
    rows.sort(key=lambda row: (not row.matches, row.benchmark, -row.score_percent, row.model))
    return Leaderboard(source=source, rows=tuple(rows), unread=len(records) - len(rows))


def _records(text: str) -> Iterator[dict[str, str]]:
    if text.lstrip().startswith("{"):
        for line in text.splitlines():
            if line.strip():
                yield from _submission(json.loads(line))
        return
    for row in csv.DictReader(io.StringIO(text)):
        yield {_key(name): (value or "").strip() for name, value in row.items() if isinstance(name, str)}


def _submission(one: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """A submission as one record for each domain that it has results of."""
    flat = dict(_flat({name: value for name, value in one.items() if name not in ("results", "references")}))
    results = one.get("results")
    for domain, figures in results.items() if isinstance(results, Mapping) else ():
        if isinstance(figures, Mapping):
            yield {**flat, **dict(_flat(figures)), "domain": str(domain)}


def _flat(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Leaves by their own key: which object they stood in tells nothing here."""
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner)
        elif isinstance(inner, str | int | float):
            yield _key(name), str(inner)


def _row(record: Mapping[str, str], candidates: Sequence[Candidate]) -> LeaderboardRow | None:
    model, score = _first(record, _MODEL), _number(_first(record, _SCORES))
    if not model or score is None:
        return None
    told = {what: _first(record, names) for what, names in INFRASTRUCTURE.items()}
    return LeaderboardRow(
        model=model,
        benchmark=_first(record, _BENCHMARKS) or "not named",
        score_percent=score,
        cost_usd=_number(_first(record, _COSTS)),
        published=_first(record, _DATES),
        by=_first(record, _AUTHORS),
        disclosed={what: value for what, value in told.items() if value},
        undisclosed=tuple(what for what, value in told.items() if not value),
        matches=tuple(one.name for one in candidates if _may_be(model, one.model)),
    )


def _may_be(published: str, identifier: str) -> bool:
    """The published name, written as identifiers are, is the identifier but for a date or a variant at its end."""
    a, b = _plain(published), _plain(identifier.rsplit("/", 1)[-1])
    return a == b or bool(re.fullmatch(re.escape(a) + r"(\d{8}|\d{6}|latest)", b))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _first(record: Mapping[str, str], names: Sequence[str]) -> str:
    return next((record[name] for name in names if record.get(name)), "")


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("% "))
    except ValueError:
        return None
