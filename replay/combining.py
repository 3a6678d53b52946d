"""What may be asked for together: everything, but for the combinations in one table, each with the reason why not.

Ways, worlds, resets, forks, prompts, swept limits and places to run are independent of each other. A new option comes
with the rows that it makes meaningless.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from replay.plan import TAPE_WORLD, Plan
from replay.ways import IN_CAGE, TAPE, files_change_in, mode_of
from trajectory.errors import OperatorError
from trajectory.runs import Mode


@dataclass(frozen=True, slots=True)
class Asked:
    """A plan, the modes in which its tasks run, whether prompts are varied, and the limits that are swept."""

    plan: Plan
    modes: frozenset[Mode]
    varied: bool
    swept: frozenset[str]


Row = tuple[Callable[[Asked], bool], str, str]
"""When it is meaningless, why, and what to ask for instead."""

MEANINGLESS: tuple[Row, ...] = (
    (
        lambda asked: asked.plan.from_step is not None and bool(asked.modes & IN_CAGE),
        "an agent's command cannot begin at a step: a process only begins at its beginning",
        "leave --mode out, and what follows the step runs in the engine's loop, or take --mode stepwise",
    ),
    (
        lambda asked: "offline" in asked.modes and asked.plan.candidates not in ((), (TAPE,)),
        "an offline replay asks no model",
        "leave the candidates out: the recorded answers stand in their place",
    ),
    (
        lambda asked: asked.plan.tape_tools and "offline" not in asked.modes,
        "recorded tool results stand in for a tool only where recorded answers stand in for the model",
        "take --mode offline, or --mode closed_loop with the world `tape`",
    ),
    (
        lambda asked: asked.varied and "offline" in asked.modes,
        "an offline replay asks no model, so that no prompt makes a difference",
        "take another --mode",
    ),
    (
        lambda asked: bool(asked.swept) and asked.modes == {"stepwise"},
        "a stepwise replay executes nothing, so that no limit of it can be lifted",
        "take --mode agent, closed_loop or offline",
    ),
    (
        lambda asked: bool(asked.swept & {"memory", "cpu_time"}) and not asked.modes & IN_CAGE,
        "no task runs its agent's command, and the engine's loop has no process whose memory or CPU time is limited",
        "sweep only --resource wall_time, or take --mode agent or offline",
    ),
    (
        lambda asked: bool(asked.plan.reset) and not asked.modes & files_change_in(asked.plan.world),
        "nothing is executed that could change files, so that there is nothing to reset",
        "leave --reset out, or run the agent's command or a tool",
    ),
    (
        lambda asked: asked.plan.workspace == "copy" and not asked.modes & IN_CAGE,
        "no task runs its agent's command, so that nobody works in a copy of its folder",
        "leave --workspace out, or take --mode agent or offline",
    ),
    (
        lambda asked: asked.plan.world != TAPE_WORLD and "closed_loop" not in asked.modes,
        "no task runs in the engine's loop, so that no world answers its tool calls",
        "leave --world out, or take --mode closed_loop",
    ),
    (
        lambda asked: asked.plan.min_fidelity is not None and "closed_loop" not in asked.modes,
        "no task runs in the engine's loop, so that no tool result has a fidelity",
        "leave --min-fidelity out, or take --mode closed_loop",
    ),
    (
        lambda asked: asked.plan.stop_margin is not None and not asked.modes <= {"agent", "closed_loop"},
        "stepwise and offline runs neither pass nor fail a task, so that nothing is ever decided between candidates",
        "leave --stop-margin out, or take --mode agent or closed_loop",
    ),
    (
        lambda asked: asked.plan.stop_margin is not None and len(asked.plan.candidates) == 1,
        "there is one candidate, and nothing to decide between",
        "leave --stop-margin out, or name another candidate",
    ),
)


def require_meaningful(plan: Plan, *, varied: bool = False, swept: Collection[str] = ()) -> None:
    """OperatorError if what is asked for together means nothing."""
    modes = frozenset(mode_of(task, plan.mode) for task in plan.tasks)
    asked = Asked(plan, modes, varied, frozenset(swept))
    for is_meaningless, why, instead in MEANINGLESS:
        if is_meaningless(asked):
            raise OperatorError(why, hint=instead)
