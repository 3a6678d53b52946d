"""The shell that drives exchanges: aiohttp's server on one side, the upstream client on the other, both doors."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web
from multidict import CIMultiDict

from policies.verdict import Refuse
from proxy.arrivals import (
    Arrival,
    ClientLeft,
    CommitFailed,
    Committed,
    Decided,
    Detected,
    DetectionFailed,
    ReplyBegan,
    ReplyEnded,
    ReplyPart,
    RequestArrived,
    UpstreamFailed,
)
from proxy.asking import Asking
from proxy.effects import (
    AskApproval,
    BeginReply,
    BreakConnection,
    Commit,
    Detect,
    Effect,
    EndReply,
    Forward,
    Respond,
    SendPart,
    StopUpstream,
)
from proxy.exchange import Exchange
from proxy.exchange_states import State
from proxy.gateway_admission import Admission, is_same
from proxy.gateway_listening import bound_port, is_loopback
from proxy.gateway_replies import NO_WEBSOCKETS, plain_error, turned_away
from proxy.hall import Hall, Visitor
from proxy.headers import forwarded, returned, with_key, without_token
from proxy.routing import Destination
from proxy.street import Answer
from proxy.under_way import UnderWay
from proxy.upstream import Patience, UpstreamBroke, UpstreamClient
from proxy.url_keys import without_keys
from trajectory.errors import ClientError, OperatorError, StoreError
from trajectory.record import Attempt, Door
from trajectory.recorder import Recorder

log = logging.getLogger(__name__)

# Texts shorter than this are searched on the event loop: a thread would cost more than it saves.
_INLINE_CHARACTERS = 4096
_FOR_CLIENT = (BeginReply, SendPart, EndReply, Respond, BreakConnection, AskApproval)
_CUT_S = (
    0.5  # for a handler to end by itself, and again once it is cancelled; what it leaves to write down has its time
)
_MAX_HEADER_BYTES = 128 * 1024  # as at the proxy door: agents send long cookies and trace headers


@dataclass(slots=True, eq=False)
class _Live:
    """One exchange under way, with the sockets that belong to it."""

    exchange: Exchange
    request: web.BaseRequest
    destination: Destination
    loop: asyncio.AbstractEventLoop
    began_s: float
    forward: Forward | None = None
    upstream: Answer | None = None
    reply: web.StreamResponse | None = None
    wants_upstream: bool = True
    undone: deque[Effect] = field(default_factory=deque)
    is_gone: bool = False
    """The client is gone: what is left to do goes on without it."""


@dataclass(slots=True, eq=False)
class Gateway:
    """`hall` decides what an exchange is; this class moves its bytes."""

    hall: Hall
    recorder: Recorder
    client: UpstreamClient
    max_body_bytes: int = 64 * 1024 * 1024
    admission: Admission = field(default_factory=Admission)
    hop_secret: str = ""
    keys: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By upstream: the header with the key that the proxy holds in place of the agents."""
    asking: Asking = field(default_factory=Asking)
    _runners: list[web.ServerRunner] = field(default_factory=list)
    _leftovers: set[asyncio.Task[None]] = field(default_factory=set)
    _under_way: UnderWay = field(default_factory=UnderWay)

    async def listen(self, host: str, port: int, *, door: Door = "base_url") -> int:
        """Listen; returns the bound port. OperatorError if that is not possible, or not safe without a token."""
        if self.admission.access_token is None and not is_loopback(host):
            raise OperatorError(
                f"listening on {host} would let anyone on the network use your keys",
                hint="set access_token in the configuration, or listen on 127.0.0.1",
            )
        handler = self._through_proxy if door == "proxy" else self._base_url
        server = web.Server(
            handler,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=_CUT_S)
        await runner.setup()
        site = web.TCPSite(runner, host, port, backlog=1024)
        try:
            await site.start()
        except OSError as e:
            await runner.cleanup()
            raise OperatorError(
                f"cannot listen on {host}:{port}: {e.strerror or e}", hint="another program has it: choose another port"
            ) from None
        self._runners.append(runner)
        return bound_port(runner)

    async def drain(self, at_most_s: float) -> None:
        """Take no new connections, and let exchanges under way end. Nobody is waited for who is to decide."""
        self.asking.close()
        for runner in self._runners:
            for site in list(runner.sites):
                await site.stop()
            if runner.server is not None:
                runner.server.pre_shutdown()  # a connection that is kept alive would bring new exchanges
        await self._under_way.idle(at_most_s)

    async def close(self) -> None:
        """Stop listening; what is still under way is cut and written down."""
        self.asking.close()
        for runner in self._runners:
            await runner.cleanup()
        while self._leftovers:
            await asyncio.wait(self._leftovers)

    def busy(self) -> int:
        """How many exchanges are under way."""
        return self._under_way.total

    async def quiet(self, session: str) -> None:
        """Return once no exchange of `session` is under way, and all of it that is to be recorded is."""
        await self._under_way.quiet(session)

    async def _base_url(self, request: web.BaseRequest) -> web.StreamResponse:
        if (refused := self.admission.refusal(request)) is not None:
            return refused
        return await self._serve(request, Visitor.from_headers(request.headers, request.remote), None)

    async def _through_proxy(self, request: web.BaseRequest) -> web.StreamResponse:
        """Only the proxy door may come in here: it proves itself with this process's secret."""
        given = request.headers.get("x-ironcage-hop", "")
        if not self.hop_secret or not is_same(given, self.hop_secret):
            return plain_error(403, "route_refused", "this port is for the proxy door")
        target = request.headers.get("x-ironcage-target", "")
        return await self._serve(request, Visitor.from_headers(request.headers, request.remote), target)

    async def _serve(self, request: web.BaseRequest, visitor: Visitor, target: str | None) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            destination = self.hall.destination(request.method, request.raw_path, visitor, target)
        except ClientError as e:
            return self.admission.not_a_name(e)
        body = b""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            destination = turned_away(destination, 426, NO_WEBSOCKETS)
        elif (whole := await self._body(request)) is None:
            why = f"The body is larger than {self.max_body_bytes} bytes, the most that is read (max_body_bytes)."
            destination = turned_away(destination, 413, Refuse("unreadable_body", "max_body_bytes", why))
        else:
            body = whole
        try:
            exchange, destination = self.hall.exchange(
                destination, visitor, "proxy" if target is not None else "base_url"
            )
        except ClientError as e:
            return self.admission.not_a_name(e)
        live = _Live(exchange, request, destination, loop, began_s)
        session = destination.session or ""
        self._under_way.begins(session)
        try:
            return await self._served(live, body)
        finally:
            self._under_way.ends(session)

    async def _served(self, live: _Live, body: bytes) -> web.StreamResponse:
        request, destination, exchange = live.request, live.destination, live.exchange
        headers = forwarded(request.raw_headers, judged=destination.route.is_judged or exchange.reviews)
        if self.admission.access_token is not None:
            headers = without_token(headers, self.admission.access_token)
        try:
            await self._drive(live, RequestArrived(headers, body, 0.0))
            await self._pump(live)
        except asyncio.CancelledError:
            self._left(live)
            raise
        except ConnectionResetError:  # the client's socket; the exchange is told as if it had closed in order
            self._left(live)
        except Exception:  # one of three broad excepts: a bug of ours must not let anything through
            await self._broke(live)
        finally:
            if live.upstream is not None:
                live.upstream.close()
        if live.reply is not None and live.reply.status == 426:
            live.reply.headers["Upgrade"] = "HTTP/1.1"  # RFC 9110, section 15.5.22
        return live.reply if live.reply is not None else plain_error(500, "policy_failed", "nothing was decided")

    async def _body(self, request: web.BaseRequest) -> bytes | None:
        """The whole body; None if it is too large."""
        length = request.content_length
        if length is not None and length > self.max_body_bytes:
            return None
        if not request.body_exists:
            return b""
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # the client waits for it with its body
        first = await request.content.readany()
        if length is not None and len(first) == length:
            return first
        parts, size = [first], len(first)
        while size <= self.max_body_bytes:
            data = await request.content.readany()
            if not data:
                return b"".join(parts)
            parts.append(data)
            size += len(data)
        return None

    # --- driving ---

    def _at(self, live: _Live) -> float:
        return live.loop.time() - live.began_s

    async def _drive(self, live: _Live, arrival: Arrival) -> None:
        effects = live.exchange.receive(arrival)
        if effects:
            await self._perform_all(live, effects)

    async def _perform_all(self, live: _Live, effects: list[Effect]) -> None:
        live.undone.extend(effects)
        while live.undone:
            effect = live.undone.popleft()
            if live.is_gone and isinstance(effect, _FOR_CLIENT):
                continue
            arrival = await self._perform(live, effect)
            if arrival is not None:
                live.undone.extend(live.exchange.receive(arrival))

    async def _perform(self, live: _Live, effect: Effect) -> Arrival | None:
        match effect:
            case SendPart(data):
                if live.reply is not None:
                    await live.reply.write(data)
            case Commit() | Detect() | AskApproval():
                return await self._reported(live, effect)
            case Forward():
                live.forward = effect
            case BeginReply(status, headers):
                live.reply = web.StreamResponse(status=status, headers=CIMultiDict(returned(headers)))
                await live.reply.prepare(live.request)
            case Respond(status, headers, body):
                live.reply = web.Response(status=status, headers=CIMultiDict(returned(headers, whole=True)), body=body)
            case EndReply():
                if live.reply is not None:
                    await live.reply.write_eof()
            case StopUpstream():
                live.wants_upstream = False
            case BreakConnection():
                if live.request.transport is not None:
                    live.request.transport.abort()
        return None

    async def _reported(self, live: _Live, effect: Commit | Detect | AskApproval) -> Arrival:
        match effect:
            case Commit(attempt):
                return await self._commit(live, attempt)
            case Detect(texts):
                return await self._detect(live, texts)
            case AskApproval():
                return await self._ask_people(live, effect)

    async def _commit(self, live: _Live, attempt: Attempt) -> Arrival:
        self.hall.tell(attempt)
        try:
            await self.recorder.commit(attempt)
        except StoreError:
            log.exception("an attempt could not be recorded")
            return CommitFailed(self._at(live))
        if self.hall.heard is not None:
            self.hall.heard(attempt)
        return Committed(self._at(live))

    async def _pump(self, live: _Live) -> None:
        """Ask the upstream and feed its reply to the exchange until that wants no more."""
        forward = live.forward
        if forward is None:
            return
        try:
            reply = await self._ask(live, forward)
            live.upstream = reply
            await self._drive(live, ReplyBegan(reply.status, reply.headers, self._at(live), reply.length))
            while data := await reply.next_part():
                await self._drive(live, ReplyPart(data, self._at(live)))
                if not live.wants_upstream or live.exchange.state is State.DONE:
                    return
        except UpstreamBroke as e:
            await self._drive(live, UpstreamFailed(e.kind, str(e), self._at(live)))
            return
        await self._drive(live, ReplyEnded(self._at(live)))

    async def _ask(self, live: _Live, forward: Forward) -> Answer:
        street = self.hall.streets.get(live.destination.session or "")
        send_on, route = partial(self._send_on, live), live.destination.route
        if street is None or (route.kind == "web" and route.wire != "mcp"):
            return await send_on(forward)
        return await (street.ask if route.kind == "model" else street.ask_tool)(forward, send_on)

    async def _send_on(self, live: _Live, forward: Forward) -> Answer:
        upstream = self.hall.upstream(forward.upstream)
        headers, path = forward.headers, forward.path
        if (key := self.keys.get(forward.upstream)) is not None:
            headers = with_key(headers, key)
            if live.destination.route.kind != "tool":
                path = without_keys(path)
        patience = Patience(upstream.connect_timeout_s, upstream.idle_timeout_s) if upstream else Patience()
        return await self.client.ask(
            forward.method,
            live.destination.base_url + path,
            headers,
            forward.body,
            patience=patience,
            ca_file=upstream.ca_file if upstream else None,
            is_named=upstream is not None,
        )

    async def _detect(self, live: _Live, texts: tuple[tuple[str, str], ...]) -> Arrival:
        redactor = self.hall.redactor
        try:
            if redactor is not None:
                if sum(len(text) for text, _ in texts) < _INLINE_CHARACTERS:
                    redactor.search(texts)
                else:
                    await asyncio.get_running_loop().run_in_executor(None, redactor.search, texts)
        except ClientError as e:  # the text is one that redaction does not take
            return DetectionFailed(self._at(live), f"{e}. {e.hint}." if e.hint else f"{e}.")
        except Exception:  # whatever a detector raises: doubt refuses, and its message may quote what it read
            log.error("a detector could not finish")  # noqa: TRY400 - see above
            return DetectionFailed(self._at(live))
        return Detected(self._at(live))

    async def _ask_people(self, live: _Live, effect: AskApproval) -> Arrival:
        async def still_waiting() -> None:
            if live.reply is not None and effect.keep_alive:
                await live.reply.write(effect.keep_alive)

        approver = self.hall.approver_of(effect.asked[0].session)
        if approver is None:
            return Decided({}, self._at(live))
        decisions = await self.asking.decisions(approver, effect.asked, still_waiting)
        return Decided(decisions, self._at(live))

    def _left(self, live: _Live) -> None:
        """The client is gone: what is to be written down goes on without it."""
        live.is_gone = True
        session = live.destination.session or ""
        self._under_way.begins(session)
        task = asyncio.get_running_loop().create_task(self._finished(live))
        self._leftovers.add(task)
        task.add_done_callback(self._leftovers.discard)
        task.add_done_callback(lambda _: self._under_way.ends(session))

    async def _finished(self, live: _Live) -> None:
        try:
            # also what was asked for and not yet done when it left: an attempt is written down in any case
            await self._perform_all(live, live.exchange.receive(ClientLeft(self._at(live))))
        except Exception:  # as above: it is written down as what it is, and its budgets settle
            await self._broke(live)

    async def _broke(self, live: _Live) -> None:
        log.exception("an exchange broke")
        await self._perform_all(live, live.exchange.broken(self._at(live)))
