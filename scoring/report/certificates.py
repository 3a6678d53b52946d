"""What the certificates of all runs say together: grades, limits, peaks, kills."""

from __future__ import annotations

from collections import Counter, defaultdict

from scoring.scorecard import RunRow, Scorecard
from scoring.wording import count
from trajectory.runs import Limits

_UNITS = {
    "memory_mb": "MB memory",
    "cpu_s": "s CPU",
    "wall_s": "s wall",
    "egress_mb": "MB egress",
    "max_retries": "retries",
    "spend_usd": "USD",
    "context_tokens": "tokens context",
}


def certificate_lines(card: Scorecard) -> tuple[str, ...]:
    """One line for each grade, set of limits and how they were applied."""
    groups: defaultdict[tuple[str, str, bool], list[RunRow]] = defaultdict(list)
    for row in card.runs:
        key = (row.certificate.grade, limits_text(row.certificate.asked), row.certificate.is_valid)
        groups[key].append(row)
    return tuple(_line(*key, rows) for key, rows in sorted(groups.items()))


def limits_text(limits: Limits) -> str:
    parts = [f"{value:g} {_UNITS[name]}" for name, value in limits.model_dump(exclude_none=True).items()]
    return ", ".join(parts) or "no limits"


def _line(grade: str, limits: str, is_valid: bool, rows: list[RunRow]) -> str:
    applied = "applied as asked" if is_valid else "NOT applied as asked, not scored"
    kills = Counter(row.certificate.kill_cause for row in rows if row.certificate.kill_cause)
    killed = f"; killed for {', '.join(f'{cause} {n}' for cause, n in sorted(kills.items()))}" if kills else ""
    peaks = [row.measures.peak_memory_mb for row in rows if row.measures.peak_memory_mb is not None]
    peak = f"; highest peak {max(peaks):.0f} MB" if peaks else "; memory not measured"
    cage = "no cage" if grade == "none" else f"{grade} cage"
    return f"certificates: {count(len(rows), 'run')}, {cage}, {limits}, {applied}{peak}{killed}"
