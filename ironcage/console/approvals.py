"""Calls that wait for a person, over the admin port: listed, waited for, and decided by who has the approvals token.

Nothing decides by itself being there: no cookie lets anybody decide, the token comes with each decision. Cookies do not
tell ports apart, so a page that an agent serves on another port of this machine would be sent them.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec
from aiohttp import web

from ironcage.approvals_token import TOKEN_HEADER, is_token
from ironcage.approving import Waiting, Wanted, said_of
from ironcage.console.approvals_page import POLICY, cards, script
from ironcage.console.rendering import data, html, problem, query_of
from ironcage.readable import visible
from proxy.approval_desk import Desk, Settled
from proxy.approvals import Decision

log = logging.getLogger(__name__)
LONGEST_POLL_S = 25.0
_NOT_THE_TOKEN = "That is not the approvals token."  # noqa: S105
_WHERE_IT_IS = "It stands in approvals.token in the state folder, or in IRONCAGE_APPROVALS_TOKEN of the proxy."


class Approvals:
    """`desk` None: no call waits for a person in this process."""

    def __init__(self, desk: Desk | None, token: str) -> None:
        self._desk = desk
        self._token = token

    def routes(self) -> list[web.RouteDef]:
        if self._desk is None:
            return [
                web.get("/approvals", self._none),
                *(route("/api/approvals{rest:.*}", self._none) for route in (web.get, web.post)),
            ]
        return [
            web.get("/approvals", self._page),
            web.post("/approvals", self._form),
            web.get("/api/approvals", self._list),
            web.post("/api/approvals/{question:.+}", self._decide),
        ]

    async def close(self, _: object) -> None:
        """No poll holds up the end of the process."""
        if self._desk is not None:
            self._desk.close()

    # --- for programs

    async def _list(self, request: web.Request) -> web.Response:
        desk = self._there
        since = request.query.get("since", "")
        if since.isascii() and since.isdigit() and len(since) < 20:
            try:
                async with asyncio.timeout(LONGEST_POLL_S):
                    await desk.changed(int(since))
            except TimeoutError:
                pass  # nothing has changed: the same again
        return data(Waiting(desk.version, desk.keep_s, desk.questions()))

    async def _decide(self, request: web.Request) -> web.Response:
        """Only JSON, which a page elsewhere cannot make a browser send unasked."""
        if not is_token(request.headers.get(TOKEN_HEADER, ""), self._token):
            return problem(request, 403, _NOT_THE_TOKEN, _WHERE_IT_IS)
        if request.content_type != "application/json":
            return problem(request, 415, "Send the decision as application/json.")
        try:
            wanted = msgspec.json.decode(await request.read(), type=Wanted)
        except msgspec.DecodeError as e:
            return problem(request, 400, f"That is no decision: {e}.")
        question = request.match_info["question"]
        found = self._settle(question, wanted)
        if found is None:
            hint = "`ironcage approvals list` shows those that do"
            return problem(request, 404, f"No call {question!r} waits.", hint)
        settled, is_new = found
        return data(settled) if is_new else problem(request, 409, f"Already {said_of(settled)}.")

    # --- for people

    async def _none(self, request: web.Request) -> web.Response:
        hint = "Name the tools whose calls should under policies.approvals in the configuration, and start it again."
        return problem(request, 404, "In this proxy no call waits for a person.", hint)

    async def _page(self, request: web.Request) -> web.Response:
        decided = self._there.settled(request.query.get("decided", ""))
        return await self._rendered(200, note="" if decided is None else _sentence(said_of(decided)))

    async def _form(self, request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in (await request.post()).items()}
        if not is_token(fields.get("token", ""), self._token):
            return await self._rendered(403, error=f"{_NOT_THE_TOKEN} {_WHERE_IT_IS}")
        outcome, _, question = fields.get("decision", "").partition(":")
        given = {"outcome": outcome, "by": fields.get("by", ""), "reason": fields.get(f"reason:{question}", "")}
        try:
            wanted = msgspec.convert(given, Wanted)
        except msgspec.ValidationError as e:
            return await self._rendered(400, error=f"That is no decision: {e}.")
        found = self._settle(question, wanted)
        if found is None:
            return await self._rendered(404, error="That call no longer waits, and its agent has not asked again.")
        settled, is_new = found
        if not is_new:
            return await self._rendered(409, error=f"Already {said_of(settled)}.")
        return web.Response(status=303, headers={"Location": f"/approvals{query_of(decided=question)}"})

    async def _rendered(self, status: int, *, note: str = "", error: str = "") -> web.Response:
        desk = self._there
        version, questions = desk.version, desk.questions()

        def render() -> bytes:
            return html(
                "approvals.html.j2", version=version, cards=cards(questions, desk.keep_s), note=note, error=error,
                is_refused=status == 403, script=script(), bare=False,
            )  # fmt: skip

        body = await asyncio.to_thread(render)
        # no-referrer, as on other pages, would make the form's own Origin null
        headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
        return web.Response(body=body, status=status, content_type="text/html", charset="utf-8", headers=headers)

    # --- both

    @property
    def _there(self) -> Desk:
        assert self._desk is not None
        return self._desk

    def _settle(self, question: str, wanted: Wanted) -> tuple[Settled, bool] | None:
        by = wanted.by.strip() or "somebody with the approvals token"
        found = self._there.settle(question, Decision(wanted.outcome, by, wanted.reason.strip()))
        if found is not None and found[1]:  # one that is held may never be in any record
            held = " (held)" if found[0].is_held else ""
            log.info("question %s was %s by %s%s", question, wanted.outcome, visible(by), held)
        return found


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
