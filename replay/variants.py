"""System prompts crossed with models: for each variant a bake-off of its own, equal to the others but for the prompt.

They run together, in one schedule, so that what drifts meanwhile is no effect of a prompt.

A variant is a whole prompt or a chain of edits of the recorded one. The engine's loop asks with the prompt in the
task's first request; an agent's own prompt, and that of recorded contexts, is replaced at the proxy. The recorded
prompt is a variant like the others: an agent that writes today's date into its prompt then says the recorded one in
every cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from proxy.prompting import PromptSwap
from proxy.wire.choose import WIRES
from proxy.wire.layout import read_layout
from proxy.wire.system_prompt import PROMPT_WIRES, put_prompt, read_prompt
from replay.combining import require_meaningful
from replay.plan import Plan
from replay.prompts import Change, Edit
from replay.task import Task
from replay.ways import PROMPT_ON_THE_WAY, mode_of
from trajectory.errors import OperatorError
from trajectory.ids import checked_name

RECORDED = "recorded"
"""The name of the variant that is the recorded prompt."""


@dataclass(frozen=True, slots=True)
class Variant:
    """`text` is a whole system prompt; without it `edits` are made to the recorded one, one after the other, each
    under the name that it was asked for by. `source` says in words how it is made.
    """

    name: str
    source: str
    text: str | None = None
    edits: tuple[tuple[str, Edit], ...] = ()


AS_RECORDED = Variant(RECORDED, "as recorded")


@dataclass(frozen=True, slots=True)
class Varied:
    """One task's system prompt under a variant, text by text as its format holds it."""

    recorded: tuple[str, ...]
    texts: tuple[str, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class VariantPlan:
    """`plan` is a bake-off of its own; `prompts` by task."""

    variant: Variant
    plan: Plan
    prompts: Mapping[str, Varied]


def variant_plans(plan: Plan, variants: Sequence[Variant]) -> tuple[VariantPlan, ...]:
    """From a prepared plan, the recorded prompt first. A task of which some variant cannot be made, or which it leaves
    as it was, is left out of all of them. OperatorError if no task is left.
    """
    require_meaningful(plan, varied=True)
    every = (AS_RECORDED, *variants)
    _check_names([variant.name for variant in every])
    made: dict[str, list[_Made]] = {}
    obstacles: dict[str, OperatorError] = {}
    for task in plan.tasks:
        try:
            made[task.id] = [_made(task, variant, plan) for variant in every]
        except OperatorError as why:
            obstacles[task.id] = why
    if not made:
        raise next(iter(obstacles.values()))
    left_out = {**plan.left_out, **{task: str(why) for task, why in obstacles.items()}}
    rest = replace(plan, reference=None, left_out=left_out)
    columns = ({task: of_task[at] for task, of_task in made.items()} for at in range(len(every)))
    return tuple(_cell(rest, variant, column) for variant, column in zip(every, columns, strict=True))


def cell_id(name: str, variant: str) -> str:
    """The bake-off of a variant."""
    return f"{name}.{variant}"


_Made = tuple[Task, Varied]
"""A task under a variant, and what the variant makes of its prompt."""


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        checked_name("variant", name)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OperatorError(f"variant {twice[0]!r} is named twice", hint=f"{RECORDED} is the recorded prompt's name")


def _made(task: Task, variant: Variant, plan: Plan) -> _Made:
    varied = _varied(task, variant, plan.seed)
    return _with_prompt(task, varied, plan), varied


def _cell(plan: Plan, variant: Variant, made: Mapping[str, _Made]) -> VariantPlan:
    """`made` by task."""
    varied = {name: one for name, (_, one) in made.items()}
    swaps = {name: PromptSwap(one.recorded, one.texts) for name, one in varied.items()}
    tasks = tuple(task for task, _ in made.values())
    return VariantPlan(variant, replace(plan, id=cell_id(plan.id, variant.name), tasks=tasks, prompts=swaps), varied)


def _varied(task: Task, variant: Variant, seed: int) -> Varied:
    recorded = recorded_prompt(task)
    if variant.text is not None:
        if tuple(recorded) == (variant.text,):
            raise OperatorError(f"variant {variant.name!r} is the recorded prompt of task {task.id!r}")
        change = Change("replaced as a whole", "\n\n".join(recorded), variant.text)
        return Varied(recorded, (variant.text,), (change,))
    texts, changes = recorded, list[Change]()
    for name, edit in variant.edits:
        edited = [edit(text, seed) for text in texts]
        if not any(one.changes for one in edited):
            raise OperatorError(
                f"variant {variant.name!r}: {name} changes nothing in the system prompt of task {task.id!r}",
                hint="a variant that is the recorded prompt shows nothing",
            )
        texts = tuple(one.text for one in edited)
        changes += [change for one in edited for change in one.changes]
    return Varied(recorded, texts, tuple(changes))


def recorded_prompt(task: Task) -> tuple[str, ...]:
    """The system prompt of the task's first request. OperatorError where there is none that could be varied."""
    if task.request is None:
        raise OperatorError(f"the first request of task {task.id!r} was not recorded, so its prompt is not known")
    if task.wire not in PROMPT_WIRES:
        known = ", ".join(sorted(PROMPT_WIRES))
        raise OperatorError(
            f"task {task.id!r} speaks {task.wire}, whose system prompt is not replaced", hint=f"tasks in {known} are"
        )
    texts = read_prompt(task.wire, read_layout(task.request.encode(), WIRES[task.wire].list_key))
    if not any(text.strip() for text in texts):
        raise OperatorError(f"task {task.id!r} has no system prompt that could be varied")
    return texts


def _with_prompt(task: Task, varied: Varied, plan: Plan) -> Task:
    """As the engine's loop asks it."""
    assert task.request is not None
    layout = read_layout(task.request.encode(), WIRES[task.wire].list_key)
    if not put_prompt(task.wire, layout, varied.texts):
        raise OperatorError(
            f"the system prompt of task {task.id!r} stands in {len(varied.recorded)} messages, which one text does "
            "not replace",
            hint="give the variant by --edit: edits change each where it stands",
        )
    if mode_of(task, plan.mode) in PROMPT_ON_THE_WAY:
        return task
    return task.model_copy(update={"request": b"".join(span.data for span in layout.assembled()).decode()})
