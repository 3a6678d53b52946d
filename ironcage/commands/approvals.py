"""`ironcage approvals`: which calls wait for a person at the running proxy, and the decision on one of them."""

from __future__ import annotations

import getpass
import json
import os
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
import typer

from ironcage.admin_port import ask_proxy
from ironcage.approvals_token import TOKEN_HEADER, known_token
from ironcage.approving import Waiting, state_of
from ironcage.console.wording import seconds, when
from ironcage.output import Json, print_text
from ironcage.readable import readable_arguments, visible
from ironcage.settings import Loaded, load
from proxy.approval_desk import Question, Settled

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="List the calls that wait for a person, and allow or deny them.",
)
_LONGER_THAN_A_POLL_S = 60.0
Call = Annotated[str, typer.Argument(metavar="ID", help="The call, as `approvals list` names it.")]
Reason = Annotated[str, typer.Option(help="Why; it is recorded, and the model may read it.")]
By = Annotated[str | None, typer.Option(help="Who decides, as it is recorded; the user of this system if not given.")]


@app.command("list")
def list_waiting(
    context: typer.Context,
    wait: Annotated[bool, typer.Option("--wait", help="Return only once a call waits.")] = False,
    as_json: Json = False,
) -> None:
    """List the calls that wait, and those whose agents have gone and may ask again."""
    loaded = load(context.obj)
    found = _waiting(loaded)
    while wait and not any(question.state == "waiting" for question in found.questions):
        found = _waiting(loaded, since=found.version)
    if as_json:
        _print_json(found.questions)
        return
    for question in found.questions:
        print_text(_block(question, found.keep_s) + "\n")
    if not found.questions:
        typer.echo("nothing waits")


@app.command()
def allow(context: typer.Context, call: Call, reason: Reason = "", by: By = None, as_json: Json = False) -> None:
    """Let a call go on."""
    _decide(load(context.obj), call, "allowed", reason, by, as_json=as_json)


@app.command()
def deny(context: typer.Context, call: Call, reason: Reason = "", by: By = None, as_json: Json = False) -> None:
    """Refuse a call; its model is told by whom, and why."""
    _decide(load(context.obj), call, "denied", reason, by, as_json=as_json)


def _waiting(loaded: Loaded, since: int | None = None) -> Waiting:
    path = "/api/approvals" + ("" if since is None else f"?since={since}")
    return msgspec.json.decode(ask_proxy(loaded, "GET", path, timeout_s=_LONGER_THAN_A_POLL_S), type=Waiting)


def _decide(
    loaded: Loaded, call: str, outcome: Literal["allowed", "denied"], reason: str, by: str | None, *, as_json: bool
) -> None:
    said = ask_proxy(
        loaded,
        "POST",
        f"/api/approvals/{quote(call, safe='')}",
        {"outcome": outcome, "by": by if by is not None else _user(), "reason": reason},
        headers={TOKEN_HEADER: known_token(loaded)},
    )
    settled = msgspec.json.decode(said, type=Settled)
    if as_json:
        _print_json(settled)
        return
    held = "; the agent has gone, so this holds if it asks again" if settled.is_held else ""
    typer.echo(f"{settled.decision.outcome} {visible(settled.asked.id)} ({visible(settled.asked.tool)}){held}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name; KeyError until Python 3.13
        return f"user {os.getuid()}"


def _print_json(value: object) -> None:
    """In ASCII: what would turn the direction of writing in a terminal is escaped."""
    print_text(json.dumps(msgspec.to_builtins(value), indent=2) + "\n")


def _block(question: Question, keep_s: float) -> str:
    """Nothing of it is cut: it may be what matters."""
    asked = question.asked
    who = (("to", asked.place), ("session", asked.session), ("task", asked.task), ("agent", asked.agent))
    left = f"{seconds(question.time_left_s)} left. " if question.state == "waiting" else ""
    arguments = "".join(piece.text for piece in readable_arguments(asked.arguments))
    lines = [
        f"{visible(asked.id)}  {visible(asked.tool)}",
        visible(asked.why),
        f"{left}{state_of(question, keep_s)}".rstrip(),
        ", ".join(f"{name} {visible(value)}" for name, value in who if value)
        + f", rule {visible(asked.rule)}, asked {when(asked.asked_at_s)} UTC",
        *arguments.splitlines(),
    ]
    return "\n  ".join(lines) + "\n"
