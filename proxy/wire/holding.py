"""Calls that are judged by their arguments, in streams: held until the arguments are there, and nothing else is.

A call that a person decides on is held until that is done. People are asked once the reply is all there (or too long
to be held): all of its calls at a time, none that a broken stream would have taken back, and no upstream has to wait.

Two readers of the same wire read the same stream. The first, a scout, lets all pass and says which calls begin and
which have their arguments. The second, whose output the client gets, is one or more events behind it only while a
call is open that a rule reads: then it already knows the verdict when it comes to the beginning of that call. What
waits behind such a call waits with it, as a client must get a stream in its order.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policies.verdict import Refuse
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.format import EndsWithError, Lookup, Question, ReplyJudge, StreamReader, StreamStep, TurnCalls
from trajectory.conversation import Reply

MAX_HELD_BYTES = 8 * 1024 * 1024
"""What waits for one call. A stream of small pieces takes some forty bytes for each of its arguments' characters."""
_EVENT = re.compile(rb".+?\n\r?\n|.+", re.DOTALL)
"""Parts are cut so that the text before a call does not wait with it; where, is a matter of delay, not of what comes
out.
"""

MakeReader = Callable[[ReplyJudge], StreamReader]


def stream_reader(make: MakeReader, judge: ReplyJudge) -> StreamReader:
    """The reader that `make` makes; one that holds calls for their arguments where a rule reads arguments."""
    return HoldingReader(make, judge) if judge.reads_arguments else make(judge)


@dataclass(slots=True, eq=False)
class _Seen:
    """A call that the scout came to, in the piece of the stream at `place`."""

    name: str
    call_id: str
    arguments: str | ArrivingArguments
    place: int
    doubt: str = ""
    is_closed: bool = False
    question: Question | None = None

    @property
    def is_open(self) -> bool:
        return isinstance(self.arguments, ArrivingArguments) and not self.arguments.is_whole and not self.doubt

    @property
    def text(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else self.arguments.text

    def close(self, judge: ReplyJudge) -> None:
        """Its arguments are what it is judged by, as they are now."""
        if self.is_closed:
            return
        self.is_closed = True
        if isinstance(self.arguments, ArrivingArguments) and not self.doubt:
            self.arguments.seal()
            if self.arguments.disputed:
                self.doubt = "its arguments came twice, and not the same"
        if not self.doubt:
            self.question = judge.question(self.name, self.call_id, self.text)

    @property
    def waits(self) -> bool:
        return self.is_open or (self.question is not None and self.question.is_open)


class _Scout:
    """The judge of the reader that goes ahead."""

    lookup: Lookup | None = None
    reads_arguments = True

    def __init__(self, judge: ReplyJudge) -> None:
        self._judge = judge
        self.seen: list[_Seen] = []
        self.open: deque[_Seen] = deque()
        self.place = 0

    def awaits_arguments(self, name: str) -> bool:
        return False

    def passes(self, name: str) -> bool:
        return True

    def call(self, name: str, call_id: str, arguments: str | ArrivingArguments) -> Refuse | None:
        seen = _Seen(name, call_id, arguments, self.place)
        self.seen.append(seen)
        if self._judge.awaits_arguments(name):
            self.open.append(seen)
        return None

    def question(self, name: str, call_id: str, arguments: str) -> None:
        return None

    def doubted(self, name: str, why: str) -> Refuse:
        return self._judge.doubted(name, why)

    def offered(self, tools: Sequence[tuple[str, ...]]) -> frozenset[str]:
        return frozenset()


class _Told:
    """The judge of the reader that follows: for the n-th call it is told what the scout has read of the n-th call."""

    reads_arguments = True

    def __init__(self, judge: ReplyJudge, seen: list[_Seen]) -> None:
        self.lookup = judge.lookup
        self._judge = judge
        self._seen = seen
        self._at = 0

    def awaits_arguments(self, name: str) -> bool:
        return self._judge.awaits_arguments(name)

    def passes(self, name: str) -> bool:
        return self._judge.passes(name)

    def call(self, name: str, call_id: str, arguments: str | ArrivingArguments) -> Refuse | None:
        if isinstance(arguments, str) or not self._judge.awaits_arguments(name):
            self._at += 1
            return self._judge.call(name, call_id, arguments)
        seen = self._seen[self._at] if self._at < len(self._seen) else None
        self._at += 1
        if seen is None or (seen.name, seen.call_id) != (name, call_id):
            return self._judge.doubted(name, "its arguments could not be told from those of another call")
        if seen.doubt:
            return self._judge.doubted(name, seen.doubt)
        return self._judge.call(name, call_id, seen.text)

    def question(self, name: str, call_id: str, arguments: str) -> None:
        return None

    def doubted(self, name: str, why: str) -> Refuse:
        return self._judge.doubted(name, why)

    def offered(self, tools: Sequence[tuple[str, ...]]) -> frozenset[str]:
        return self._judge.offered(tools)


class HoldingReader:
    """A StreamReader. What it has out at any time is what the plain reader would have out, but for what is held."""

    def __init__(self, make: MakeReader, judge: ReplyJudge) -> None:
        self._judge = judge
        self._ahead = _Scout(judge)
        self._scout = make(self._ahead)
        self._reader = make(_Told(judge, self._ahead.seen))
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._is_over = False
        self.refused: list[Refuse] = self._reader.refused
        self._follow()

    def feed(self, part: bytes) -> StreamStep:
        steps = self._decided()
        for piece in _EVENT.findall(part):
            self._scout.feed(piece)
            self._hold(piece)
            steps += self._decided()
        self._follow()
        if len(steps) == 1 and not self._ahead.open:
            return steps[0]
        send, last = b"".join([step.send for step in steps]), b"".join([step.last for step in steps])
        return StreamStep(send, last, asks=self._asks())

    def end(self) -> StreamStep:
        if not self._is_over:
            self._is_over = True
            self._scout.end()
            for seen in self._ahead.open:  # a call that breaks off is judged as it stands
                seen.close(self._judge)
        steps = self._decided()
        if self._asks():
            self._follow()
            return StreamStep(send=b"".join([step.send for step in steps]), asks=True)
        steps.append(self._reader.end())
        self._follow()
        return StreamStep(last=b"".join([step.send + step.last for step in steps]))

    def reply(self) -> Reply:
        """As the upstream gave it, held calls included."""
        return self._scout.reply()

    def client_reply(self) -> Reply:
        return self._reader.client_reply()

    def turn(self) -> TurnCalls:
        return self._reader.turn()

    def error_event(self, code: str, message: str) -> bytes | None:
        reader: object = self._reader
        return reader.error_event(code, message) if isinstance(reader, EndsWithError) else None

    def _follow(self) -> None:
        """What it says of itself is what the reader says whose output the client gets."""
        reader = self._reader
        self.edited, self.restored, self.ended, self.failed = (
            reader.edited,
            reader.restored,
            reader.ended,
            reader.failed,
        )

    def _hold(self, piece: bytes) -> None:
        self._ahead.place += 1
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes > MAX_HELD_BYTES:
            for seen in self._ahead.open:
                if seen.is_open:
                    seen.doubt = f"its arguments did not end within {MAX_HELD_BYTES} bytes of the stream"

    def _asks(self) -> bool:
        """Whether people are to decide now on the calls that wait."""
        waiting = self._ahead.open
        is_due = self._is_over or self._scout.ended or self._held_bytes > MAX_HELD_BYTES
        if not is_due or any(seen.is_open for seen in waiting):
            return False
        for seen in waiting:
            seen.close(self._judge)
        return any(seen.waits for seen in waiting)

    def _decided(self) -> list[StreamStep]:
        """What comes of all that stands before the first call that still waits."""
        waiting = self._ahead.open
        while waiting and not waiting[0].is_open:
            waiting[0].close(self._judge)
            if waiting[0].waits:
                break
            waiting.popleft()
        until = waiting[0].place if waiting else self._ahead.place
        steps: list[StreamStep] = []
        while self._held and self._ahead.place - len(self._held) < until:
            piece = self._held.popleft()
            self._held_bytes -= len(piece)
            steps.append(self._reader.feed(piece))
        return steps
