"""Recorded answers in place of a model, or of a tool: what is left to test is the agent's own code.

1. A request is answered by a recording of the same request: same upstream, method, path, and body as JSON.
2. Each recording answers once, those of equal requests in the order in which they were made: three 429 and then the
   answer come back as three 429 and then the answer, in whatever order other requests arrive.
3. What cannot be answered ends the run, and says which recording comes nearest and where it differs. Nothing similar
   is served in its place: the rest of the run would be about a conversation that nobody had.

Requests come here as they would be sent, so masked where redaction is on, as the recordings are.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from proxy.arrivals import Headers
from proxy.connection import FailureKind, UpstreamBroke
from proxy.effects import Forward
from proxy.street import SendOn
from proxy.url_keys import masked_keys
from replay.differing import differences
from replay.matching import canonical_arguments
from replay.swap.dialects import DIALECTS
from replay.swap.retelling import say_again
from replay.task import Task
from trajectory.conversation import Reply
from trajectory.record import Attempt, body_digest
from trajectory.runs import CheckResult, Fidelity
from trajectory.steps import in_order
from trajectory.store import Store

_SHOWN_DIFFERENCES = 2
_REQUEST_HEADER = "request."
_BROKE_OFF = frozenset({"cut", "aborted", "refused"})
Missed = Callable[[str], None]
"""Told once, with the evidence, when a request cannot be answered."""


@dataclass(frozen=True, slots=True)
class Recording:
    """`place` counts the recorded requests from 1; `attempt` is the attempt's id."""

    place: int
    attempt: str
    upstream: str
    method: str
    path: str
    body: bytes
    status: int
    headers: Headers
    reply: bytes
    broke: tuple[FailureKind, str] | None = None
    """How the reply ended where it did not reach its end; before its first byte if `status` is 0."""
    spoken: Reply | None = None
    """What was understood of a stream that held personal data: that was kept, masked, in place of its bytes."""
    wire: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        return _key(self.upstream, self.method, self.path, self.body)


def model_recordings(store: Store, task: Task) -> tuple[Recording, ...]:
    """The model requests of the session in which the task was recorded, those of its sub-agents too."""
    return _recordings(_sent(store, task, _is_model))


def tool_recordings(store: Store, task: Task) -> tuple[Recording, ...]:
    """The same of tools that stand behind an upstream, with all that an MCP client says to a server."""
    return _recordings(_sent(store, task, _is_tool))


def recordings_digest(store: Store, task: Task, *, tape_tools: bool) -> str:
    """Of all that the answers depend on."""
    hashed = hashlib.blake2b(digest_size=16)
    for one in _sent(store, task, lambda one: _is_model(one) or (tape_tools and _is_tool(one))):
        hashed.update(f"{one.id} {one.digest} {one.status} {one.end}\0".encode() + body_digest(one.reply))
    return hashed.hexdigest()


def _recordings(attempts: Sequence[Attempt]) -> tuple[Recording, ...]:
    return tuple(_recording(place, attempt) for place, attempt in enumerate(attempts, start=1))


def _is_model(one: Attempt) -> bool:
    return one.kind == "model"


def _is_tool(one: Attempt) -> bool:
    """Of MCP what is posted: the rest opens and ends what a recorded answer has no need of."""
    return one.method == "POST" if one.wire == "mcp" else one.kind == "tool"


def _sent(store: Store, task: Task, wanted: Callable[[Attempt], bool]) -> list[Attempt]:
    """What policy refused before it was sent is refused again, and needs no answer."""
    session = store.trajectory(task.source).session
    found = (attempt for one in store.find(session=session) for attempt in store.attempts(one.id))
    return in_order(one for one in found if wanted(one) and (one.end != "refused" or one.first_byte_s is not None))


def _recording(place: int, attempt: Attempt) -> Recording:
    status, broke = attempt.status or 0, None
    if attempt.first_byte_s is None:
        status, broke = 0, _failure(attempt.error or "")
    elif attempt.end in _BROKE_OFF:
        broke = _failure(attempt.error or "reset: the recording ends here")
    return Recording(
        place,
        attempt.id,
        attempt.upstream,
        attempt.method,
        attempt.path,
        b"".join(span.data for span in attempt.request),
        status,
        tuple((name, value) for name, value in attempt.headers if not name.startswith(_REQUEST_HEADER)),
        b"".join(span.data for span in attempt.reply),
        broke,
        attempt.answer if "reply_note" in attempt.extra else None,
        attempt.wire,
    )


def _failure(error: str) -> tuple[FailureKind, str]:
    kind, _, message = error.partition(": ")
    for known in get_args(FailureKind):
        if kind in (known, f"upstream_{known}"):
            return known, message
    return "reset", error or "the recording does not say why there was no reply"


def _key(upstream: str, method: str, path: str, body: bytes) -> tuple[str, str, str, str]:
    text = body.decode("utf-8", "surrogateescape")
    canonical = canonical_arguments(text) if body else None
    # a text that is no JSON can never equal one that is
    return upstream, method, path, canonical if canonical is not None else f"\0{text}"


class ModelTape:
    """A street of one run. `answered` counts how its answers came about."""

    def __init__(self, recordings: tuple[Recording, ...], missed: Missed) -> None:
        self._recordings, self._missed = recordings, missed
        self._waiting: dict[tuple[str, str, str, str], deque[Recording]] = {}
        for one in recordings:
            self._waiting.setdefault(one.key, deque()).append(one)
        self.answered: Counter[Fidelity] = Counter()
        self.miss = ""

    async def ask(self, request: Forward, send_on: SendOn) -> RecordedAnswer:
        path = masked_keys(request.path)
        waiting = self._waiting.get(_key(request.upstream, request.method, path, request.body))
        if not waiting:
            raise self._missing(self._nearest(request, path))
        one = waiting.popleft()
        if one.broke is not None and not one.status:
            self.answered["exact"] += 1
            raise UpstreamBroke(*one.broke)
        if one.spoken is not None:
            return self._spoken(one, one.spoken, request)
        self.answered["exact" if one.body == request.body else "canonical"] += 1
        return RecordedAnswer(one)

    def _spoken(self, one: Recording, reply: Reply, request: Forward) -> RecordedAnswer:
        """The same words and calls in a stream of our own making."""
        if one.wire not in DIALECTS:
            why = f"recorded request {one.place} has no answer: its stream held personal data, and was not kept"
            raise self._missing(why)
        self.answered["canonical"] += 1
        rendered = say_again(reply, one.wire, one.attempt, request)
        headers = (("content-type", rendered.content_type), *(h for h in one.headers if h[0] != "content-type"))
        return RecordedAnswer(replace(one, reply=rendered.body, status=rendered.status, headers=headers))

    @property
    def unused(self) -> tuple[Recording, ...]:
        """Those that no request asked for."""
        return tuple(sorted((one for waiting in self._waiting.values() for one in waiting), key=lambda one: one.place))

    def check(self) -> CheckResult:
        """Passed if the agent asked for just what was recorded."""
        total = len(self._recordings)
        if self.miss:
            return CheckResult(kind="tape", passed=False, evidence=self.miss)
        if unused := self.unused:
            places = ", ".join(str(one.place) for one in unused[:10])
            evidence = f"{len(unused)} of {total} recorded requests were never made: {places}"
            return CheckResult(kind="tape", passed=False, evidence=evidence)
        return CheckResult(kind="tape", passed=True, evidence=f"all {total} recorded requests were made, and no other")

    def _missing(self, why: str) -> UpstreamBroke:
        self.answered["missing"] += 1
        if not self.miss:
            self.miss = f"request {self.answered.total()} of the run: {why}"
            self._missed(self.miss)
        return UpstreamBroke("unreachable", f"tape miss: {why}")

    def _nearest(self, request: Forward, path: str) -> str:
        same = [
            one for one in self._recordings if one.key == _key(request.upstream, request.method, path, request.body)
        ]
        if same:
            times = "once" if len(same) == 1 else f"{len(same)} times"
            return f"it was recorded {times} (recorded request {same[0].place}) and has been answered as often"
        if not self._recordings:
            return "the tape is empty"
        unused = self.unused
        parted = [(self._apart(one, request, path), one) for one in self._recordings]
        apart, one = min(parted, key=lambda found: (len(found[0]), found[1] not in unused, found[1].place))
        shown = "; ".join(apart[:_SHOWN_DIFFERENCES])
        more = f"; and {len(apart) - _SHOWN_DIFFERENCES} more" if len(apart) > _SHOWN_DIFFERENCES else ""
        used = "" if one in unused else ", already answered"
        return f"nearest is recorded request {one.place} (attempt {one.attempt}{used}), which differs at {shown}{more}"

    @staticmethod
    def _apart(one: Recording, request: Forward, path: str) -> list[str]:
        sides = ((one.upstream, request.upstream), (one.method, request.method), (one.path, path))
        where = [f"{name}: recorded {a}, got {b}" for name, (a, b) in zip(_PLACES, sides, strict=True) if a != b]
        return where + [str(found) for found in differences(one.body, request.body)]


_PLACES = ("upstream", "method", "path")


class RecordedAnswer:
    """A recorded reply, its stream event by event."""

    length: int | None = None

    def __init__(self, recording: Recording) -> None:
        self.status, self.headers = recording.status, recording.headers
        self._parts = _events(recording.reply)
        self._broke = recording.broke

    async def next_part(self) -> bytes:
        part = next(self._parts, b"")
        if not part and self._broke is not None:
            raise UpstreamBroke(*self._broke)
        return part

    def close(self) -> None:
        self._parts = iter(())


def _events(reply: bytes) -> Iterator[bytes]:
    """Cut behind each blank line, where an event of a text stream ends; joined they are the recorded bytes."""
    start = 0
    while start < len(reply):
        end = reply.find(b"\n\n", start)
        stop = len(reply) if end < 0 else end + 2
        yield reply[start:stop]
        start = stop
