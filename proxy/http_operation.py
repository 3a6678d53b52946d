"""A tool call over plain HTTP, or any other exchange that is no model call: forwarded as it is, recorded masked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

import msgspec

from policies.redaction.pseudonyms import Vault
from policies.verdict import DropTools
from proxy.arrivals import ReplyBegan, RequestArrived
from proxy.encoding import is_utf8
from proxy.masking import mask_plain
from proxy.memory import Memories, TrajectoryMemory
from proxy.operation import Recorded, Route
from proxy.recordable import Recordable
from proxy.redactor import Redactor
from proxy.url_keys import masked_keys
from proxy.wire.format import Rendered, ReplyJudge, StreamStep
from trajectory.conversation import ToolDefinition
from trajectory.errors import FormatError
from trajectory.events import CallProposed, ToolAsked
from trajectory.record import Body, Span, ToolUse

_WHOLE_BYTES = 64 * 1024
_MAX_RECORDED_BYTES = 32 * 1024 * 1024
_MAX_ARGUMENT_CHARACTERS = 64 * 1024
_MAX_JUDGED_CHARACTERS = 1024 * 1024
_NOTHING = Recordable.of(b"")


@dataclass(slots=True, eq=False)
class HttpOperation:
    route: Route
    memories: Memories
    memory: TrajectoryMemory
    named_session: bool
    redactor: Redactor | None
    matched_by: str = "session"
    digest: str = ""
    model: str | None = None
    streamed: bool = False
    tools: tuple[ToolDefinition, ...] = ()
    sent: Body = ()
    refusal_status: int = 400
    _body: bytes = b""
    _is_utf8: bool = True
    _recordable: Recordable = _NOTHING
    _recordable_reply: Recordable | None = None
    _reply: list[bytes] = field(default_factory=list)
    _reply_bytes: int = 0
    _length: int | None = None
    _status: int = 0

    def read(self, request: RequestArrived) -> None:
        if request.body and self.route.named and self.route.kind == "web" and self.route.method in ("GET", "HEAD"):
            raise FormatError("a reading request has a body, and nothing here reads it")
        self._body, self._is_utf8 = request.body, is_utf8(request.headers)
        self.digest = _digest(self.route, request.body)
        if self.redactor is not None:
            self._recordable = Recordable.of(request.body)
        if not self.named_session:
            found = self.memories.by_proposal(self.route.tool, self._arguments()) if self.route.tool else None
            self.matched_by = "tool_arguments" if found is not None else "client"
            self.memory = found or self.memories.get(
                self.memory.id, self.memory.session, self.memory.task, self.memory.agent
            )

    def ask(self) -> ToolAsked:
        return ToolAsked(
            trajectory=self.memory.id,
            upstream=self.route.upstream if self.route.kind == "tool" else None,  # a list of models is no tool
            host=self.route.host,
            tool=self.route.tool,
            digest=self.digest,
            body_bytes=len(self._body),
            arguments=self._arguments(_MAX_JUDGED_CHARACTERS),
            unread=self._unread(),
        )

    def brings(self) -> tuple[CallProposed, ...]:
        return ()

    def apply(self, verdict: DropTools) -> None:
        """A tool offers no tools."""

    def texts(self) -> tuple[tuple[str, str], ...]:
        if self.redactor is None:
            return ()
        return tuple(pair for pair in self._texts() if not self.redactor.knows(*pair))

    def _texts(self) -> tuple[tuple[str, str], ...]:
        return (*self._recordable.texts, (self.route.path, ""))

    def seal(self) -> bytes:
        """Tools get the real values: the agent has them. Only what is written down is masked."""
        recorded = self._body
        if self.redactor is not None:
            self.redactor.check_texts(self._texts())
            recorded = self._recordable.masked(self.redactor, self._vault(self.redactor))
        self.sent = (Span.of(recorded),) if recorded else ()
        return self._body

    def mask_counts(self) -> dict[str, int]:
        return {}

    def reply_began(self, head: ReplyBegan, judge: ReplyJudge) -> bool:
        self._length = head.length
        self._status = head.status
        return head.length is not None and head.length <= _WHOLE_BYTES

    def part(self, data: bytes) -> StreamStep:
        self._keep(data)
        self._reply_bytes += len(data)
        if self._length is not None and self._reply_bytes >= self._length:
            return StreamStep(last=data)  # the client knows the length: with this part it has all
        return StreamStep(send=data)

    def end(self) -> StreamStep:
        return StreamStep()

    def whole(self, body: bytes, judge: ReplyJudge) -> bytes:
        self._keep(body)
        return body

    @property
    def is_finished(self) -> bool:
        return True

    @property
    def has_failed(self) -> bool:
        return False

    def record_texts(self) -> tuple[tuple[str, str], ...]:
        if self.redactor is None:
            return ()
        self._recordable_reply = Recordable.of(b"".join(self._reply))
        return tuple(pair for pair in self._recordable_reply.texts if not self.redactor.knows(*pair))

    def recorded(self) -> Recorded:
        body = b"".join(self._reply)
        arguments = self._arguments()
        if self.redactor is not None:
            vault = self._vault(self.redactor)
            body = (self._recordable_reply or Recordable.of(body)).masked(self.redactor, vault)
            arguments = mask_plain(arguments, self.redactor, vault)
        tool: ToolUse | None = None
        if self.route.kind == "tool":
            tool = ToolUse(self.masked(self.route.tool), arguments, self._status >= 400)
        note = "only the beginning of the reply is recorded" if self._reply_bytes > _MAX_RECORDED_BYTES else ""
        return Recorded((Span.of(body),) if body else (), note=note, tool=tool)

    def path_recorded(self) -> str:
        path = _written(self.route)
        return path if self.redactor is None else mask_plain(path, self.redactor, self._vault(self.redactor))

    def masked(self, text: str) -> str:
        return text if self.redactor is None else mask_plain(text, self.redactor, self._vault(self.redactor))

    def extra(self) -> dict[str, str]:
        return {}

    def settled(self, *, delivered: bool) -> None:
        """The next tool call does not build on this one."""

    def error(self, status: int, code: str, message: str) -> Rendered:
        return Rendered(status, json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False).encode())

    def error_event(self, code: str, message: str) -> bytes | None:
        return None

    def final_message(self, text: str) -> Rendered | None:
        return None

    def _keep(self, data: bytes) -> None:
        if self._reply_bytes <= _MAX_RECORDED_BYTES:
            self._reply.append(data)

    def _arguments(self, most: int = _MAX_ARGUMENT_CHARACTERS) -> str:
        """The body where there is one, else the query: both are what the agent chose."""
        if self._body:
            return self._body[:most].decode("utf-8", "replace")
        return self.route.path.partition("?")[2]  # up to its end: a # in it means something to some servers

    def _unread(self) -> str:
        """Why the tool may get something else than what its arguments are judged by."""
        if self._body and "?" in self.route.path:
            return "they stand in a body and in a query, and nobody can say here which of them counts"
        if len(self._body) > _MAX_JUDGED_CHARACTERS:
            return f"they are longer than {_MAX_JUDGED_CHARACTERS} bytes"
        try:
            self._body.decode()
        except UnicodeDecodeError:
            return "they are not UTF-8"
        return "" if self._is_utf8 else "their type says that they are not UTF-8"

    def _vault(self, redactor: Redactor) -> Vault:
        if self.memory.vault is None:
            self.memory.vault = redactor.new_vault()
        return self.memory.vault


def _written(route: Route) -> str:
    """The path as it may be written down; a tool's `key` is an argument, elsewhere it is a credential."""
    return route.path if route.kind == "tool" else masked_keys(route.path)


def _digest(route: Route, body: bytes) -> str:
    """Equal for the same call again; a JSON body counts in its canonical form."""
    try:
        canonical = msgspec.json.encode(msgspec.json.decode(body), order="sorted") if body else b""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        canonical = body
    head = f"{route.method} {route.upstream} {_written(route)}\n".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(head + canonical, digest_size=16).hexdigest()
