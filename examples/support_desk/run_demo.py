"""`make demo`: the main job of ironcage, offline, in under a minute.

An agent answers customers of an invented shop behind the proxy; what happened is recorded; the recorded tasks are run
again on two other models under the same limits; the comparison opens in a browser. With IRONCAGE_DEMO_UPSTREAM,
IRONCAGE_DEMO_MODEL and a key (IRONCAGE_DEMO_KEY or OPENAI_API_KEY) the same demo asks a real endpoint;
IRONCAGE_DEMO_CANDIDATES (comma-separated model ids) then names whom to compare, else the same model runs again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from check import TASKS, Executed, Judgement, judge
from demo_house import DemoFailed, House, Model
from rich.console import Console

AT_ONCE = 2
WORTH_A_LOOK = ("charged-twice", "parcel-customs")
"""Tasks whose trajectories show most: personal data masked and restored, a tool that fails once."""
console = Console()


@dataclass(frozen=True)
class Plan:
    """Who plays production and who is compared with it. `model_url` None: the scripted models."""

    production: Model
    candidates: dict[str, Model]
    model_url: str | None
    api_key: str
    trials: int


@dataclass(frozen=True)
class Customer:
    """One production run: a customer's question, and what came of it."""

    task: str
    session: str
    answer: str
    judgement: Judgement


def plan_from_environment(trials: int) -> Plan:
    upstream, model = os.environ.get("IRONCAGE_DEMO_UPSTREAM"), os.environ.get("IRONCAGE_DEMO_MODEL")
    if not upstream:
        candidates = {name: Model("desk", f"desk-{name}") for name in ("wasteful", "leaky")}
        return Plan(Model("desk", "desk-good"), candidates, None, "demo-key", trials)
    key = os.environ.get("IRONCAGE_DEMO_KEY") or os.environ.get("OPENAI_API_KEY")
    if not model or not key:
        raise DemoFailed("IRONCAGE_DEMO_UPSTREAM needs IRONCAGE_DEMO_MODEL and IRONCAGE_DEMO_KEY (or OPENAI_API_KEY)")
    others = [name.strip() for name in os.environ.get("IRONCAGE_DEMO_CANDIDATES", "").split(",") if name.strip()]
    candidates = {name.rpartition("/")[2]: Model("desk", name) for name in others or [model]}
    base = upstream.rstrip("/").removesuffix("/v1")
    return Plan(Model("desk", model), candidates, base, key, trials)


def introduce(plan: Plan, house: House) -> None:
    console.rule("[bold]ironcage demo: choose a model by how it behaves inside your harness")
    if plan.model_url is None:
        console.print(
            "[yellow]A simulation:[/] the shop, its customers and the three models are scripted programs of this "
            "project, on this machine only. The agent is a real program with the official openai SDK; the proxy, the "
            "record, the cage and the scores are the real thing."
        )
    else:
        console.print(
            f"The shop and its customers are simulated. The model is real: [bold]{plan.production.id}[/] at "
            f"{plan.model_url}. Calls cost what they cost."
        )
    console.print(f"Everything is written to [bold]{house.folder}[/].\n")


def production(plan: Plan, house: House) -> list[Customer]:
    console.print(
        f"[bold]1. Production.[/] The support-desk agent answers {len(TASKS)} customers with "
        f"[bold]{plan.production.id}[/], behind the proxy."
    )
    customers = some_at_once(lambda task: serve_customer(task, plan, house), TASKS)
    for customer in customers:
        mark = "[green]passed[/]" if customer.judgement.passed else "[red]failed[/]"
        said = first_line(customer.answer) or customer.judgement.evidence
        console.print(f"   {mark}  {customer.task:<22} {said}", no_wrap=True, overflow="ellipsis", crop=True)
    return customers


def serve_customer(task: str, plan: Plan, house: House) -> Customer:
    session = session_of(task)
    finished = house.run_agent(task, session, plan.production)
    if finished.returncode not in (0, 3):
        raise DemoFailed(f"the agent's run of {task} ended with {finished.returncode}:\n{finished.stderr}")
    answer = finished.stdout.strip()
    calls = [Executed(call["tool"], call["arguments"], call["ok"]) for call in house.calls_of(session)]
    return Customer(task, session, answer, judge(task, answer, calls))


def look_at_the_record(customers: list[Customer], house: House) -> None:
    """What the proxy saw and did, read back from the store."""
    recorded = {one["session"]: one for one in house.trajectories()}
    mine = [recorded[customer.session] for customer in customers]
    models, tools = (sum(one[key] for one in mine) for key in ("model_calls", "tool_calls"))
    again = sum(one["attempts"] for one in mine) - models - tools
    console.print(
        f"\n[bold]2. The record.[/] {len(mine)} trajectories are stored: {models} model calls and {tools} tool calls, "
        f"of which {again} were tried again after an error. {len(WORTH_A_LOOK)} of them in full:"
    )
    ids = [recorded[session_of(task)]["id"] for task in WORTH_A_LOOK]
    for task, shown in zip(WORTH_A_LOOK, some_at_once(house.trajectory, ids), strict=True):
        console.print(f"   [bold]{task}[/] ({shown['id']})")
        for what, count in seen_in(shown).items():
            console.print(f"      {count:>3}  {what}")


def seen_in(trajectory: dict[str, Any]) -> Counter[str]:
    """Calls, retries and verdicts of one trajectory, counted under the words that the demo shows."""
    seen: Counter[str] = Counter()
    for step in trajectory.get("steps", ()):
        attempts = step.get("attempts", ())
        seen[f"{step['kind']} calls recorded"] += 1
        seen["attempts made again after an error"] += max(0, len(attempts) - 1)
        for attempt in attempts:
            for note in attempt.get("verdicts", ()):
                seen[verdict_words(note)] += note.get("count", 1)
    return +seen


def verdict_words(note: dict[str, Any]) -> str:
    known = {
        ("redaction", "masked"): "personal values that the model saw only as pseudonyms",
        ("redaction", "restored"): "pseudonyms in the model's calls turned back into values for the agent",
        ("tool_allowlist", "tool_not_allowed"): "offers of forbidden tools taken out of requests",
    }
    if note["action"] == "rewrite" and (note["rule"], note["code"]) in known:
        return known[note["rule"], note["code"]]
    return f"{note['action']} by rule {note['rule']}: {note['code']}"


def session_of(task: str) -> str:
    return f"desk-{task}"


def bake_off(plan: Plan, house: House) -> None:
    named = " and ".join(f"[bold]{model.id}[/]" for model in plan.candidates.values())
    console.print(
        f"\n[bold]3. The bake-off.[/] The same tasks on {named}: same agent, same limits, only the model differs."
    )
    console.print(f"   {first_line(house.build_tasks()) or 'tasks are built from the record'}")
    code = house.bakeoff(plan.candidates, trials=plan.trials, seed=1)
    if code not in (0, 1):
        raise DemoFailed(f"ironcage bakeoff run ended with {code}")


def say_where_to_look(house: House, started: float) -> None:
    console.rule(f"[bold]done in {time.monotonic() - started:.0f} s")
    for what, where in (
        ("The report:", f"[bold]file://{house.report}[/]"),
        ("The record:", f".venv/bin/ironcage -c {house.config} trajectories list"),
        ("The agent:", "examples/support_desk/agent.py"),
        ("The limits:", "examples/support_desk/constraints.json"),
        ("Your own agent:", ".venv/bin/ironcage init, then .venv/bin/ironcage run -- YOUR COMMAND"),
    ):
        console.print(f"{what:<17} {where}", soft_wrap=True)  # a command that is broken in two cannot be copied


def some_at_once[Item, Made](work: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """What `work` made of each item, in order. An exception, Ctrl-C too, starts nothing more and waits for nobody."""
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        return list(pool.map(work, items))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def tell(plan: Plan, house: House) -> None:
    started = time.monotonic()
    introduce(plan, house)
    house.start_servers()
    house.start_proxy()
    customers = production(plan, house)
    look_at_the_record(customers, house)
    bake_off(plan, house)
    say_where_to_look(house, started)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the main job of ironcage on a simulated support desk.")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for the record and the report")
    parser.add_argument("--trials", type=int, default=2, help="runs of each task on each candidate")
    settings = parser.parse_args()
    # ended by SIGTERM as by Ctrl-C: the block below ends what was started
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        plan = plan_from_environment(settings.trials)
        with House(settings.out.resolve(), plan.model_url, plan.api_key) as house:
            tell(plan, house)
    except DemoFailed as failure:
        console.print(f"[red]The demo could not go on:[/] {failure}", markup=True)
        return 3
    except KeyboardInterrupt:
        console.print("interrupted; everything that the demo started has ended")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
