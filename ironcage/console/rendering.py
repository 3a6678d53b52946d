"""From template and values to a reply. Everything in a value is escaped: recordings hold what anybody sent."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from ironcage.console import wording


def html(template: str, **values: Any) -> bytes:
    """Lone surrogates, which a recording may hold, become question marks."""
    text = _environment().get_template(template).render(**values)
    return text.encode("utf-8", "replace")


def page(template: str, status: int = 200, **values: Any) -> web.Response:
    return web.Response(body=html(template, **values), status=status, content_type="text/html", charset="utf-8")


def problem(request: web.Request, status: int, said: str, hint: str = "") -> web.Response:
    """In the form that was asked for: a page for people, JSON for the rest."""
    if request.path.startswith("/api/") or "text/html" not in request.headers.get("Accept", ""):
        return data({"error": said, "hint": hint} if hint else {"error": said}, status)
    return page("problem.html.j2", status=status, title=f"{status}", said=said, hint=hint, bare=False)


def data(value: object, status: int = 200) -> web.Response:
    body = msgspec.json.encode(msgspec.to_builtins(value, enc_hook=_plain))
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")


def path_to(*parts: str) -> str:
    """A path whose parts may hold anything, a slash too."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def query_of(**values: object) -> str:
    """`?…` of the values that are there; empty if none is."""
    given = [(name, str(value)) for name, value in values.items() if value not in (None, "")]
    return f"?{urlencode(given)}" if given else ""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ironcage.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "when": wording.when,
        "seconds": wording.seconds,
        "bytes": wording.size,
        "count": wording.count,
        "title_of": wording.title_of,
    }
    environment.globals |= {"path_to": path_to, "query_of": query_of}
    return environment


def _plain(value: object) -> object:
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if dump is not None else str(value)
