"""What the tests in tests/proxy/test_exchange.py and test_exchange_stories.py share."""

from __future__ import annotations

from policies.approvals.rule import Approvals
from policies.approvals.settings import ApprovalSettings
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
from proxy.effects import (
    AskApproval,
    BeginReply,
    Commit,
    Detect,
    EndReply,
    Forward,
    Respond,
    SendPart,
    StopUpstream,
)
from proxy.exchange_states import State
from tests.support.detecting import EmailDetector, redactor
from tests.support.driving import (
    DONE,
    JSON,
    STREAM,
    Driven,
    asking,
    completion,
    event,
    hall,
    rules,
)

EMAIL = "bob@example.org"
REQUEST = RequestArrived((), asking(f"mail {EMAIL}"))
STREAMED = ReplyBegan(200, STREAM, 0.1)
WHOLE = ReplyBegan(200, JSON, 0.1, 10)
TEXT = ReplyPart(event({"content": "hello "}), 0.2)
ALL = ReplyPart(completion(f"to {EMAIL}"), 0.2)
PAY = ReplyPart(completion(calls=(("c1", "pay", f'{{"to": "{EMAIL}"}}'),)), 0.2)
RESET = UpstreamFailed("reset", "the connection closed", 0.5)

# How to bring an exchange with redaction into each state.
WAY_TO: dict[State, tuple[Arrival, ...]] = {
    State.NEW: (),
    State.DETECTING: (REQUEST,),
    State.ASKED: (REQUEST, Detected(0)),
    State.COLLECTING: (REQUEST, Detected(0), WHOLE),
    State.FLOWING: (REQUEST, Detected(0), STREAMED),
    State.ASKING: (REQUEST, Detected(0), WHOLE, PAY, ReplyEnded(0.3)),
    State.REVIEWING: (REQUEST, Detected(0), WHOLE, ALL, ReplyEnded(0.3)),
    State.COMMITTING: (REQUEST, Detected(0), WHOLE, ALL, ReplyEnded(0.3), Detected(0.4)),
    State.CLOSING: (REQUEST, Detected(0), STREAMED, ReplyPart(event({}, "stop") + DONE, 0.2), Committed(0.3)),
}
# For each row: what arrives, the state after it, the effects, and how the attempt ends where it is written down now.
ROWS: dict[tuple[State, type], tuple[Arrival, State, list[type], str | None]] = {
    (State.NEW, RequestArrived): (REQUEST, State.DETECTING, [Detect], None),
    (State.NEW, ClientLeft): (ClientLeft(0), State.DONE, [], None),
    (State.DETECTING, Detected): (Detected(0), State.ASKED, [Forward], None),
    (State.DETECTING, DetectionFailed): (DetectionFailed(0), State.COMMITTING, [Commit], "refused"),
    (State.DETECTING, ClientLeft): (ClientLeft(0), State.DONE, [], None),
    (State.ASKED, ReplyBegan): (STREAMED, State.FLOWING, [BeginReply], None),
    (State.ASKED, UpstreamFailed): (RESET, State.COMMITTING, [StopUpstream, Commit], "failed"),
    (State.ASKED, ClientLeft): (ClientLeft(0), State.COMMITTING, [StopUpstream, Commit], "aborted"),
    (State.COLLECTING, ReplyPart): (ALL, State.COLLECTING, [], None),
    (State.COLLECTING, ReplyEnded): (ReplyEnded(0), State.COMMITTING, [StopUpstream, Commit], "failed"),
    (State.COLLECTING, UpstreamFailed): (RESET, State.COMMITTING, [StopUpstream, Commit], "failed"),
    (State.COLLECTING, ClientLeft): (ClientLeft(0), State.COMMITTING, [StopUpstream, Commit], "aborted"),
    (State.FLOWING, ReplyPart): (TEXT, State.FLOWING, [SendPart], None),
    (State.FLOWING, ReplyEnded): (ReplyEnded(0), State.COMMITTING, [Commit], "cut"),
    (State.FLOWING, UpstreamFailed): (RESET, State.COMMITTING, [StopUpstream, Commit], "cut"),
    (State.FLOWING, ClientLeft): (ClientLeft(0), State.COMMITTING, [StopUpstream, Commit], "aborted"),
    (State.ASKING, Detected): (Detected(0), State.ASKING, [AskApproval], None),
    (State.ASKING, DetectionFailed): (DetectionFailed(0), State.REVIEWING, [Detect], None),
    (State.ASKING, Decided): (Decided({}, 0), State.REVIEWING, [Detect], None),
    (State.ASKING, ClientLeft): (ClientLeft(0), State.REVIEWING, [StopUpstream, Detect], None),
    (State.REVIEWING, Detected): (Detected(0), State.COMMITTING, [Commit], "complete"),
    (State.REVIEWING, DetectionFailed): (DetectionFailed(0), State.COMMITTING, [Commit], "complete"),
    (State.REVIEWING, ClientLeft): (ClientLeft(0), State.REVIEWING, [Detect], None),
    (State.COMMITTING, Committed): (Committed(0), State.DONE, [Respond], None),
    (State.COMMITTING, CommitFailed): (CommitFailed(0), State.DONE, [Respond], None),
    (State.CLOSING, ReplyPart): (TEXT, State.CLOSING, [], None),
    (State.CLOSING, ReplyEnded): (ReplyEnded(0), State.DONE, [EndReply], None),
    (State.CLOSING, UpstreamFailed): (RESET, State.DONE, [EndReply], None),
}
ARRIVALS: tuple[Arrival, ...] = (
    REQUEST, Detected(0), DetectionFailed(0), STREAMED, WHOLE, TEXT, ALL, ReplyPart(event({}, "stop") + DONE, 0),
    ReplyEnded(0), RESET, Decided({}, 0), ClientLeft(0), Committed(0), CommitFailed(0),
)  # fmt: skip


def driven(*arrivals: Arrival, detector: EmailDetector | None = None) -> Driven:
    """Detection is answered by hand, but done: what is `Detected` is in the redactor's memory."""
    approvals = Approvals(ApprovalSettings.model_validate({"tools": {"pay": {}}}))
    made = Driven(hall(*rules(), approvals, redactor=redactor(detector)), by_hand=True)
    made.give(*arrivals)
    return made
