"""What all commands that run bake-offs are asked alike, and how it becomes a plan."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any, cast, get_args, get_type_hints

from ironcage.baking import Where
from ironcage.candidates import read_candidate
from ironcage.choosing import choose_tasks
from ironcage.commands.choices import (
    AllowLive,
    Candidates,
    ExecutorName,
    FromStep,
    MinFidelity,
    ModeName,
    Name,
    Parallel,
    RayAddress,
    Resets,
    Seed,
    Splits,
    Tags,
    TapeTools,
    Tasks,
    Trials,
    UnmatchedApprovals,
    WorkspaceName,
    Worlds,
)
from ironcage.conditions import constrained
from ironcage.reach import build_store
from ironcage.settings import Loaded
from replay.approvals import Unmatched
from replay.conditions import Workspace
from replay.plan import TAPE_WORLD, Plan
from replay.preparing import prepared
from replay.world.declared import with_permission
from trajectory.clock import SYSTEM_CLOCK, system_entropy
from trajectory.errors import OperatorError
from trajectory.ids import checked_name, new_id
from trajectory.runs import Mode


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Each field is an option."""

    candidate: Candidates = None
    task: Tasks = None
    split: Splits = None
    tag: Tags = None
    mode: ModeName = None
    from_step: FromStep = None
    trials: Trials = 1
    seed: Seed = 0
    name: Name = None
    workspace: WorkspaceName = "shared"
    reset: Resets = None
    world: Worlds = None
    allow_live: AllowLive = None
    tape_tools: TapeTools = False
    min_fidelity: MinFidelity = None
    approvals: UnmatchedApprovals = "recorded"
    parallel: Parallel = None
    executor: ExecutorName = "local"
    ray_address: RayAddress = None

    @property
    def where(self) -> Where:
        if self.executor not in ("local", "ray"):
            raise OperatorError(f"--executor {self.executor!r} is unknown", hint="it is local or ray")
        return Where(self.executor == "ray", self.parallel, self.ray_address)

    def plan(self, loaded: Loaded, *, reference: str | None = None, stop_margin: float | None = None) -> Plan:
        """Prepared, and under the configured limits. OperatorError if it means nothing or cannot be carried out."""
        name = checked_name("bake-off", self.name or new_id(SYSTEM_CLOCK.now_s(), system_entropy(7)))
        with closing(build_store(loaded)) as store:
            plan = Plan(
                id=name,
                candidates=tuple(read_candidate(entry, loaded.settings.upstreams) for entry in self.candidate or ()),
                tasks=choose_tasks(store, self.task or (), splits=self.split or (), tags=self.tag or ()),
                trials=self.trials,
                seed=self.seed,
                reference=reference,
                workspace=cast("Workspace", _one_of("--workspace", self.workspace, Workspace)),
                reset=tuple(self.reset or ()),
                snapshot=loaded.path(loaded.settings.state_dir).resolve() / "snapshots" / name,
                world=with_permission(self.world or TAPE_WORLD, self.allow_live or ()),
                min_fidelity=self.min_fidelity,
                mode=cast("Mode | None", self.mode and _one_of("--mode", self.mode, Mode)),
                from_step=self.from_step,
                tape_tools=self.tape_tools,
                approvals=self._approvals(loaded),
                stop_margin=stop_margin,
            )
            return constrained(prepared(plan, store), loaded)

    def _approvals(self, loaded: Loaded) -> Unmatched:
        if self.approvals != "recorded" and loaded.settings.policies.approvals is None:
            hint = "leave --approvals out, or name tools under policies.approvals"
            raise OperatorError("no call waits for a person under this configuration", hint=hint)
        return cast("Unmatched", _one_of("--approvals", self.approvals, Unmatched))


def asking(**defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of `Asked` in place of its parameter `asked`, some with other `defaults`."""
    hints = get_type_hints(Asked, include_extras=True)
    options = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults.get(field.name, field.default),
            annotation=hints[field.name],
        )
        for field in fields(Asked)
    ]

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def asked_for(**given: Any) -> None:
            asked = Asked(**{option.name: given.pop(option.name) for option in options})
            command(asked=asked, **given)

        own = [one for one in inspect.signature(command, eval_str=True).parameters.values() if one.name != "asked"]
        parameters = [own[0], *options, *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own[1:])]
        asked_for.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        asked_for.__annotations__ = {one.name: one.annotation for one in parameters}
        return asked_for

    return with_options


def _one_of(option: str, value: str, known: object) -> str:
    if value not in get_args(known):
        raise OperatorError(f"{option} {value!r} is unknown", hint=f"it is one of {', '.join(get_args(known))}")
    return value
