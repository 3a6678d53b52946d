"""One HTTP exchange as a state machine without I/O: arrivals in, effects out.

1. Nothing reaches the upstream before policy has judged the request, and nothing unjudged reaches the client.
2. The last part of a reply waits until the attempt is durably recorded.
3. Each budget is reserved before bytes move; the attempt's end settles it.
4. Whatever goes wrong here or in a rule becomes a refusal in the client's own dialect, and is recorded.
5. Where people decide on calls, what holds them waits, and is then judged once more with what was decided.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from policies.engine import Engine
from policies.verdict import AskPerson, Code, Refuse, Verdict
from proxy.answers import answer, ending, keep_alive
from proxy.arrivals import (
    Arrival,
    ClientLeft,
    CommitFailed,
    Committed,
    Decided,
    Detected,
    DetectionFailed,
    Headers,
    ReplyBegan,
    ReplyEnded,
    ReplyPart,
    RequestArrived,
    UpstreamFailed,
)
from proxy.coding import Coding
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
from proxy.encoding import TooLargeError
from proxy.exchange_states import TRANSITIONS, State
from proxy.judging import Judging, told
from proxy.operation import Operation, Recorded, Route
from proxy.recording import AttemptDraft
from proxy.wire.format import RefusedReplyError, Rendered, StreamStep
from trajectory.errors import ClientError, FormatError
from trajectory.events import End
from trajectory.record import VerdictNote

_CLOSING = (EndReply, Respond, BreakConnection)  # effects behind which the client gets nothing more


@dataclass(slots=True, eq=False)
class Exchange:
    """`operation` is what it carries, `draft` what will be written of it. Bugs of ours are raised: call `broken`."""

    route: Route
    operation: Operation
    engine: Engine
    draft: AttemptDraft
    reviews: bool = False
    """Redaction is on: replies are searched before they are written down."""

    coding: Coding = field(default_factory=lambda: Coding(64 * 1024 * 1024, is_judged=True))
    refused: Refuse | None = None
    """Set where there is nothing to judge: the place that was asked for is not served."""
    state: State = State.NEW
    judging: Judging = field(init=False)
    _end: End = "complete"
    _final: list[Effect] = field(default_factory=list)
    _body: bytes = b""
    """Of the request, as it is sent on."""
    _parts: list[bytes] = field(default_factory=list)
    _status: int = 200
    _headers: Headers = ()
    _began: bool = False
    _unsearched: bool = False
    """Personal data was not, or could not be, looked for: nothing of what was said is written down."""
    _now_s: float = 0.0
    _waits: tuple[State, Callable[[], list[Effect]]] = (State.NEW, list)
    """While people decide: what the exchange was doing, and what goes on from there with their decisions."""

    def __post_init__(self) -> None:
        self.judging = Judging(self.engine, self.operation)

    @property
    def notes(self) -> list[VerdictNote]:
        return self.judging.notes

    def receive(self, arrival: Arrival) -> list[Effect]:
        handler = TRANSITIONS.get((self.state, type(arrival)))
        if handler is None:
            return []
        self._now_s = arrival.at_s
        effects: list[Effect] = getattr(self, handler)(arrival)
        return effects

    def broken(self, at_s: float) -> list[Effect]:
        """A bug of our own came up. Doubt refuses: end it like a rule that failed."""
        self._now_s = at_s
        if self.state in (State.COMMITTING, State.CLOSING, State.DONE):
            self.state = State.DONE
            return [StopUpstream(), BreakConnection()]
        message = "ironcage could not judge this exchange, so it is refused. The proxy's log says where."
        self._unsearched = True  # whatever broke may be what would mask it
        refused = Refuse("policy_failed", "exchange", message)
        if not self._began:
            return [StopUpstream(), *self._refuse(refused)]
        self.judging.note("cut", refused.rule, refused.code, message)
        return self._cut(refused.code, message, "refused")

    # --- the request ---

    def _request(self, arrival: RequestArrived) -> list[Effect]:
        operation = self.operation
        self._headers = arrival.headers
        self.draft.request_arrived(arrival)
        try:
            operation.read(self.coding.opened(arrival))
        except FormatError as e:
            self.draft.read(operation)
            why = f"The request cannot be judged: {e}. Send one well-formed JSON object."
            self._unsearched = self.reviews
            status = 413 if isinstance(e, TooLargeError) else None
            return self._refuse(Refuse("unreadable_body", "route", why), status)
        self.draft.read(operation)
        if self.refused is not None:
            return self._refuse(self.refused)
        if self.reviews and (texts := operation.texts()):
            self.state = State.DETECTING
            return [Detect(texts)]
        return self._judge()

    def _search_failed(self, failure: DetectionFailed) -> list[Effect]:
        self._unsearched = True
        if failure.message:
            return self._refuse(Refuse("sensitive_data_refused", "redaction", failure.message))
        message = "The request could not be searched for personal data, so it is refused. The proxy's log says where."
        return self._refuse(Refuse("policy_failed", "redaction", message))

    def _judge(self, _: Detected | None = None) -> list[Effect]:
        operation = self.operation
        verdict = self.judging.asked()
        try:
            body = operation.seal()
        except ClientError as e:  # masking declined: more values than a session may hold
            return self._search_failed(DetectionFailed(self._now_s, told(e)))
        self._headers, self._body = self.coding.sealed(self._headers, body)
        counts = operation.mask_counts()
        if counts:
            self.judging.note_counts("masked", "put pseudonyms in place of personal data", counts)
        return self._send_on(verdict)

    def _send_on(self, verdict: Verdict) -> list[Effect]:
        if isinstance(verdict, AskPerson):
            return self._ask_people(lambda: self._send_on(self.judging.asked()))
        refused = verdict if isinstance(verdict, Refuse) else self.judging.sent(len(self._body))
        if refused is not None:
            return self._refuse(refused)
        self.draft.request_bytes = len(self._body)
        self.state = State.ASKED
        return [Forward(self.route.upstream, self.route.method, self.route.path, self._headers, self._body)]

    # --- the reply ---

    def _reply_began(self, head: ReplyBegan) -> list[Effect]:
        self._status = head.status
        self.draft.reply_began(head)
        try:
            head = self.coding.began(head)
        except FormatError as e:
            return self._upstream_error(502, "upstream_unreadable", f"The upstream's reply cannot be judged: {e}.")
        # only the proxy itself speaks in these names
        self._headers = tuple((k, v) for k, v in head.headers if not k.lower().startswith("x-ironcage-"))
        if self.operation.reply_began(head, self.judging):
            self.state = State.COLLECTING
            return []
        self.state = State.FLOWING
        self._began = True
        headers = self._headers
        if self.route.is_judged:
            # an edit changes the length, and a client that knows it would not wait for the record
            headers = tuple((k, v) for k, v in headers if k.lower() != "content-length")
        return [BeginReply(head.status, (*headers, *self.draft.reply_headers()))]

    def _collect(self, part: ReplyPart) -> list[Effect]:
        if (refused := self._received(part)) is not None:
            return [StopUpstream(), *self._refuse(refused)]
        if self.draft.reply_bytes > (most := self.coding.max_bytes):
            return self._upstream_error(502, "upstream_unreadable", f"The reply is larger than {most} bytes.")
        self._parts.append(part.data)
        return []

    def _collected(self, _: ReplyEnded | None = None) -> list[Effect]:
        headers, body = self._headers, b"".join(self._parts)
        refused: Refuse | None = None
        noted = len(self.notes)
        self.judging.questions.read_again()
        try:
            plain = self.coding.whole(body)
            client = self.operation.whole(plain, self.judging)
            headers, body = self.coding.unchanged(headers, body, plain) if client is plain else (headers, client)
        except RefusedReplyError as e:
            refused = e.refused
            self.notes[:] = [note for note in self.notes if note.message != e.refused.message]
        except FormatError as e:
            return self._upstream_error(502, "upstream_unreadable", f"The upstream's reply cannot be judged: {e}.")
        if self.judging.questions.are_open:
            del self.notes[noted:]  # they are made anew
            return self._ask_people(self._collected)
        if refused is not None:
            return self._refuse(refused)
        self._end = "failed" if self._status >= 400 or self.operation.has_failed else "complete"
        return self._record([Respond(self._status, (*headers, *self.draft.reply_headers()), body)])

    def _flow(self, part: ReplyPart) -> list[Effect]:
        refused = self._received(part)
        if refused is not None:
            self.judging.note("cut", refused.rule, refused.code, refused.message, refused.subject)
            return self._cut(refused.code, refused.message, "refused")
        try:
            data = self.coding.part(part.data)
            step = self.operation.part(data) if data else StreamStep()
        except FormatError as e:
            return self._cut("upstream_unreadable", f"The upstream's stream cannot be judged: {e}.", "cut")
        return self._pass_on(step)

    def _flowed(self, _: ReplyEnded) -> list[Effect]:
        return self._read_on(is_over=True)

    def _read_on(self, *, is_over: bool) -> list[Effect]:
        """What comes of what is there already: the upstream's reply is over, or people have decided on calls in it."""
        try:
            if is_over:
                self.coding.ended()
            step = self.operation.end() if is_over else self.operation.part(b"")
        except FormatError as e:
            return self._cut("upstream_unreadable", f"The upstream's stream cannot be judged: {e}.", "cut")
        return self._pass_on(step, is_over=is_over)

    def _pass_on(self, step: StreamStep, *, is_over: bool = False) -> list[Effect]:
        effects: list[Effect] = [SendPart(step.send)] if step.send else []
        if step.asks:
            return [*effects, *self._ask_people(lambda: self._read_on(is_over=is_over))]
        if not (step.last or is_over):
            return effects
        self._end = self._ended()
        last: list[Effect] = [SendPart(step.last)] if step.last else []
        return [*effects, *self._record([*last, EndReply()] if is_over else last)]

    def _flow_broke(self, failure: UpstreamFailed) -> list[Effect]:
        self.draft.error = f"{failure.kind}: {failure.message}"
        return self._cut(f"upstream_{failure.kind}", f"The upstream broke off its reply: {failure.message}.", "cut")

    def _no_reply(self, failure: UpstreamFailed) -> list[Effect]:
        self.draft.error = f"{failure.kind}: {failure.message}"
        status = 504 if failure.kind == "timeout" else 502
        said = f"The upstream {self.route.upstream!r} did not answer: {failure.message}."
        return self._upstream_error(status, f"upstream_{failure.kind}", said)

    def _ended(self) -> End:
        if self._status >= 400 or self.operation.has_failed:
            return "failed"
        return "complete" if self.operation.is_finished else "cut"

    # --- people who decide ---

    def _ask_people(self, then: Callable[[], list[Effect]]) -> list[Effect]:
        self._waits = (self.state, then)
        self.state = State.ASKING
        self.draft.waits(self._now_s)
        if self.reviews:  # what they are shown is masked
            return [Detect(self.judging.questions.texts())]
        return self._ask()

    def _ask(self, _: Detected | None = None) -> list[Effect]:
        asked = self.judging.to_ask(self.draft.id, self.draft.started_at + self._now_s)
        if not asked:
            return self._decided(Decided({}, self._now_s))
        return [AskApproval(asked, keep_alive(self.route.wire, self._headers) if self._began else b"")]

    def _decided(self, arrival: Decided | DetectionFailed) -> list[Effect]:
        self.judging.decided(arrival.decisions if isinstance(arrival, Decided) else {})
        self.draft.goes_on(self._now_s)
        self.state, go_on = self._waits
        return go_on()

    # --- endings ---

    def _left_early(self, _: ClientLeft) -> list[Effect]:
        """The client went before anything was sent on: there is nothing to write down of it."""
        self.state = State.DONE
        return []

    def _left(self, _: ClientLeft) -> list[Effect]:
        self._end = "aborted"
        return [StopUpstream(), *self._record([])]

    def _left_under_review(self, _: ClientLeft) -> list[Effect]:
        """The reply is all here, but the last of it was never released."""
        self._end = "aborted"
        self._final = []
        return [Detect(self.operation.record_texts())]

    def _refuse(self, refused: Refuse, status: int | None = None) -> list[Effect]:
        self.judging.note("refuse", refused.rule, refused.code, refused.message, refused.subject)
        self._end = "refused"
        if refused.ending == "final_message":
            final = self.operation.final_message(refused.message)
            if final is not None:
                return self._answer(final, refused.code)
        status = status or self.operation.refusal_status
        return self._answer(self.operation.error(status, refused.code, refused.message), refused.code)

    def _upstream_error(self, status: int, code: str, message: str) -> list[Effect]:
        self._end = "failed"
        self.draft.error = self.draft.error or f"{code}: {message}"
        return [StopUpstream(), *self._answer(self.operation.error(status, code, message), None)]

    def _answer(self, rendered: Rendered, code: Code | None) -> list[Effect]:
        self.draft.answered(rendered)
        return self._record([answer(rendered, code, self.draft.reply_headers())])

    def _cut(self, code: str, message: str, end: End) -> list[Effect]:
        """A reply in progress fails with its format's own error event, never by a silent cut."""
        self._end = end
        self.draft.error = self.draft.error or f"{code}: {message}"
        return [StopUpstream(), *self._record(ending(self.operation.error_event(code, message)))]

    def _record(self, final: list[Effect]) -> list[Effect]:
        self._final = final
        self.judging.withdraw()
        if self._unsearched:
            return self._commit(Recorded(()))
        texts = self.operation.record_texts() if self.reviews and self._end != "refused" else ()
        if texts:
            self.state = State.REVIEWING
            return [Detect(texts)]
        return self._commit(self.operation.recorded())

    def _reviewed(self, _: Detected) -> list[Effect]:
        return self._commit(self.operation.recorded())

    def _review_failed(self, _: DetectionFailed) -> list[Effect]:
        self._unsearched = True
        self.draft.leave_out_reply("the reply could not be searched for personal data")
        return self._commit(Recorded(()))

    def _commit(self, recorded: Recorded) -> list[Effect]:
        restored = self.draft.restored(self.operation)
        if restored:
            self.judging.note(
                "rewrite", "redaction", "restored", "put values back in place of pseudonyms", count=restored
            )
        if self._unsearched:
            self.draft.leave_out_request("it was not searched for personal data, or could not be masked")
        self.draft.extra |= self.coding.extra()
        attempt = self.draft.attempt(self.operation, recorded, self._end, tuple(self.notes), self._now_s)
        self.state = State.COMMITTING
        self.operation.memory.ended(self.operation.digest, attempt.operation, failed=self._end != "complete")
        self.judging.settle(attempt)
        self.operation.settled(delivered=self._end == "complete")
        return [Commit(attempt)]

    def _committed(self, _: Committed) -> list[Effect]:
        final, self._final = self._final, []
        closes = not final or isinstance(final[-1], _CLOSING)
        self.state = State.DONE if closes else State.CLOSING
        return final

    def _commit_failed(self, _: CommitFailed) -> list[Effect]:
        """What cannot be written down is not delivered."""
        self.state = State.DONE
        message = (
            "The record of this exchange cannot be written, so its reply is withheld. Try again once the store is back."
        )
        code: Code = "recording_unavailable"
        if self._began:
            return [StopUpstream(), *ending(self.operation.error_event(code, message))]
        return [answer(self.operation.error(self.operation.refusal_status, code, message), code)]

    def _trailing(self, part: ReplyPart) -> list[Effect]:
        """Bytes behind the format's own terminator mean nothing to a client; they are not passed on."""
        return []

    def _closed(self, _: Arrival) -> list[Effect]:
        self.state = State.DONE
        return [EndReply()]

    def _received(self, part: ReplyPart) -> Refuse | None:
        self.draft.reply_bytes += len(part.data)
        return self.judging.received(len(part.data))
