"""`ironcage doctor`: check this machine, the configuration and the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from ironcage.doctor.cage import check_cage
from ironcage.doctor.files import check_secrets, check_store
from ironcage.doctor.installation import check_installation
from ironcage.doctor.network import check_ports, check_upstreams
from ironcage.doctor.redaction import check_redaction
from ironcage.doctor.report import Line
from ironcage.output import Json, print_json
from ironcage.settings import Loaded, load

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def doctor(
    context: typer.Context,
    network: Annotated[
        bool, typer.Option("--network", help="Also connect to each upstream (TCP only, 2 seconds each).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check this machine, the configuration and the store; exit code 1 if something will not work."""
    loaded = load(context.obj)
    lines = []
    for line in _lines(loaded, network=network):
        lines.append(line)
        if not as_json:
            typer.echo(f"{line.status:<4}  {line.name}: {line.message}")
            if line.hint:
                typer.echo(f"      {line.hint}")
    if as_json:
        print_json({"checks": lines})
    if any(line.status == "fail" for line in lines):
        raise typer.Exit(1)


def _lines(loaded: Loaded, *, network: bool) -> Iterator[Line]:
    yield Line("ok", "configuration", str(loaded.file) if loaded.file else "none; all is as by default")
    yield from check_installation()
    yield check_store(loaded)
    yield from check_secrets(loaded)
    yield from check_ports(loaded)
    yield from check_upstreams(loaded, network=network)
    yield check_redaction(loaded)
    yield from check_cage()
