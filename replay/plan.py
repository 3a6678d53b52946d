"""What is asked for: one value for every way to run tasks again, whoever asks and wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy.prompting import PromptSwap
from replay.approvals import Unmatched
from replay.conditions import Workspace
from replay.loop import MAX_STEPS
from replay.task import Task
from replay.world.declared import read_worlds
from trajectory.errors import OperatorError
from trajectory.ids import checked_name
from trajectory.runs import Candidate, Limits, Mode

TAPE_WORLD = ("tape",)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for. `limits`, `constraints` and `weights` come from the constraints file (`Constraints.limits()`,
    its content, its scoring section); `reference` names the recorded production runs as a candidate of their own, None
    leaves them out. `env` is the environment of agents, by default that of this process. `world` declares what answers
    the tool calls of closed loops, first to last (see replay/world/declared.py); a run with a smaller share than
    `min_fidelity` of results that are neither missing nor possibly stale is reported, not ranked. `mode` None leaves to
    each task how it is run.
    """

    id: str
    candidates: tuple[Candidate, ...]
    tasks: tuple[Task, ...]
    trials: int = 1
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    constraints: Mapping[str, object] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    reference: str | None = "production"
    workspace: Workspace = "shared"
    reset: tuple[Path, ...] = ()
    """What trials change, and what is put back before each from a snapshot in the folder `snapshot`."""
    snapshot: Path = Path(".ironcage/snapshot")
    max_steps: int = MAX_STEPS
    env: Mapping[str, str] | None = None
    world: tuple[str, ...] = TAPE_WORLD
    min_fidelity: float | None = None
    mode: Mode | None = None
    from_step: int | None = None
    """The recorded model step, counted from 1, from which candidates go on; None from the beginning."""
    approvals: Unmatched = "recorded"
    """What decides on calls that wait for a person, where the recorded run has no decision (replay/approvals.py)."""
    tape_tools: bool = False
    """Offline: the tools behind an upstream are answered from the tape too."""
    stop_margin: float | None = None
    """It ends once every pair of candidates is told apart, or lies within this share of each other."""
    prompts: Mapping[str, PromptSwap] = field(default_factory=dict)
    """By task, in a bake-off of prompt variants: what models are given in place of the recorded prompt."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """By task, why it cannot be run in this way (replay/preparing.py)."""


def check_plan(plan: Plan) -> None:
    """OperatorError if it names something twice, or nothing."""
    checked_name("bake-off", plan.id)
    names = [candidate.name for candidate in plan.candidates] + ([plan.reference] if plan.reference else [])
    for kind, given in (("candidate", names), ("task", [task.id for task in plan.tasks])):
        twice = sorted({name for name in given if given.count(name) > 1})
        if twice:
            raise OperatorError(f"{kind} {twice[0]!r} stands in the bake-off twice", hint="give each a name of its own")
    if not plan.candidates or not plan.tasks or plan.trials < 1:
        raise OperatorError("a bake-off needs at least one candidate, one task and one trial")
    if plan.min_fidelity is not None and not 0 <= plan.min_fidelity <= 1:
        raise OperatorError(f"the minimal fidelity {plan.min_fidelity:g} is no share", hint="it lies between 0 and 1")
    read_worlds(plan.world)
