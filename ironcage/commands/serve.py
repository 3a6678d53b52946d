"""`ironcage serve`: the proxy and the console, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer
import uvloop

from ironcage.approvals_token import token_place
from ironcage.assembly import Doors, open_doors
from ironcage.collector import leave_out_what_stays
from ironcage.console.server import Console
from ironcage.logs import set_up_logging
from ironcage.settings import Loaded, address, load
from ironcage.shadowing import ShadowDesk
from proxy.settings import Upstream

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_DEFAULT_UPSTREAM = "default"


@app.command()
def serve(
    context: typer.Context,
    listen: Annotated[str | None, typer.Option(help="host:port of the base-URL door.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the base-URL door, on 127.0.0.1.")] = None,
    upstream: Annotated[
        str | None, typer.Option(help="URL of one model API that answers every path; for a first try without a file.")
    ] = None,
    admin_listen: Annotated[str | None, typer.Option(help="host:port of console, API and health.")] = None,
    forward_listen: Annotated[str | None, typer.Option(help="host:port of the HTTPS_PROXY door.")] = None,
    store: Annotated[str | None, typer.Option(help="Where trajectories are kept.")] = None,
) -> None:
    """Run the proxy and the console."""
    flags: dict[str, object] = {
        "listen": listen or (f"127.0.0.1:{port}" if port is not None else None),
        "admin_listen": admin_listen,
        "forward_listen": forward_listen,
        "store": store,
    }
    loaded = load(context.obj, flags)
    default = None
    if upstream is not None:
        default = _DEFAULT_UPSTREAM
        upstreams = {**loaded.settings.upstreams, default: Upstream(base_url=upstream)}
        settings = loaded.settings.model_copy(update={"upstreams": upstreams})
        loaded = loaded.model_copy(update={"settings": settings})
    set_up_logging()
    uvloop.run(_serve(loaded, default))


async def _serve(loaded: Loaded, default: str | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with open_doors(loaded, default_upstream=default, attended=True) as doors:
        admin, shadows = address(loaded.settings.admin_listen, "admin_listen"), ShadowDesk(doors)
        turned_away = doors.gateway.admission.counts
        async with Console(
            doors.store, *admin, loaded, shadows=shadows, desk=doors.desk, turned_away=turned_away
        ) as console:
            if loaded.settings.shadow is not None:
                await shadows.start(loaded.settings.shadow)
            leave_out_what_stays()
            _say(doors, console)
            await stop.wait()
            await shadows.stop()
        stop.clear()
        await _drain(doors, stop, loaded.settings.drain_timeout_s)


async def _drain(doors: Doors, hurry: asyncio.Event, at_most_s: float) -> None:
    """Console and health are gone by now, so that whoever balances load sends nothing more."""
    busy = doors.gateway.busy()
    waits = f"; exchanges under way: {busy}, with {at_most_s:g} s to end (a second signal cuts them)" if busy else ""
    typer.echo(f"ironcage: stopping{waits}", err=True)
    ends = [asyncio.ensure_future(doors.drain(at_most_s)), asyncio.ensure_future(hurry.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    if busy := doors.gateway.busy():
        typer.echo(f"ironcage: broken off, and written down as aborted: {busy}", err=True)


def _say(doors: Doors, console: Console) -> None:
    for name in doors.loaded.settings.upstreams:
        typer.echo(f"base URL   {doors.data_url}/{name}", err=True)
    if not doors.loaded.settings.upstreams:
        typer.echo("no upstreams are configured: name some in ironcage.yaml (see `ironcage init`)", err=True)
    if doors.proxy_url is not None:
        typer.echo(f"proxy      {doors.proxy_url}", err=True)
    typer.echo(f"console    {console.url}", err=True)
    if doors.desk is not None:
        typer.echo(f"approvals  {console.url}/approvals ({token_place(doors.loaded)})", err=True)
    typer.echo("ready", err=True)
