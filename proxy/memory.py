"""What the proxy remembers of live trajectories, and how a request without a session id finds its own.

Order of trust (measured over 41 real clients): a session the client names; a tool call id that we passed on; a
history that extends, byte for byte, what this trajectory sent before and what it was answered; else a new one.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from policies.redaction.pseudonyms import Vault
from proxy.allowances import Allowances
from proxy.prompt_size import CountedPrompt
from proxy.two_views import TwoViews
from proxy.wire.layout import Layout
from trajectory.conversation import Message, Reply

_MAX_TRAJECTORIES = 20_000
_MAX_BODY_BYTES = 128 * 1024 * 1024
_MAX_CALL_IDS = 200_000
_MAX_ID_CHARACTERS = 256
_MAX_ALIKE = 256  # conversations with the same opening among which a history is looked for
_AMBIGUOUS = ""
_OPENING_BYTES = 512


@dataclass(slots=True, eq=False)
class TrajectoryMemory:
    """`layout` is the last request that was judged whole; `answer` is what the client was answered last, to the
    request that held the first `answered_items` items of it.
    """

    id: str
    session: str
    task: str | None = None
    agent: str | None = None
    vault: Vault | None = None
    layout: Layout | None = None
    answer: Reply | None = None
    answered_items: int = 0
    unanswered: bool = False
    """The attempt at `layout` is over and did not succeed: it failed, was refused, or was given up."""
    held_bytes: int = 0
    counted: CountedPrompt | None = None
    views: TwoViews = field(default_factory=TwoViews)
    allowances: Allowances = field(default_factory=Allowances)
    operations: OrderedDict[str, tuple[str, int, bool]] = field(default_factory=OrderedDict)
    """Body digest -> (operation, attempts so far, last one did not succeed), for the most recent bodies."""

    def attempt_of(self, digest: str, new_id: str) -> tuple[str, int]:
        """The operation that an attempt at this body belongs to, and its number, from 1.

        A body whose last attempt succeeded, or is still under way, is a new operation when it comes again.
        """
        operation, count, failed = self.operations.get(digest, (new_id, 0, False))
        if not failed:
            operation, count = new_id, 0
        self.operations[digest] = (operation, count + 1, False)
        self.operations.move_to_end(digest)
        while len(self.operations) > 64:
            self.operations.popitem(last=False)
        return operation, count + 1

    def ended(self, digest: str, operation: str, *, failed: bool) -> None:
        known = self.operations.get(digest)
        if known is not None and known[0] == operation:
            self.operations[digest] = (known[0], known[1], failed)


class Memories:
    """Live trajectories, least recently used forgotten first: a forgotten one goes on by its explicit session,
    or as a new one; its record is in the store either way.
    """

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, TrajectoryMemory] = OrderedDict()
        self._by_call: OrderedDict[str, str] = OrderedDict()
        self._by_opening: OrderedDict[bytes, OrderedDict[str, None]] = OrderedDict()
        self._opening_lengths: tuple[int, ...] = ()
        """Of all openings that were ever kept, longest first."""
        self._body_bytes = 0

    def get(self, trajectory: str, session: str, task: str | None, agent: str | None) -> TrajectoryMemory:
        memory = self._by_id.get(trajectory)
        if memory is None:
            memory = self._by_id[trajectory] = TrajectoryMemory(trajectory, session, task, agent)
            while len(self._by_id) > _MAX_TRAJECTORIES:
                self._forget_oldest()
        self._by_id.move_to_end(trajectory)
        if task is not None:
            memory.task = task
        return memory

    def fresh(self, trajectory: str, session: str, task: str | None, agent: str | None) -> TrajectoryMemory:
        """A candidate for a new trajectory: known here only once `get` has been asked for it."""
        return self._by_id.get(trajectory) or TrajectoryMemory(trajectory, session, task, agent)

    def by_call(self, call_ids: list[str]) -> TrajectoryMemory | None:
        """The trajectory whose model proposed one of these calls."""
        for call_id in reversed(call_ids):
            found = self._by_id.get(self._by_call.get(call_id, ""))
            if found is not None:
                return found
        return None

    def similar(self, body: bytes) -> list[TrajectoryMemory]:
        """Trajectories of which a request began like this body: the longest beginning first, then the most recent."""
        found: dict[str, TrajectoryMemory] = {}
        for length in self._opening_lengths:
            opening = self._by_opening.get(body[:length]) if length <= len(body) else None
            for trajectory in reversed(opening) if opening else ():
                memory = self._by_id.get(trajectory)
                if memory is not None:
                    found.setdefault(trajectory, memory)
        return list(found.values())

    def judged(self, memory: TrajectoryMemory, layout: Layout) -> None:
        """`layout` has been judged and masked: the next request of this trajectory builds on it."""
        memory.layout = layout
        memory.unanswered = False
        if self._by_id.setdefault(memory.id, memory) is not memory:
            return  # forgotten while it was under way, and its place is taken: nothing builds on it
        held_bytes = len(layout.body) + memory.views.held_bytes
        self._body_bytes += held_bytes - memory.held_bytes
        memory.held_bytes = held_bytes
        key = _opening(layout)
        if len(key) not in self._opening_lengths:
            self._opening_lengths = tuple(sorted({*self._opening_lengths, len(key)}, reverse=True))
        opening = self._by_opening.setdefault(key, OrderedDict())
        opening[memory.id] = None
        opening.move_to_end(memory.id)
        self._by_opening.move_to_end(key)
        while len(opening) > _MAX_ALIKE:
            opening.popitem(last=False)
        while len(self._by_opening) > _MAX_TRAJECTORIES:
            self._by_opening.popitem(last=False)
        while self._body_bytes > _MAX_BODY_BYTES and len(self._by_id) > 1:
            self._forget_oldest()

    def answered(self, memory: TrajectoryMemory, layout: Layout | None, reply: Reply | None) -> None:
        """`reply` is the client's view of the answer to `layout`; None if it got none, or not in full."""
        if layout is None or reply is None:
            memory.unanswered = memory.unanswered or (layout is not None and memory.layout is layout)
            return
        if memory.layout is layout:
            memory.answer, memory.answered_items = reply, len(layout.items)
        if reply.id:
            self._by_call[reply.id] = memory.id
        for call in reply.calls:
            if 0 < len(call.id) <= _MAX_ID_CHARACTERS:
                # ids of some servers are no more than a number: one that two trajectories know names neither
                known = self._by_call.get(call.id, memory.id)
                is_other = known != memory.id and (known == _AMBIGUOUS or known in self._by_id)
                self._by_call[call.id] = _AMBIGUOUS if is_other else memory.id
            self._by_call[_proposal(call.name, call.arguments)] = memory.id
        while len(self._by_call) > _MAX_CALL_IDS:
            self._by_call.popitem(last=False)

    def linked(self, memory: TrajectoryMemory, ids: list[str]) -> None:
        """Ids that this trajectory's requests refer to: a conversation kept by the server has no other tie to it."""
        for one in ids:
            if 0 < len(one) <= _MAX_ID_CHARACTERS:
                self._by_call.setdefault(one, memory.id)

    def known(self, trajectory: str) -> TrajectoryMemory | None:
        return self._by_id.get(trajectory)

    def by_proposal(self, name: str, arguments: str) -> TrajectoryMemory | None:
        """The trajectory whose model last proposed just this call."""
        return self._by_id.get(self._by_call.get(_proposal(name, arguments), ""))

    def forget(self, session: str) -> None:
        """No request of it comes any more: nothing of its trajectories is held, nor what they are found by."""
        over = {memory.id: memory for memory in self._by_id.values() if memory.session == session}
        for memory in over.values():
            self._drop(memory)
            del self._by_id[memory.id]
        for call in [call for call, one in self._by_call.items() if one in over]:
            del self._by_call[call]
        for key, opening in list(self._by_opening.items()):
            for one in over.keys() & opening.keys():
                del opening[one]
            if not opening:
                del self._by_opening[key]

    def _forget_oldest(self) -> None:
        self._drop(self._by_id.popitem(last=False)[1])

    def _drop(self, memory: TrajectoryMemory) -> None:
        """An exchange that is still under way has it in hand: what the next one would build on goes."""
        self._body_bytes -= memory.held_bytes
        memory.layout, memory.counted, memory.held_bytes = None, None, 0


def begins_like(body: bytes, layout: Layout, items: int) -> bool:
    """Whether `body` begins with the first `items` items of `layout` and all that stands before them."""
    if not 0 < items <= len(layout.items):
        return False
    end = layout.items[items - 1].end
    # the last bytes first: they tell most conversations with the same opening apart
    return body[end - 64 : end] == layout.body[end - 64 : end] and body.startswith(layout.body[:end])


def continues(memory: TrajectoryMemory, layout: Layout, message_at: Callable[[int], Message]) -> bool:
    """Whether a request without a session goes on where `memory` stands; `layout` was read against `memory.layout`.

    It does if what the client was answered last follows in it at its place. After an attempt that did not succeed
    it also does if it repeats that request or adds to it: a retry, in whatever form. The last request once more
    after a success, or while it is under way, is another conversation with the same opening.
    """
    if memory.layout is None:
        return False
    whole = layout.kept == len(memory.layout.items)
    if memory.unanswered and whole:
        return layout.kept > 0 or layout.body == memory.layout.body
    answered = memory.answered_items
    if not (whole or memory.unanswered) or memory.answer is None:
        return False
    if layout.kept < answered or len(layout.items) <= answered:
        return False
    following = message_at(answered)
    while following.is_opaque and answered + 1 < len(layout.items):  # reasoning, where it is an item of its own
        answered += 1
        following = message_at(answered)
    if memory.answer.calls:
        ids = {call.id for call in memory.answer.calls}
        return bool(ids & {call.id for call in following.calls})
    return following.role == "assistant" and following.text.strip() == memory.answer.text.strip()


def _proposal(name: str, arguments: str) -> str:
    """Name and canonical arguments as one key; arguments that are no JSON object stand for themselves."""
    try:
        canonical = msgspec.json.encode(msgspec.json.decode(arguments), order="sorted").decode()
    except (msgspec.DecodeError, ValueError, RecursionError):
        canonical = arguments
    return hashlib.blake2b(f"{name}\0{canonical}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest() + "\0"


def _opening(layout: Layout) -> bytes:
    """Enough of a body to find the next one of its conversation by; what follows is compared in full.

    It ends with the conversation so far, where that is short: what stands behind the list moves on with each turn.
    """
    return layout.body[: min(_OPENING_BYTES, layout.items[-1].end if layout.items else len(layout.body))]
