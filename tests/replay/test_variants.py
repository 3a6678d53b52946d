"""Variants of a system prompt through a real gateway: what models are sent, and what may be compared."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ironcage.varying import read_cells
from proxy.prompting import is_alike
from replay.bakeoff import run_together
from replay.cage.process import PortableCage
from replay.conditions import Around
from replay.executors.local import LocalExecutor
from replay.plan import Plan
from replay.preparing import prepared
from replay.prompts import drop_role, reorder, replacing
from replay.task import AgentCommand, Task
from replay.variants import Variant, VariantPlan, recorded_prompt, variant_plans
from tests.support.processes import PYTHON
from tests.support.recordings import Message, calls, said, user
from tests.support.replaying import Replaying, candidate, replaying
from trajectory.errors import OperatorError
from trajectory.runs import Run

ROLE = "You are a strict refund auditor."
PROMPT = f"{ROLE}\n\nAnswer with the order's state.\n\nNever guess."
PLAIN = Variant("plain", "drop-role", edits=(("drop-role", drop_role),))
TURNED = Variant("turned", "reorder", edits=(("reorder", reorder),))
WHOLE = Variant("whole", "a file", text="Answer in one word.")


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def speak(messages: list[Message]) -> Message:
    return said("refused" if ROLE in str(messages[0]["content"]) else "in transit")


async def recorded(at: Replaying, prompt: str = PROMPT) -> Task:
    await at.ask("prod", [system(prompt), user("where is order 7?")])
    return at.task("prod")


def crossed(task: Task, *variants: Variant, **rest: Any) -> tuple[VariantPlan, ...]:
    return variant_plans(Plan("v", (candidate("good"),), (task,), **rest), variants)


async def baked(at: Replaying, cell: VariantPlan) -> Run:
    plan = cell.plan
    fields = {name: getattr(plan, name) for name in ("id", "candidates", "prompts", "seed", "mode")}
    _, (run,) = await at.bake(*plan.tasks, **fields)
    return run


def asked(at: Replaying) -> list[dict[str, Any]]:
    return [json.loads(body) for body in at.model.asked]


async def test_a_loop_asks_with_the_variant_s_prompt_and_nothing_else_changed(tmp_path: Path) -> None:
    async with replaying(tmp_path, {"prod-1": speak, "good-1": speak}) as at:
        task = await recorded(at)
        cells = crossed(task, PLAIN, WHOLE)
        runs = {cell.variant.name: await baked(at, cell) for cell in cells}
        bakeoffs = {one.id: one for one in at.served.store.bakeoffs()}
        sent = asked(at)[1:]
    assert [one["messages"][0]["content"] for one in sent] == [PROMPT, PROMPT.removeprefix(f"{ROLE}\n\n"), WHOLE.text]
    assert len({json.dumps({**one, "messages": one["messages"][1:]}) for one in sent}) == 1
    assert {name: run.answer for name, run in runs.items()} == {
        "recorded": "refused",
        "plain": "in transit",
        "whole": "in transit",
    }
    parts = [bakeoffs[f"v.{name}"].fingerprint_parts for name in runs]
    differing = {name for name in parts[0] if len({one[name] for one in parts}) > 1}
    assert differing == {"prompt", "tasks"}


AGENT = """
import json, os, urllib.request
def ask(prompt):
    body = {"model": "prod-1", "messages": [{"role": "system", "content": prompt}, {"role": "user", "content": "?"}]}
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]
"""


def with_agent(task: Task, *prompts: str) -> Task:
    program = AGENT + "".join(f"print(ask({prompt!r}))\n" for prompt in prompts)
    return task.model_copy(update={"launch": AgentCommand(command=(*PYTHON, program), cwd="/")})


async def test_an_agent_s_own_prompt_is_replaced_and_those_of_others_stay(tmp_path: Path) -> None:
    dated = PROMPT + " Today is Monday."
    async with replaying(tmp_path, {"prod-1": speak, "good-1": speak}) as at:
        task = with_agent(await recorded(at, PROMPT + " Today is Friday."), dated, "Name this conversation.")
        runs = [await baked(at, cell) for cell in crossed(task, PLAIN)]
        store = at.served.store
        prompts = [one["messages"][0]["content"] for one in asked(at)[1:]]
        steps = [store.trajectory(run.trajectory).model_steps for run in runs]
        written = [json.loads(store.body(one[0].last.id, "request") or b"") for one in steps]
    friday = PROMPT + " Today is Friday."
    plain = friday.removeprefix(f"{ROLE}\n\n")
    assert prompts == [friday, "Name this conversation.", plain, "Name this conversation."]
    assert [run.status for run in runs] == ["finished", "finished"]
    assert [one["messages"][0]["content"] for one in written] == [friday, plain], "the record shows what was sent"
    assert [dict(step.last.extra).get("prompt") for step in steps[1]] == ["replaced", None]


async def test_an_agent_without_the_recorded_prompt_varies_nothing_and_is_no_result(tmp_path: Path) -> None:
    async with replaying(tmp_path, {"prod-1": speak, "good-1": speak}) as at:
        task = with_agent(await recorded(at), "Something else altogether.")
        run = await baked(at, crossed(task, PLAIN)[1])
    assert run.status == "harness_error"
    assert "nothing was varied" in run.error


async def baked_together(at: Replaying, task: Task, *variants: Variant, **rest: Any) -> tuple[VariantPlan, ...]:
    """As the command runs them."""
    asked = prepared(Plan("v", (candidate("good"),), (task,), **rest), at.served.store)
    cells = variant_plans(asked, variants)
    around = Around(at.house, PortableCage())
    await run_together([cell.plan for cell in cells], around, LocalExecutor(cpus=0.1))  # one after the other
    return cells


async def together(at: Replaying, task: Task, *variants: Variant, **rest: Any) -> dict[str, list[Run]]:
    """By variant."""
    cells = await baked_together(at, task, *variants, **rest)
    return {cell.variant.name: at.served.store.runs(cell.plan.id) for cell in cells}


async def test_prompts_take_turns_with_each_other(tmp_path: Path) -> None:
    """One prompt after the other would take a provider's bad hour for an effect of the prompt."""
    async with replaying(tmp_path, {"prod-1": speak, "good-1": speak}) as at:
        runs = await together(at, await recorded(at), PLAIN, trials=4)
        (order, other) = {one.order for one in at.served.store.bakeoffs()}, asked(at)[1:]
    prompts = [one["messages"][0]["content"] == PROMPT for one in other]
    assert all(sum(prompts[at : at + 2]) == 1 for at in range(0, 8, 2)), "each pair of runs has each prompt once"
    assert prompts != sorted(prompts)
    assert prompts != sorted(prompts, reverse=True)
    assert {name: [run.answer for run in found] for name, found in runs.items()} == {
        "recorded": ["refused"] * 4,
        "plain": ["in transit"] * 4,
    }
    assert order == {
        "in random blocks, drawn with seed 0: each holds every candidate of 2 bake-offs that run together once, for "
        "one task and trial"
    }


async def test_a_fork_goes_on_under_each_prompt_from_the_recorded_conversation(tmp_path: Path) -> None:
    begun = [system(PROMPT), user("where is order 7?"), said("which one?"), user("the first")]
    async with replaying(tmp_path, {"prod-1": speak, "good-1": speak}) as at:
        await at.ask("prod", begun[:2])
        task = at.task("prod")
        await at.ask("prod", begun)
        runs = await together(at, task, PLAIN, from_step=2)
        sent = {one["messages"][0]["content"]: one["messages"][1:] for one in asked(at)[2:]}
    assert sent == {PROMPT: begun[1:], PROMPT.removeprefix(f"{ROLE}\n\n"): begun[1:]}
    assert {name: found[0].answer for name, found in runs.items()} == {"recorded": "refused", "plain": "in transit"}


async def test_each_recorded_context_is_sent_under_each_prompt(tmp_path: Path) -> None:
    def strict(messages: list[Message]) -> Message:
        return calls(("c1", "refuse", "{}")) if ROLE in str(messages[0]["content"]) else said("in transit")

    async with replaying(tmp_path, {"prod-1": strict, "good-1": strict}) as at:
        cells = await baked_together(at, await recorded(at), PLAIN, mode="stepwise", trials=2)
        report = read_cells(at.served.store, "v", cells)
        sent = Counter(one["messages"][0]["content"] for one in asked(at)[1:])
    assert sent == {PROMPT: 2, PROMPT.removeprefix(f"{ROLE}\n\n"): 2}
    assert report.measure == "agreement"
    assert report.notes[0].startswith("Agreement is the share of recorded steps")
    found = {cell.prompt: (cell.success.value, cell.success.n) for cell in report.read.cells}
    assert found == {"recorded": (1.0, 2), "plain": (0.0, 2)}


def task_of(*messages: Message, **rest: Any) -> Task:
    request = json.dumps({"model": "m", "messages": list(messages)})
    fields: dict[str, Any] = {"wire": "openai.chat", "path": "/v1", "request": request, **rest}
    return Task(id="t", name="t", input="", source="s", upstream="o", **fields)


def test_the_recorded_prompt_is_the_first_variant_and_edits_say_what_they_changed() -> None:
    cells = crossed(task_of(system(PROMPT)), PLAIN, TURNED, seed=1)
    assert [cell.plan.id for cell in cells] == ["v.recorded", "v.plain", "v.turned"]
    assert cells[0].prompts["t"].texts == recorded_prompt(task_of(system(PROMPT))) == (PROMPT,)
    assert cells[0].plan.tasks == (task_of(system(PROMPT)),)
    (change,) = cells[1].prompts["t"].changes
    assert change.before == ROLE
    assert crossed(task_of(system(PROMPT)), TURNED, seed=1)[1] == cells[2]


def test_edits_are_made_one_after_the_other() -> None:
    both = Variant("both", "", edits=(("drop-role", drop_role), ("replace", replacing({"guess": "assume"}))))
    assert crossed(task_of(system(PROMPT)), both)[1].prompts["t"].texts[0].endswith("Never assume.")


@pytest.mark.parametrize(
    ("task", "variant", "message"),
    [
        (task_of(system("Be brief.")), PLAIN, "drop-role changes nothing in the system prompt of task 't'"),
        (task_of(system("Be brief.")), replace(WHOLE, text="Be brief."), "is the recorded prompt of task 't'"),
        (task_of(user("hi")), PLAIN, "has no system prompt"),
        (task_of(system(PROMPT), wire="ollama.chat"), PLAIN, "whose system prompt is not replaced"),
        (task_of(system(PROMPT)).model_copy(update={"request": None}), PLAIN, "was not recorded"),
        (task_of(system(PROMPT), system("And brief.")), WHOLE, "stands in 2 messages"),
        (task_of(system(PROMPT)), replace(PLAIN, name="recorded"), "is named twice"),
    ],
)
def test_what_cannot_be_varied_is_said(task: Task, variant: Variant, message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        crossed(task, variant)


def test_a_task_that_one_variant_cannot_be_made_of_is_left_out_of_all() -> None:
    both = (task_of(system("Be brief.")).model_copy(update={"id": "brief"}), task_of(system(PROMPT)))
    cells = variant_plans(Plan("v", (candidate("good"),), both), (PLAIN, WHOLE))
    assert [[task.id for task in cell.plan.tasks] for cell in cells] == [["t"]] * 3
    (why,) = {cell.plan.left_out["brief"] for cell in cells}
    assert why == "variant 'plain': drop-role changes nothing in the system prompt of task 'brief'"


def test_a_prompt_is_known_again_but_for_a_few_words() -> None:
    assert is_alike((PROMPT,), (PROMPT + " Today",))
    assert not is_alike((PROMPT,), ("Never guess.",))
    assert not is_alike((), ())
    assert not is_alike(("",), ("",))
