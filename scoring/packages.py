"""What runs installed, and what of it the task did not need.

A package is unneeded where the reference runs of the same task did without it; where no reference run was looked at, if
some run that passed the task did without it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from scoring.estimates import Estimate, mean, unknown
from trajectory.runs import Frozen, Package

Installed = tuple[str, Sequence[Package]]
"""The task of a run that was looked at, and what it installed."""
Needed = Mapping[str, frozenset[str]]
"""By task, the packages that it needs; a task of which that cannot be said is absent."""


class PackagePool(Frozen):
    """`installed` and `unneeded` count by `ecosystem:name` the runs with that package. Means are per run that was
    looked at.
    """

    looked_at: int
    mean_count: Estimate
    mean_mb: Estimate
    mean_unneeded: Estimate
    mean_unneeded_mb: Estimate
    installed: dict[str, int]
    unneeded: dict[str, int]


def needed_packages(reference: Iterable[Installed], passed: Iterable[Installed]) -> Needed:
    """All that any reference run of a task installed, else what each run that passed it did. Versions do not matter."""
    found: dict[str, frozenset[str]] = {}
    for task, packages in passed:
        names = frozenset(map(name_of, packages))
        found[task] = found.get(task, names) & names
    known: dict[str, frozenset[str]] = {}
    for task, packages in reference:
        known[task] = known.get(task, frozenset()) | frozenset(map(name_of, packages))
    return found | known


def name_of(package: Package) -> str:
    return f"{package.ecosystem}:{package.name}"


def unneeded_packages(task: str, packages: Sequence[Package], needed: Needed) -> tuple[Package, ...] | None:
    """None where nobody can say what the task needs."""
    if task not in needed:
        return None
    return tuple(package for package in packages if name_of(package) not in needed[task])


def pool_packages(runs: Sequence[Installed], needed: Needed) -> PackagePool | None:
    """None without a run that was looked at."""
    if not runs:
        return None
    tasks = [task for task, _ in runs]
    left = [(task, extra) for task, found in runs if (extra := unneeded_packages(task, found, needed)) is not None]
    alone, because = [task for task, _ in left], "no reference run of these tasks, and none that passed, was looked at"
    return PackagePool(
        looked_at=len(runs),
        mean_count=mean([len(found) for _, found in runs], tasks),
        mean_mb=mean([_mb(found) for _, found in runs], tasks),
        mean_unneeded=mean([len(extra) for _, extra in left], alone) if left else unknown(because),
        mean_unneeded_mb=mean([_mb(extra) for _, extra in left], alone) if left else unknown(because),
        installed=_counted([found for _, found in runs]),
        unneeded=_counted([extra for _, extra in left]),
    )


def _mb(packages: Sequence[Package]) -> float:
    return sum(package.installed_mb for package in packages)


def _counted(runs: Sequence[Sequence[Package]]) -> dict[str, int]:
    counts: defaultdict[str, int] = defaultdict(int)
    for packages in runs:
        for name in {name_of(package) for package in packages}:
            counts[name] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
