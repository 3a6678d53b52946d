"""The attempt of one exchange as it grows, until it is written down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

from policies.redaction.secrets import without_secrets
from proxy.arrivals import Headers, ReplyBegan, RequestArrived
from proxy.operation import Operation, Recorded, Route
from proxy.wire.format import Rendered
from trajectory.events import End
from trajectory.record import Attempt, Body, Door, Span, VerdictNote

# Headers that say something about an attempt. Everything else stays unrecorded: credentials above all.
_KEPT_REQUEST = frozenset({"user-agent", "content-type", "x-stainless-retry-count"})
_KEPT_REPLY = frozenset(
    {"content-type", "retry-after", "retry-after-ms", "x-should-retry", "x-request-id", "request-id"}
)
_MAX_VALUE = 256  # characters


@dataclass(slots=True, eq=False)
class AttemptDraft:
    """`id` is the attempt's; `started_at` is Unix seconds. The time that it waited for people is told apart."""

    id: str
    route: Route
    door: Door
    started_at: float
    trajectory: str = ""
    operation_id: str = ""
    number: int = 1
    status: int | None = None
    error: str | None = None
    first_byte_s: float | None = None
    waited_s: float = 0.0
    waits_since_s: float | None = None
    request_bytes: int = 0
    reply_bytes: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)
    _own_reply: bytes | None = None
    _without_request: bool = False

    def request_arrived(self, request: RequestArrived) -> None:
        self.request_bytes = len(request.body)
        self.headers += [(f"request.{n}", v) for k, v in request.headers if (n := k.lower()) in _KEPT_REQUEST]

    def read(self, operation: Operation) -> None:
        self.route = operation.route
        self.trajectory = operation.memory.id
        self.operation_id, self.number = operation.memory.attempt_of(operation.digest, self.id)

    def reply_began(self, head: ReplyBegan) -> None:
        self.status = head.status
        self.first_byte_s = head.at_s - self.waited_s
        self.headers += [(n, v) for k, v in head.headers if (n := k.lower()) in _KEPT_REPLY]

    def waits(self, at_s: float) -> None:
        self.waits_since_s = at_s

    def goes_on(self, at_s: float) -> None:
        if self.waits_since_s is not None:
            self.waited_s += at_s - self.waits_since_s
            self.waits_since_s = None

    def answered(self, rendered: Rendered) -> None:
        """The proxy answers by itself: that is what the client's view holds."""
        self._own_reply = rendered.body
        self.status = self.status or rendered.status

    def leave_out_request(self, why: str) -> None:
        self._without_request = True
        self.extra["request_left_out"] = why

    def leave_out_reply(self, why: str) -> None:
        self.extra["reply_left_out"] = why

    def restored(self, operation: Operation) -> int:
        return int(operation.extra().get("restored", "0"))

    def reply_headers(self) -> Headers:
        return (("x-ironcage-trajectory", self.trajectory), ("x-ironcage-step", self.operation_id or self.id))

    def attempt(
        self, operation: Operation, recorded: Recorded, end: End, notes: tuple[VerdictNote, ...], at_s: float
    ) -> Attempt:
        memory = operation.memory
        self.goes_on(at_s)
        client = recorded.client
        if self._own_reply is not None and not self._without_request:
            client = (Span.of(operation.masked(self._own_reply.decode()).encode()),)
        request: Body = () if self._without_request else operation.sent
        if recorded.note:
            self.extra["reply_note"] = recorded.note
        if self.waited_s:
            self.extra["waited_s"] = f"{self.waited_s:.3f}"
        return Attempt(
            id=self.id,
            operation=self.operation_id or self.id,
            trajectory=memory.id,
            session=memory.session,
            number=self.number,
            kind=self.route.kind,
            door=self.door,
            wire=self.route.wire,
            upstream=self.route.upstream,
            host=self.route.host,
            method=self.route.method,
            path=self._path(operation),
            started_at=self.started_at,
            end=end,
            status=self.status,
            error=self.error,
            first_byte_s=self.first_byte_s,
            total_s=at_s - self.waited_s,
            request=request,
            reply=recorded.upstream,
            client_reply=client,
            request_bytes=self.request_bytes,
            reply_bytes=self.reply_bytes,
            digest=operation.digest,
            streamed=operation.streamed,
            model=operation.model,
            tools=operation.tools,
            answer=recorded.answer,
            tool=recorded.tool,
            verdicts=tuple(self._masked(note, operation) for note in notes),
            headers=self._headers(operation),
            task=memory.task,
            agent=memory.agent,
            matched_by=operation.matched_by,
            extra={**operation.extra(), **self.extra},
        )

    def _headers(self, operation: Operation) -> Headers:
        """Any text can stand in a `User-Agent`: where the request could not be searched, that was not, either."""
        if self._without_request:
            return ()
        return tuple((name, operation.masked(_legible(value[:_MAX_VALUE]))) for name, value in self.headers)

    def _path(self, operation: Operation) -> str:
        if not self._without_request:
            return operation.path_recorded()
        # a model's paths are known ones; any other may hold what was not searched
        return self.route.path.partition("?")[0] if self.route.kind == "model" else ""

    def _masked(self, note: VerdictNote, operation: Operation) -> VerdictNote:
        """Messages and subjects quote names that a model, an agent or a path has chosen."""
        if self._without_request:
            return note
        return replace(note, message=operation.masked(note.message), subject=operation.masked(note.subject))


@lru_cache(maxsize=256)  # most are those of the exchange before
def _legible(value: str) -> str:
    """Without secrets, also where no redaction is set up; bytes that are no UTF-8 as question marks."""
    return without_secrets(value.encode("utf-8", "replace").decode())
