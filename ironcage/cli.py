"""The command line. One file a command under commands/; here they are only hung up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ironcage import __version__
from ironcage.commands import run, serve

app = typer.Typer(
    name="ironcage",
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


app.command("serve")(serve.serve)
app.command("run", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})(run.run)
