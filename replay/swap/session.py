"""One session's translation, without I/O: a request of the agent's into the candidate's format, its reply back.

1. The candidate is asked for a whole reply, once for each request of the agent.
2. What the candidate said goes back to it as it said it (reasoning, signatures, ids), where the agent sends it back
   behind the very conversation that it answered; reasoning is bound to that.
3. What does not come over is named in `losses`, each thing once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from policies.verdict import Refuse
from proxy.arrivals import Headers
from proxy.effects import Forward
from proxy.wire.choose import WIRES, wire_of
from proxy.wire.format import Lookup, Rendered
from proxy.wire.gemini import asks_for_array
from proxy.wire.layout import read_layout
from replay.swap.dialects import DIALECTS, Dialect
from replay.swap.losses import Losses
from replay.swap.memory import Memory
from replay.swap.naming import Names
from replay.swap.neutral import Call, Request
from replay.swap.pairing import paired
from replay.swap.replies.said import Manner, Said
from replay.swap.writing.freeform import text_of
from trajectory.conversation import Reply
from trajectory.errors import FormatError
from trajectory.runs import Candidate, Loss

_COUNTS = re.compile(r"/count_tokens$|/input_tokens$|:countTokens$")
_TOO_LONG = re.compile(
    r"context[ _](?:length|window)|prompt is too long|too many tokens|maximum context", re.IGNORECASE
)
_UNSTREAMED = "the candidate is asked for whole replies: the time to the first token is that of the whole reply"
_WAITS = frozenset({"retry-after", "retry-after-ms", "x-should-retry"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A translated request on its way: `forward` is what the candidate is sent, the rest what the agent asked for."""

    forward: Forward
    dialect: Dialect
    request: Request
    manner: Manner
    names: Names


@dataclass(slots=True, eq=False)
class SwapSession:
    """`base_path` is the path of the candidate's base URL."""

    candidate: Candidate
    base_path: str
    seed: int
    losses: Losses = field(default_factory=Losses)
    _memory: Memory = field(default_factory=Memory)

    @property
    def lost(self) -> tuple[Loss, ...]:
        return self.losses.all()

    def request(self, forward: Forward) -> Asked | Forward | Rendered:
        """What is to be sent on, as it is where the agent speaks the candidate's format; an answer at once where
        nothing can be asked of it.
        """
        place = forward.path.partition("?")[0]
        name = wire_of(forward.method, place) or ""
        theirs = DIALECTS[self.candidate.wire or ""]
        if name == theirs.wire.name:
            return self._parametrised(forward, theirs)
        ours = DIALECTS.get(name)
        if ours is None:
            return _declined(name, f"a candidate that speaks {theirs.wire.name} cannot answer {name or place}")
        if _COUNTS.search(place):
            self.losses.add("unknown", "counts of tokens", "the candidate was not asked for them")
            return ours.wire.error(404, "not_found", "tokens cannot be counted for this candidate")
        try:
            return self._translated(forward, ours, theirs)
        except (FormatError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            return ours.wire.error(400, "request_not_translated", f"the request cannot be translated: {e}")

    def reply(self, asked: Asked, status: int, headers: Headers, body: bytes) -> tuple[Rendered, Headers]:
        """The candidate's whole reply in the agent's format, and headers that it keeps."""
        ours, theirs = asked.dialect, DIALECTS[self.candidate.wire or ""]
        kept = tuple((key, value) for key, value in headers if key.lower() in _WAITS)
        if not 200 <= status < 300:
            code, message = _error_of(body)
            return ours.wire.error(status, _code(code, message), message), kept
        if _tells_of_error(body):
            return ours.wire.error(502, *_error_of(body)), kept
        try:
            read = theirs.wire.read_reply(body, _Silent()).reply
            turn = theirs.turns.turn(body)
            pieces = tuple(msgspec.json.decode(piece, type=dict[str, Any]) for piece in turn.pieces)
            theirs.replies.unsaid(msgspec.json.decode(body, type=dict[str, Any]), self.losses)
        except (FormatError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            return ours.wire.error(502, "upstream_unreadable", f"the candidate's reply cannot be read: {e}"), ()
        said = self._said(read, asked, body, ours)
        self._memory.keep(asked.request, said, pieces, tuple(call.id for call in read.calls))
        return ours.replies.render(said, asked.manner, self.losses), kept

    # --- the request ---

    def _translated(self, forward: Forward, ours: Dialect, theirs: Dialect) -> Asked | Rendered:
        self.losses.spelling = ours.reads.SPELLING
        body = msgspec.json.decode(forward.body)
        if not isinstance(body, dict):
            raise FormatError("it is no JSON object")
        request = self._memory.whole(ours.reads.read(body, self.losses))
        if request is None:
            message = "the reply that this request continues is not one of this session"
            return ours.wire.error(400, "previous_response_not_found", message)
        streamed = request.streamed or ":streamGenerateContent" in forward.path
        if streamed:
            self.losses.add("stream", "stream", _UNSTREAMED)
        recalled = self._memory.recalled(request, self.losses)
        if request.choice is not None and request.choice.mode == "required" and not request.tools:
            self.losses.add("tool_choice", "tool_choice", "no tool is left that could be called")
        names = Names(theirs.names, self.losses)
        ready = replace(request, messages=paired(recalled, theirs.ids, self.losses))
        sent = theirs.writes.write(ready, names, self.losses)
        if not theirs.model_in_path:
            sent = {"model": self.candidate.model, **sent}
        changed = Forward(
            forward.upstream,
            forward.method,
            theirs.path(self.base_path, self.candidate.model),
            (("Content-Type", "application/json"), ("Accept-Encoding", "identity"), *theirs.headers),
            msgspec.json.encode(sent),
        )
        manner = Manner(streamed, request.includes_usage, as_array=asks_for_array(forward.path))
        return Asked(self._parametrised(changed, theirs), ours, request, manner, names)

    def _parametrised(self, forward: Forward, theirs: Dialect) -> Forward:
        """With the candidate's parameters, called as its format calls them, and the seed where it takes one."""
        seed: dict[str, float | int | str | bool] = {"seed": self.seed} if theirs.takes_seed else {}
        if not seed:
            self.losses.add("parameter", "seed", "the candidate's format has none: trials are not seeded")
        layout = read_layout(forward.body, theirs.wire.list_key)
        theirs.wire.set_model(layout, self.candidate.model, {**seed, **self.candidate.parameters})
        return msgspec.structs.replace(forward, body=b"".join(span.data for span in layout.assembled()))

    # --- the reply ---

    def _said(self, read: Reply, asked: Asked, body: bytes, ours: Dialect) -> Said:
        mark = hashlib.blake2b(body, digest_size=9).hexdigest()
        freeform = asked.request.freeform
        calls: list[Call] = []
        for call in read.calls:
            name = asked.names.here(call.name)
            is_free = name in freeform
            given = self._memory.fresh_id(call.id, mark, ours.ids)
            if given != call.id:
                self.losses.add("identifier", "ids of the candidate's calls", "some were rewritten for the agent")
            calls.append(Call(given, name, text_of(call.arguments) if is_free else call.arguments, is_free))
        finish = read.finish or "end"
        if calls and finish == "end":
            finish = "tool_call"
        model = read.model or self.candidate.model
        return Said(self._memory.fresh_mark(mark), model, read.text, tuple(calls), finish, read.usage)


def _declined(name: str, message: str) -> Rendered:
    wire = WIRES.get(name) or WIRES["openai.chat"]
    return wire.error(400, "request_not_translated", message)


def _error_of(body: bytes) -> tuple[str, str]:
    """Machine code and message of a provider's error, whichever shape it has."""
    try:
        error = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        error = None
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, dict):
        error = error.get("error", error)
    if isinstance(error, dict):
        code = error.get("code") if isinstance(error.get("code"), str) else error.get("status") or error.get("type")
        return str(code or "upstream_error"), str(error.get("message") or "the candidate's provider gave no reason")
    return "upstream_error", body[:500].decode("utf-8", "replace") or "the candidate's provider gave no reason"


def _tells_of_error(body: bytes) -> bool:
    """Some gateways answer 200 with an error in place of a reply."""
    try:
        reply = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(reply, dict) and bool(reply.get("error"))


def _code(code: str, message: str) -> str:
    """Agents look for this one to shorten their conversation."""
    return "context_length_exceeded" if _TOO_LONG.search(message) or _TOO_LONG.search(code) else code


class _Silent:
    """Judges nothing: the gateway judges what it is given by the street, in the agent's format."""

    lookup: Lookup | None = None
    reads_arguments = False

    def awaits_arguments(self, name: str) -> bool:
        return False

    def passes(self, name: str) -> bool:
        return True

    def question(self, name: str, call_id: str, arguments: str) -> None:
        return None

    def call(self, name: str, call_id: str, arguments: object = "") -> Refuse | None:
        return None

    def doubted(self, name: str, why: str) -> Refuse:
        raise FormatError(why)

    def offered(self, tools: Sequence[tuple[str, ...]]) -> frozenset[str]:
        return frozenset()
