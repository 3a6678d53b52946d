"""Models crossed with prompts: how much is the model, how much the prompt, and whether they depend on each other.

Each effect is a difference within a task, averaged over the other factor, then over tasks: what makes a task hard for
all cancels, and trials of one task are one cluster. For tasks that every cell has runs of, this is the two-way analysis
with errors clustered by task. Recommended before a choice: if another prompt makes another model lead, the choice is
one of the prompt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Literal

from scoring.estimates import Estimate, rate, unknown
from scoring.statistics import holm, paired_difference
from scoring.wording import count, p_text, percent
from trajectory.runs import Frozen

ALPHA = 0.05
Factor = Literal["model", "prompt", "interaction"]


class VariantRun(Frozen):
    """One decided run of a model under a prompt variant; runs that infrastructure broke are not handed over."""

    model: str
    prompt: str
    task: str
    passed: bool


class Cell(Frozen):
    model: str
    prompt: str
    success: Estimate


class Effect(Frozen):
    """model: `a` minus `b` over all prompts. prompt: `a` minus `b` over all models. interaction: how much more the step
    from prompt `b` to `a` does for the first of `models` than for the second. p after Holm within the factor.
    """

    factor: Factor
    a: str
    b: str
    models: tuple[str, str] | None = None
    difference: Estimate
    p_value: float | None
    p_holm: float | None

    @property
    def is_shown(self) -> bool:
        return self.p_holm is not None and self.p_holm < ALPHA


class Variants(Frozen):
    """`tasks` are those that every cell has runs of; effects rest on them alone. `leaders` names the model with the
    highest rate under each prompt.
    """

    format: Literal["ironcage-variants/1"] = "ironcage-variants/1"
    models: tuple[str, ...]
    prompts: tuple[str, ...]
    tasks: int
    tasks_left_out: int
    cells: tuple[Cell, ...]
    effects: tuple[Effect, ...]
    leaders: dict[str, str]
    conclusions: tuple[str, ...]


_Means = Mapping[tuple[str, str], Mapping[str, float]]
"""For each cell the mean over trials of each task."""


def read_variants(runs: Sequence[VariantRun]) -> Variants:
    """Models and prompts in the order in which they appear; the first prompt is the one that the others are held to."""
    models = tuple(dict.fromkeys(run.model for run in runs))
    prompts = tuple(dict.fromkeys(run.prompt for run in runs))
    cells = [(model, prompt) for model in models for prompt in prompts]
    means = _means(runs)
    every = dict.fromkeys(run.task for run in runs)
    tasks = [task for task in every if all(task in means.get(cell, {}) for cell in cells)]
    effects = (
        *_adjusted(_model_effects(means, tasks, models, prompts)),
        *_adjusted(_prompt_effects(means, tasks, models, prompts)),
        *_adjusted(_interactions(means, tasks, models, prompts)),
    )
    leaders = _leaders(means, tasks, models, prompts)
    return Variants(
        models=models,
        prompts=prompts,
        tasks=len(tasks),
        tasks_left_out=len(every) - len(tasks),
        cells=tuple(_cell(runs, *cell) for cell in cells),
        effects=effects,
        leaders=leaders,
        conclusions=tuple(_conclusions(effects, leaders, len(tasks))),
    )


def _means(runs: Sequence[VariantRun]) -> dict[tuple[str, str], dict[str, float]]:
    trials: defaultdict[tuple[str, str], defaultdict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        trials[run.model, run.prompt][run.task].append(run.passed)
    return {cell: {task: sum(found) / len(found) for task, found in tasks.items()} for cell, tasks in trials.items()}


def _cell(runs: Sequence[VariantRun], model: str, prompt: str) -> Cell:
    own = [run for run in runs if (run.model, run.prompt) == (model, prompt)]
    return Cell(model=model, prompt=prompt, success=rate([run.passed for run in own], [run.task for run in own]))


def _model_effects(means: _Means, tasks: Sequence[str], models: Sequence[str], prompts: Sequence[str]) -> list[Effect]:
    def over_prompts(model: str) -> Callable[[str], float]:
        return lambda task: sum(means[model, prompt][task] for prompt in prompts) / len(prompts)

    return [_effect("model", a, b, tasks, over_prompts(a), over_prompts(b)) for a, b in combinations(models, 2)]


def _prompt_effects(means: _Means, tasks: Sequence[str], models: Sequence[str], prompts: Sequence[str]) -> list[Effect]:
    def over_models(prompt: str) -> Callable[[str], float]:
        return lambda task: sum(means[model, prompt][task] for model in models) / len(models)

    return [_effect("prompt", b, a, tasks, over_models(b), over_models(a)) for a, b in combinations(prompts, 2)]


def _interactions(means: _Means, tasks: Sequence[str], models: Sequence[str], prompts: Sequence[str]) -> list[Effect]:
    def step(model: str, old: str, new: str) -> Callable[[str], float]:
        return lambda task: means[model, new][task] - means[model, old][task]

    return [
        _effect("interaction", new, old, tasks, step(one, old, new), step(other, old, new), (one, other))
        for one, other in combinations(models, 2)
        for old, new in combinations(prompts, 2)
    ]


def _effect(
    factor: Factor,
    a: str,
    b: str,
    tasks: Sequence[str],
    left: Callable[[str], float],
    right: Callable[[str], float],
    models: tuple[str, str] | None = None,
) -> Effect:
    paired = paired_difference([left(task) for task in tasks], [right(task) for task in tasks])
    difference, p_value = unknown("no task that every model ran under every prompt"), None
    if paired is not None:
        most = 1.0 if models is None else 2.0  # of two differences, each at most 1
        low, high = paired.interval.cut_at(most) if paired.interval else (None, None)
        method = "within tasks, 95 % t interval" if paired.interval else "within tasks; no spread, no interval"
        difference = Estimate(value=paired.mean, n=len(tasks), low=low, high=high, method=method)
        p_value = paired.p_value
    return Effect(factor=factor, a=a, b=b, models=models, difference=difference, p_value=p_value, p_holm=None)


def _adjusted(effects: Sequence[Effect]) -> list[Effect]:
    adjusted = holm([effect.p_value for effect in effects])
    return [effect.model_copy(update={"p_holm": p}) for effect, p in zip(effects, adjusted, strict=True)]


def _leaders(means: _Means, tasks: Sequence[str], models: Sequence[str], prompts: Sequence[str]) -> dict[str, str]:
    if not tasks:
        return {}
    return {
        prompt: max(models, key=lambda model: sum(means[model, prompt][task] for task in tasks)) for prompt in prompts
    }


def _conclusions(effects: Sequence[Effect], leaders: Mapping[str, str], tasks: int) -> list[str]:
    if not tasks:
        return ["Nothing can be separated: no task was run by every model under every prompt."]
    said = [_of(effects, "model", tasks), _of(effects, "prompt", tasks)]
    crossed = [effect for effect in effects if effect.factor == "interaction"]
    if any(effect.is_shown for effect in crossed):
        worst = min((e for e in crossed if e.is_shown), key=lambda e: e.p_holm if e.p_holm is not None else 1.0)
        first, second = worst.models or ("", "")
        said.append(
            f"Model and prompt depend on each other: from {worst.b} to {worst.a} {first} changes by "
            f"{_points(worst.difference)} points more than {second} (p {p_text(worst.p_holm)} after Holm)."
        )
    elif crossed:
        said.append("That the prompt does more for one model than for another is not shown.")
    if len(set(leaders.values())) > 1:
        told = ", ".join(f"{model} under {prompt}" for prompt, model in leaders.items())
        said.append(f"Which model leads changes with the prompt ({told}): choose them together.")
    return said


def _of(effects: Sequence[Effect], factor: Factor, tasks: int) -> str:
    found = [effect for effect in effects if effect.factor == factor and effect.difference.value is not None]
    if not found:
        return f"There is one {factor}, so its effect cannot be told."
    shown = [effect for effect in found if effect.is_shown]
    if not shown:
        return f"No effect of the {factor} is shown on {count(tasks, 'task')}."
    largest = max(shown, key=lambda effect: abs(effect.difference.value or 0.0))
    spans = [f"{_points(largest.difference)} points"]
    if largest.difference.low is not None and largest.difference.high is not None:
        spans.append(f"[{percent(largest.difference.low)}, {percent(largest.difference.high)}]")
    between = f"{largest.a} against {largest.b}"
    return f"Largest effect of the {factor}: {between}, {' '.join(spans)} (p {p_text(largest.p_holm)})."


def _points(estimate: Estimate) -> str:
    return f"{100 * (estimate.value or 0.0):+.1f}"
