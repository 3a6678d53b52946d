"""How a run went about its task (path, context, attempts, what it installed), and a candidate's runs pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scoring.attempts import AttemptPool, Attempts, attempts_of, pool_attempts
from scoring.context import ContextPool, ContextUse, Conversations, context_use, pool_context
from scoring.estimates import Estimate, mean, unknown
from scoring.packages import Needed, PackagePool, pool_packages
from scoring.paths import Path, path_of
from scoring.quality import CandidateQuality, RunQuality, assess, pool_quality
from trajectory.runs import Frozen, Package, Run, ToolKind
from trajectory.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Background:
    """What runs are held against. `references` by task; `conversations` by trajectory, may load lazily and lack any."""

    references: Mapping[str, Path] = field(default_factory=dict)
    kinds: Mapping[str, ToolKind] = field(default_factory=dict)
    conversations: Mapping[str, Conversations] = field(default_factory=dict)


class RunConduct(Frozen):
    """The first three are None without a recorded trajectory, `packages` where nobody looked at the file system."""

    quality: RunQuality | None
    context: ContextUse | None
    retrying: Attempts | None
    packages: tuple[Package, ...] | None


class CandidateConduct(Frozen):
    """`mean_cost_usd` is known only where every run has a price. `packages` is None where nobody looked."""

    quality: CandidateQuality
    context: ContextPool
    retrying: AttemptPool
    mean_cost_usd: Estimate
    packages: PackagePool | None


def conduct_of(run: Run, trajectory: Trajectory | None, background: Background) -> RunConduct:
    if trajectory is None:
        return RunConduct(quality=None, context=None, retrying=None, packages=run.packages)
    return RunConduct(
        quality=assess(path_of(run, trajectory), background.references.get(run.task), background.kinds),
        context=context_use(trajectory, background.conversations.get(trajectory.id)),
        retrying=attempts_of(trajectory),
        packages=run.packages,
    )


def pool_conduct(runs: Sequence[tuple[str, RunConduct]], needed: Needed) -> CandidateConduct:
    """`runs` are (task, conduct)."""
    retrying = [(task, run.retrying) for task, run in runs if run.retrying]
    return CandidateConduct(
        quality=pool_quality([(task, run.quality) for task, run in runs if run.quality]),
        context=pool_context([(task, run.context) for task, run in runs if run.context]),
        retrying=pool_attempts(retrying),
        mean_cost_usd=_mean_cost([(task, one.cost_usd) for task, one in retrying], len(runs)),
        packages=pool_packages([(task, run.packages) for task, run in runs if run.packages is not None], needed),
    )


def _mean_cost(costs: Sequence[tuple[str, float | None]], runs: int) -> Estimate:
    priced = [(task, cost) for task, cost in costs if cost is not None]
    if len(priced) < runs or not priced:
        return unknown(f"{runs - len(priced)} of {runs} runs have no known price", n=len(priced))
    return mean([cost for _, cost in priced], [task for task, _ in priced])
