"""What a session remembers of the candidate's own turns, to give each back to it as it was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from replay.swap.losses import Losses
from replay.swap.naming import Bounds
from replay.swap.neutral import Call, Json, Message, Part, Request, canonical
from replay.swap.replies.said import Said
from trajectory.conversation import Text

_CHANGED = "one came back behind another conversation, or changed: its reasoning was left out"


@dataclass(frozen=True, slots=True)
class _Own:
    """A turn as the agent was given it (`said`) and as the candidate wrote it."""

    said: tuple[Any, ...]
    pieces: tuple[Json, ...]
    ids: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Memory:
    _own: dict[bytes, list[_Own]] = field(default_factory=dict)
    """By the digest of the conversation that each turn answered."""
    _kept: dict[str, tuple[Message, ...]] = field(default_factory=dict)
    """Conversations by the mark of their last reply, for agents that send only what is new."""
    _given: set[str] = field(default_factory=set)

    def whole(self, request: Request) -> Request | None:
        """`request` with all that came before what it holds; None if that is not known."""
        before: tuple[Message, ...] = ()
        if request.continues is not None:
            known = self._kept.get(_mark(request.continues))
            if known is None:
                return None
            before = known
        return replace(request, messages=canonical((*request.instructions, *before, *request.messages)))

    def recalled(self, request: Request, losses: Losses) -> tuple[Message, ...]:
        """The messages, with the candidate's own turns as it wrote them."""
        out: list[Message] = []
        chain = _beginning(request)
        for message in request.messages:
            if message.role == "assistant":
                own = next((one for one in self._own.get(chain, ()) if one.said == _said(message.parts)), None)
                if own is not None:
                    out.append(replace(message, native=own.pieces, native_ids=own.ids))
                    chain = _link(chain, message)
                    continue
                if any(call.id in self._given for call in message.calls):
                    losses.add("reasoning", "turns of the candidate's own", _CHANGED)
            out.append(message)
            chain = _link(chain, message)
        return tuple(out)

    def keep(self, request: Request, said: Said, pieces: tuple[Json, ...], ids: tuple[str, ...]) -> None:
        chain = _beginning(request)
        for message in request.messages:
            chain = _link(chain, message)
        parts: tuple[Part, ...] = (*((Text(said.text),) if said.text else ()), *said.calls)
        if pieces:
            self._own.setdefault(chain, []).append(_Own(_said(parts), pieces, ids))
        spoken = request.messages[len(request.instructions) :]
        self._kept[said.mark] = canonical((*spoken, Message("assistant", parts)))

    def fresh_id(self, call_id: str, mark: str, bounds: Bounds) -> str:
        """An id for a call that the agent has not been given before: its own, where that is one."""
        given = bounds.fitted(call_id, "call_") if call_id else f"call_{mark}"
        again = 0
        while given in self._given:
            again += 1
            given = f"call_{mark}_{again}"
        self._given.add(given)
        return given

    def fresh_mark(self, mark: str) -> str:
        return mark if mark not in self._kept else f"{mark}{len(self._kept):x}"


def _mark(reply_id: str) -> str:
    return reply_id.partition("_")[2]


def _said(parts: tuple[Part, ...]) -> tuple[Any, ...]:
    """What must be the same for a turn to be the same: text but for white space, calls with their ids."""
    text = "".join(part.text for part in parts if isinstance(part, Text))
    calls = [(part.id, part.name, _plain(part.arguments)) for part in parts if isinstance(part, Call)]
    return ("".join(text.split()), *calls)


def _plain(arguments: str) -> str:
    """Arguments that mean the same, written the same: formats that hold objects write them anew."""
    try:
        return msgspec.json.encode(msgspec.json.decode(arguments), order="deterministic").decode()
    except (msgspec.DecodeError, RecursionError):
        return arguments


def _beginning(request: Request) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(request.tools), digest_size=16).digest()


def _link(chain: bytes, message: Message) -> bytes:
    if message.role == "assistant":
        shown: Any = _said(message.parts)
    else:
        shown = message.parts
    content = msgspec.json.encode((message.role, [(type(one).__name__, one) for one in shown]))
    return hashlib.blake2b(chain + content, digest_size=16).digest()
