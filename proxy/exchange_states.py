"""What an exchange can be doing, and what may happen then."""

from __future__ import annotations

from enum import Enum, auto

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


class State(Enum):
    NEW = auto()
    DETECTING = auto()  # the request's texts are being searched
    ASKED = auto()  # the upstream has the request
    COLLECTING = auto()  # a whole reply arrives
    FLOWING = auto()  # a reply arrives and goes on part by part
    ASKING = auto()  # people decide on calls in the request or the reply
    REVIEWING = auto()  # the reply's texts are being searched before they are written down
    COMMITTING = auto()  # the attempt is being written down
    CLOSING = auto()  # all is delivered; the upstream may still have trailing bytes
    DONE = auto()

    # Enum's own is a function in Python, and each arrival looks its state up
    __hash__ = object.__hash__


# Every legal transition. An arrival without a row here is late news of something already decided, and has no effect.
TRANSITIONS: dict[tuple[State, type[Arrival]], str] = {
    (State.NEW, RequestArrived): "_request",
    (State.DETECTING, Detected): "_judge",
    (State.DETECTING, DetectionFailed): "_search_failed",
    (State.ASKED, ReplyBegan): "_reply_began",
    (State.ASKED, UpstreamFailed): "_no_reply",
    (State.COLLECTING, ReplyPart): "_collect",
    (State.COLLECTING, ReplyEnded): "_collected",
    (State.COLLECTING, UpstreamFailed): "_no_reply",
    (State.FLOWING, ReplyPart): "_flow",
    (State.FLOWING, ReplyEnded): "_flowed",
    (State.FLOWING, UpstreamFailed): "_flow_broke",
    (State.ASKING, Detected): "_ask",
    (State.ASKING, DetectionFailed): "_decided",
    (State.ASKING, Decided): "_decided",
    (State.REVIEWING, Detected): "_reviewed",
    (State.REVIEWING, DetectionFailed): "_review_failed",
    (State.COMMITTING, Committed): "_committed",
    (State.COMMITTING, CommitFailed): "_commit_failed",
    (State.CLOSING, ReplyPart): "_trailing",
    (State.CLOSING, ReplyEnded): "_closed",
    (State.CLOSING, UpstreamFailed): "_closed",
    (State.NEW, ClientLeft): "_left_early",
    (State.DETECTING, ClientLeft): "_left_early",
    (State.ASKED, ClientLeft): "_left",
    (State.COLLECTING, ClientLeft): "_left",
    (State.FLOWING, ClientLeft): "_left",
    (State.ASKING, ClientLeft): "_left",
    (State.REVIEWING, ClientLeft): "_left_under_review",
}
