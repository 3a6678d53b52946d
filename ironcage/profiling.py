"""Production limits, measured: what trajectories used, and what limits that suggests. Pure.

A suggestion is the largest value seen times a stated headroom. Of n runs that are alike, a further one exceeds the
largest with probability 1/(n+1) (exchangeable runs, no other assumption): that is the `risk` beside each number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ironcage.recorded_asks import most_spent_usd, prompt_tokens
from policies.constraints import Constraints
from policies.spend import SpendBudget
from trajectory.runs import Run
from trajectory.trajectory import Trajectory

MB = 1024 * 1024
HEADROOM = 1.5
"""For what grows with the input: bytes, time, memory. Counts of retries are taken as they are."""


@dataclass(frozen=True, slots=True)
class Used:
    """What one trajectory used. `wall_s` is None for one without an exchange."""

    retries: int
    tools: frozenset[str]
    offered: frozenset[str]
    sent_bytes: int
    received_bytes: int
    wall_s: float | None
    prompt_tokens: int | None = None
    """Of its largest prompt; None where no provider counted one."""
    most_usd: float | None = None
    """Most that was spent and reserved together; None where a model has no price."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One quantity over `n` trajectories or runs; percentiles by nearest rank. `suggested` None: no limit follows."""

    key: str
    what: str
    unit: str
    n: int
    p50: float
    p95: float
    largest: float
    suggested: float | None
    method: str
    risk: float


@dataclass(frozen=True, slots=True)
class Profile:
    """`unknown` says what the record cannot tell, each with why and what would tell it."""

    constraints: Constraints
    measures: tuple[Measure, ...]
    tools_called: tuple[str, ...]
    tools_only_offered: tuple[str, ...]
    unknown: tuple[str, ...]
    trajectories: int
    left_out: int
    room: str = field(default="")


def used(trajectory: Trajectory, budget: SpendBudget) -> Used:
    """`budget` has the prices and assumptions that a spend limit would go by."""
    views = [view for step in trajectory.steps for view in step.attempts]
    tools = {view.tool.name for view in views if view.tool is not None and view.end != "refused"}
    for view in views:
        refused = {note.subject for note in view.verdicts if note.action == "refuse"}
        tools |= {call.name for call in view.answer.calls if call.name not in refused} if view.answer else set()
    began = min((view.started_at for view in views), default=0.0)
    ended = max((view.started_at + view.total_s for view in views), default=0.0)
    launched_s = trajectory.launch.duration_s if trajectory.launch is not None else None
    return Used(
        retries=trajectory.retries,
        tools=frozenset(tools - {""}),
        offered=frozenset(tool.name for step in trajectory.steps for tool in step.tools),
        sent_bytes=sum(view.request_bytes for view in views),
        received_bytes=sum(view.reply_bytes for view in views),
        wall_s=launched_s if launched_s is not None else ended - began if views else None,
        prompt_tokens=max((count for view in views if (count := prompt_tokens(view))), default=None),
        most_usd=most_spent_usd(trajectory, budget),
    )


def profile(
    amounts: Sequence[Used],
    runs: Iterable[Run],
    *,
    count: Literal["both", "sent"],
    memory_bytes: int,
    cpus: int,
    left_out: int = 0,
) -> Profile:
    """`amounts` of the trajectories that count (failed ones left out), `runs` that a cage has certified.

    ValueError if there is nothing to measure.
    """
    if not amounts:
        raise ValueError("there is no trajectory to measure")
    caged = [run for run in runs if run.certificate.grade != "none" and run.certificate.kill_cause is None]
    memory = [r.certificate.peak_memory_mb for r in caged if r.certificate.peak_memory_mb is not None]
    cpu = [r.certificate.cpu_s * 1000 for r in caged if r.certificate.cpu_s is not None]
    moved = [u.sent_bytes + (u.received_bytes if count == "both" else 0) for u in amounts]
    wall = [u.wall_s for u in amounts if u.wall_s is not None]
    prompts = [float(u.prompt_tokens) for u in amounts if u.prompt_tokens is not None]
    found = [
        _measure("max_retries", "retries", "", [float(u.retries) for u in amounts], _as_seen),
        _measure("network_egress_limit_mb", f"bytes ({count})", "MB", [b / MB for b in moved], _rounded),
        _measure("spend_limit_usd", "spent and reserved", "USD", _all_known(amounts), _rounded),
        _measure("context_limit_tokens", "largest prompt", "tokens", prompts, _whole),
        _measure("wall_timeout_s", "wall time", "s", wall, _whole),
        _measure("memory_limit_mb", "peak memory of bake-off runs", "MB", memory, _whole),
        _measure("cpu_timeout_ms", "CPU time of bake-off runs", "ms", cpu, _whole),
    ]
    measures = tuple(measure for measure in found if measure is not None)
    called = sorted(frozenset().union(*(u.tools for u in amounts)))
    offered = sorted(frozenset().union(*(u.offered for u in amounts)) - set(called))
    limits: dict[str, object] = {m.key: _number(m.suggested) for m in measures if m.suggested is not None}
    if called:
        limits["allowed_tools"] = called
    return Profile(
        constraints=Constraints.model_validate({"constraints": limits}),
        measures=measures,
        tools_called=tuple(called),
        tools_only_offered=tuple(offered),
        unknown=tuple(_unknown(bool(memory), bool(cpu), bool(called), bool(_all_known(amounts)))),
        trajectories=len(amounts),
        left_out=left_out,
        room=_room(measures, memory_bytes, cpus),
    )


def _all_known(amounts: Sequence[Used]) -> list[float]:
    """What each trajectory cost; nothing if that is not known of all, as a limit would then refuse models."""
    known = [u.most_usd for u in amounts if u.most_usd is not None]
    return known if len(known) == len(amounts) else []


def _measure(
    key: str, what: str, unit: str, values: Sequence[float], suggest: Callable[[float], tuple[float | None, str]]
) -> Measure | None:
    if not values:
        return None
    ordered = sorted(values)
    suggested, method = suggest(ordered[-1])
    n = len(ordered)
    return Measure(
        key, what, unit, n, percentile(ordered, 50), percentile(ordered, 95), ordered[-1], suggested, method,
        1 / (n + 1),
    )  # fmt: skip


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Nearest rank: the smallest value that at least `percent` of all are not above. `ordered` is not empty."""
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def _as_seen(largest: float) -> tuple[float, str]:
    return largest, "largest of n"


def _rounded(largest: float) -> tuple[float | None, str]:
    value = largest * HEADROOM
    if value <= 0:
        return None, "it was 0"
    step = 10.0 ** (math.floor(math.log10(value)) - 1)  # two digits say all that n runs can
    return round(math.ceil(value / step) * step, 9), f"largest of n x {HEADROOM}, rounded up to two digits"


def _whole(largest: float) -> tuple[float | None, str]:
    return float(max(1, math.ceil(largest * HEADROOM))), f"largest of n x {HEADROOM}, rounded up"


def _number(value: float | None) -> float | int | None:
    return int(value) if value is not None and value.is_integer() else value


def _unknown(memory: bool, cpu: bool, tools: bool, cost: bool) -> Iterable[str]:
    if not memory or not cpu:
        what = " and ".join(name for name, known in (("memory", memory), ("CPU time", cpu)) if not known)
        yield (
            f"{what} of the agent: agents in production are not run in a cage, and no recorded bake-off run has a "
            "certificate that says it; run `ironcage bakeoff run` once, then profile again"
        )
    if not tools:
        yield "tools: no call of a tool was recorded, so none can be listed"
    if not cost:
        yield "cost: some trajectories asked a model without a price; policies.spend.prices may state one"
    yield "rare inputs: what none of these trajectories met is not in these numbers"


def _room(measures: Sequence[Measure], memory_bytes: int, cpus: int) -> str:
    total = memory_bytes / MB
    peak = next((m.suggested for m in measures if m.key == "memory_limit_mb"), None)
    machine = f"this machine has {total:.0f} MB of memory and {cpus} CPUs"
    if peak is None:
        return machine
    fit = int(total * 0.8 // peak)
    if fit < 1:
        return f"{machine}: one run at this memory limit does not fit"
    return f"{machine}: {min(fit, cpus)} runs at this memory limit fit at once"
