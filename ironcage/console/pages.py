"""The pages: trajectories, one trajectory, a recorded body, bake-offs and their reports."""

from __future__ import annotations

import asyncio
from importlib.resources import files

from aiohttp import web

from ironcage.console.api import answering, side_of
from ironcage.console.listing import LABELS, SOURCES, Wanted, find_page
from ironcage.console.rendering import html, problem
from ironcage.console.reports import Reports
from ironcage.console.timeline import Said, cards, opening, totals
from ironcage.console.wording import pretty
from replay.transcript import READABLE_WIRES, read_messages
from trajectory.errors import ClientError, FormatError
from trajectory.store import Store
from trajectory.trajectory import Step, Trajectory

STEPS_SHOWN = 100
"""Steps on one page of a trajectory."""
MAX_BODY_CHARACTERS = 400_000
"""Of a body that is shown as text; all of it can be downloaded."""
MAX_READ_BYTES = 4 * 1024 * 1024
"""A larger first request is not read for its messages."""
MAX_REPLY_BYTES = 32 * 1024
"""Replies of tools up to this size are shown in their step."""
# The report is one file for anywhere, so its style is in it; it holds no script and asks for nothing else.
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Pages:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._reports = Reports(store)
        self._style = (files("ironcage.console") / "templates" / "console.css").read_bytes()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._home),
            web.get("/trajectories", answering(self._trajectories)),
            web.get("/trajectories/{trajectory:.+}", answering(self._trajectory)),
            web.get("/attempts/{attempt:.+}/{side}", answering(self._body)),
            web.get("/bakeoffs", answering(self._bakeoffs)),
            web.get("/bakeoffs/{bakeoff:.+}", answering(self._report)),
            web.get("/assets/console.css", self._css),
        ]

    async def _home(self, _: web.Request) -> web.Response:
        return web.Response(status=303, headers={"Location": "/trajectories"})

    async def _css(self, _: web.Request) -> web.Response:
        return web.Response(body=self._style, content_type="text/css", headers={"Cache-Control": "max-age=300"})

    async def _trajectories(self, request: web.Request) -> web.Response:
        wanted = Wanted.of(dict(request.query))
        return _page(await asyncio.to_thread(self._listing, wanted))

    async def _trajectory(self, request: web.Request) -> web.Response:
        start = _start(request.query.get("from", "0"))
        return _page(await asyncio.to_thread(self._timeline, request.match_info["trajectory"], start))

    async def _body(self, request: web.Request) -> web.Response:
        attempt, side = request.match_info["attempt"], side_of(request.match_info["side"])
        body = await asyncio.to_thread(self._store.body, attempt, side)
        if body is None:
            hint = "The client was given what the upstream sent." if side == "client_reply" else ""
            return problem(request, 404, f"No {side.replace('_', ' ')} is recorded of this attempt.", hint)
        text = body.decode("utf-8", "replace")
        shown = pretty(text) if len(text) <= MAX_BODY_CHARACTERS else text[:MAX_BODY_CHARACTERS]
        return _page(
            html(
                "body.html.j2", attempt=attempt, side=side, size=len(body), text=shown, bare=False,
                left_out=max(0, len(text) - MAX_BODY_CHARACTERS),
            )
        )  # fmt: skip

    async def _bakeoffs(self, _: web.Request) -> web.Response:
        found = await asyncio.to_thread(self._store.bakeoffs)
        return _page(html("bakeoffs.html.j2", bakeoffs=found, bare=False))

    async def _report(self, request: web.Request) -> web.Response:
        wanted = request.match_info["bakeoff"]
        report = await asyncio.to_thread(self._reports.page_of, wanted)
        if report is None:
            return problem(
                request, 404, "There is no such bake-off.", "The list of bake-offs shows those that are kept."
            )
        response = _page(report)
        response.headers["Content-Security-Policy"] = _REPORT_POLICY
        return response

    # --- what follows runs in a thread: the store blocks

    def _listing(self, wanted: Wanted) -> bytes:
        listed = find_page(self._store, wanted)
        return html(
            "trajectories.html.j2", listed=listed, wanted=wanted, sources=SOURCES, labels=LABELS, bare=False
        )  # fmt: skip

    def _timeline(self, name: str, start: int) -> bytes:
        found = self._store.trajectory(name)
        shown = found.steps[start : start + STEPS_SHOWN]
        return html(
            "trajectory.html.j2",
            trajectory=found,
            totals=totals(found),
            opening=self._opening(found) if start == 0 else [],
            cards=cards(found, shown, self._replies(shown)),
            start=start,
            page_size=STEPS_SHOWN,
            family=[one for one in self._store.find(session=found.session, limit=20) if one.id != found.id],
            bare=False,
        )

    def _opening(self, found: Trajectory) -> list[Said]:
        """Empty where the first request was not recorded or is not understood."""
        first = next(iter(found.model_steps), None)
        if first is None or first.wire not in READABLE_WIRES or first.last.request_bytes > MAX_READ_BYTES:
            return []
        body = self._store.body(first.last.id, "request")
        try:
            return opening(read_messages(first.wire, body)) if body else []
        except FormatError:
            return []

    def _replies(self, steps: tuple[Step, ...]) -> dict[str, str]:
        short = [
            view.id
            for step in steps
            if step.kind != "model"
            for view in step.attempts
            if 0 < view.reply_bytes <= MAX_REPLY_BYTES
        ]
        bodies = {attempt: self._store.body(attempt, "reply") for attempt in short}
        return {attempt: body.decode("utf-8", "replace") for attempt, body in bodies.items() if body}


def _start(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise ClientError("a step is a number from 0 on")
    return int(text)


def _page(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="text/html", charset="utf-8")
