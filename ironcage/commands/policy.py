"""`ironcage policy`: check the limits, say what they mean, and try others on what was recorded."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ironcage.explaining import Answer, explain, explain_host, explain_tool
from ironcage.linting import lint
from ironcage.output import Json, print_json, print_table
from ironcage.reach import build_store
from ironcage.settings import Loaded, Settings, load
from ironcage.what_if import Rejudged, rejudge
from policies.building import build_rules
from policies.constraints import Constraints, schema
from policies.loading import load_model
from policies.redaction.detect import read_known_values
from trajectory.errors import OperatorError
from trajectory.store import Store

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Check the limits, say what they mean, and try others on what was recorded.",
)
_MOST = 100_000


class File(StrEnum):
    settings = "settings"
    constraints = "constraints"


@app.command()
def check(
    context: typer.Context,
    record: Annotated[
        bool, typer.Option("--record", help="Also look in the store for tools that the allowlist names.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read configuration and constraints, and find what cannot be meant; exit code 1 if something is found."""
    loaded = load(context.obj)
    build_rules(loaded.constraints, loaded.settings.policies, _hosts(loaded))
    redaction = loaded.settings.policies.redaction
    if redaction is not None and redaction.known_values_file is not None:
        read_known_values(loaded.path(str(redaction.known_values_file)))
    recorded: set[str] | None = None
    if record:
        with closing(build_store(loaded)) as store:
            recorded = _recorded_tools(store)
    found = lint(loaded, recorded)
    if as_json:
        print_json({"findings": found, "constraints": loaded.constraints.digest()})
    else:
        for finding in found:
            typer.echo(f"{finding.where}: {finding.message} ({finding.code})\n  {finding.hint}")
        typer.echo(f"{len(found)} finding{'' if len(found) == 1 else 's'}")
    if found:
        raise typer.Exit(1)


@app.command("explain")
def explain_policy(
    context: typer.Context,
    tool: Annotated[str | None, typer.Option(help="Whether this tool may be called, and why.")] = None,
    arguments: Annotated[
        str | None, typer.Option(help="With --tool: the arguments of the call, as a JSON object.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Whether this host may be reached, and why.")] = None,
    as_json: Json = False,
) -> None:
    """Say in sentences what each rule does, or what it says of a tool or host; exit code 1 if one is refused."""
    loaded = load(context.obj)
    answers: list[Answer] = []
    if arguments is not None and tool is None:
        raise OperatorError("--arguments are those of a tool", hint="name it with --tool")
    if tool is not None:
        answers.append(explain_tool(loaded, tool, arguments))
    if host is not None:
        answers.append(explain_host(loaded, host))
    if answers:
        if as_json:
            print_json({"answers": answers})
        for answer in [] if as_json else answers:
            typer.echo(f"{'allowed' if answer.allowed else answer.code} ({answer.rule}): {answer.text}")
        raise typer.Exit(0 if all(answer.allowed for answer in answers) else 1)
    sentences = explain(loaded)
    if as_json:
        print_json({"rules": sentences})
        return
    for sentence in sentences:
        typer.echo(f"{sentence.rule}: {sentence.text}\n  from {', '.join(sentence.keys)}")


@app.command("schema")
def print_schema(
    file: Annotated[File, typer.Argument(help="Which file: settings is ironcage.yaml.")] = File.settings,
) -> None:
    """Print the JSON Schema of ironcage.yaml or of the constraints file."""
    print_json(schema() if file is File.constraints else settings_schema())


def settings_schema() -> dict[str, Any]:
    """As pydantic knows it; inline constraints may stand in their wrapper there, too."""
    made, inner = Settings.model_json_schema(), schema()
    wrapped = inner["anyOf"][1]
    made["properties"]["constraints"]["anyOf"].append(wrapped)
    return {"$schema": inner["$schema"], **made, "title": "ironcage settings"}


@app.command("what-if")
def what_if(
    context: typer.Context,
    trajectories: Annotated[list[str] | None, typer.Argument(metavar="[TRAJECTORY...]", help="Recorded ones.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are recorded.")] = False,
    constraints: Annotated[
        Path | None, typer.Option(help="The constraints to try; those of the configuration if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge recorded trajectories again under other constraints; exit code 1 if one that passed would be refused."""
    loaded = load(context.obj)
    if bool(trajectories) == every:
        raise OperatorError("name trajectories, or give --all", hint="`ironcage trajectories list` shows them")
    tried = load_model(constraints, Constraints) if constraints is not None else loaded.constraints
    with closing(build_store(loaded)) as store:
        names = trajectories or [one.id for one in store.find(limit=_MOST)]
        policies, hosts = loaded.settings.policies, _hosts(loaded)
        results = [rejudge(store.trajectory(name), tried, policies, hosts) for name in names]
    broken = [result.trajectory for result in results if result.breaks_a_pass]
    if as_json:
        print_json({"constraints": tried.digest(), "trajectories": results, "passed_and_refused": broken})
    else:
        _print(results, broken)
    if broken:
        raise typer.Exit(1)


def _print(results: list[Rejudged], broken: list[str]) -> None:
    changes = [("refused", result, change) for result in results for change in result.refused]
    changes += [("let pass", result, change) for result in results for change in result.passed]
    rows = [
        (result.trajectory, result.task, result.label, change.step, what, change.code, change.subject)
        for what, result, change in changes
    ]
    if rows:
        print_table(("trajectory", "task", "label", "step", "would be", "code", "subject"), rows)
    less = {name for result in results for name in result.no_longer_offered}
    if less:
        typer.echo(f"no longer offered to models: {', '.join(sorted(less))}")
    refused = sum(bool(result.refused) for result in results)
    freed = sum(bool(result.passed) for result in results)
    typer.echo(
        f"of {len(results)} trajectories {refused} would meet a new refusal, {freed} would lose one; "
        f"{len(broken)} of the former passed when they were recorded"
    )
    if rows:
        typer.echo("after a new refusal an agent goes another way: later steps of its trajectory are a hint", err=True)


def _hosts(loaded: Loaded) -> list[str]:
    return [upstream.host for upstream in loaded.settings.upstreams.values()]


def _recorded_tools(store: Store) -> set[str]:
    names: set[str] = set()
    for one in store.find(limit=_MOST):
        for step in store.trajectory(one.id).steps:
            names.update(tool.name for tool in step.tools)
            for view in step.attempts:
                names.update(call.name for call in view.answer.calls) if view.answer else None
                names.update({view.tool.name} if view.tool else ())
    return names
