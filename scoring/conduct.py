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

DEFINITIONS: dict[str, str] = {
    "precision, recall, F1 of calls": "calls of a run and of the reference are paired one to one so that the sum M of "
    "their similarity is largest (Hungarian method); M / calls of the run, M / calls of the reference, 2 M / both, as "
    "sums over runs. Similarity is 0 for different tools, else the share of arguments that agree, nested ones in part",
    "exact precision, recall": "the same, a pair counting 1 where all arguments are equal as JSON values and else 0",
    "reads, writes": "calls of tools that the world or its table file declares to read or to write; others are in the "
    "total only",
    "order": "largest sum of pairs that do not cross (weighted longest common subsequence), in the formula of F1; mean "
    "over runs",
    "extra, missing calls": "calls that have no similar call on the other side; mean over runs",
    "exact repeats": "calls that the run had made before with the same arguments, whatever happened in between",
    "failed calls, put right": "tool results that are errors; put right where a later call of the same tool, with at "
    "least half of the arguments alike or but one that differs, did not fail",
    "distance": "Levenshtein distance over calls / calls of the longer run; 0 for the same path",
    "first difference": "first call that is another tool's, has other arguments, or is made by one side only; after "
    "the same calls, the last words",
    "growth": "slope of the least squares line through the prompt tokens of a run's model steps, in tokens a step; "
    "prompt tokens are the provider's count, unknown where it gave none",
    "sent before, tool results": "share of the characters of all recorded messages of a run that an earlier request "
    "had carried, or that are tool results; n says of how many runs they were read",
    "sub-agents": "what they called, asked, retried, spent and were refused is their run's; path, first difference, "
    "faults and the context curve are those of the main agent, as the reference path is a main agent's",
    "attempts in vain": "attempts that did not complete, or after which the operation was tried again",
    "cost": "list prices of the day of the call, cached tokens as such; a host that is no known provider is priced as "
    "the maker of the model; unknown if one answered attempt has no price or no usage",
    "near the memory limit": "0 up to the share near_ceiling_from of the limit, 1 at the limit, mean over runs; runs "
    "that hit it count 0 here and are out of memory",
    "unneeded packages": "packages that the reference runs of the task did without; where none was looked at, that "
    "some run which passed the task did without",
}


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


def conduct_of(
    run: Run, trajectory: Trajectory | None, background: Background, whole: Trajectory | None = None
) -> RunConduct:
    """`whole` is the trajectory with the steps of sub-agents among its own, if there were any."""
    if trajectory is None:
        return RunConduct(quality=None, context=None, retrying=None, packages=run.packages)
    return RunConduct(
        quality=assess(path_of(run, trajectory), background.references.get(run.task), background.kinds),
        context=context_use(trajectory, background.conversations.get(trajectory.id)),
        retrying=attempts_of(whole or trajectory),
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
