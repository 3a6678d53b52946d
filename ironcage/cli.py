"""The command line: options that stand before a command, and where each command lives.

A command's module is loaded when the command is asked for: `ironcage run` starts an agent and should not wait
for plots, statistics and a web server to load.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ironcage import __version__

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("ironcage.commands.init", "Write a first configuration, found from the environment."),
    "serve": ("ironcage.commands.serve", "Run the proxy and the console."),
    "run": ("ironcage.commands.run", "Run an agent behind the proxy."),
    "trajectories": ("ironcage.commands.trajectories", "Look at, label, move and delete what was recorded."),
    "policy": ("ironcage.commands.policy", "Check the limits, say what they mean, try others on what was recorded."),
    "profile": ("ironcage.commands.profile", "Measure limits from the record and suggest a constraints file."),
    "tasks": ("ironcage.commands.tasks", "Turn recorded trajectories into tasks that can be re-run."),
    "bakeoff": ("ironcage.commands.bakeoff", "Re-run tasks on other models under the same limits, and compare."),
    "shadow": ("ironcage.commands.shadow", "Mirror a share of live traffic to candidates and compare step by step."),
    "approvals": ("ironcage.commands.approvals", "List the calls that wait for a person, and allow or deny them."),
    "doctor": ("ironcage.commands.doctor", "Check this machine, the configuration and the store."),
}
"""Name -> module whose `app` it is, and the line that stands in the list of commands."""


class LazyCommands(TyperGroup):
    """Typer carries click inside itself, under a private name: hence the open types."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(importlib.import_module(COMMANDS[cmd_name][0]).app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


app = typer.Typer(
    name="ironcage",
    cls=LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Enforce limits on AI agents, record what they do, and re-run it on other models under the same limits.",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("-c", "--config", help="The configuration file; ./ironcage.yaml if not given.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    context.obj = config
