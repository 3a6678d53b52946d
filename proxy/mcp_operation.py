"""A message to an MCP server, or a stream of its messages: judged by method and tool, recorded masked.

Agents get the real values of results, and servers those of arguments; what a model sees of them is masked where the
agent asks the model. Tools go by two names on an allowlist: their own, and `mcp__<upstream>__<name>`, as agents
that use several servers call them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from policies.redaction.pseudonyms import Vault
from policies.verdict import DropTools
from proxy.arrivals import Headers, ReplyBegan, RequestArrived, header
from proxy.masking import mask_plain
from proxy.mcp_links import Link, McpLinks
from proxy.mcp_recording import RecordableReply
from proxy.memory import Memories, TrajectoryMemory
from proxy.operation import Recorded, Route
from proxy.recordable import Recordable
from proxy.redactor import Redactor
from proxy.wire import mcp
from proxy.wire.format import Rendered, ReplyJudge, StreamStep
from proxy.wire.mcp import Message
from proxy.wire.mcp_headers import VERSION, HeaderMismatchError, check_headers
from proxy.wire.mcp_reply import McpReply
from proxy.wire.sse import event
from trajectory.conversation import ToolDefinition
from trajectory.errors import FormatError
from trajectory.events import CallProposed, ToolAsked
from trajectory.record import Body, Span, ToolUse

_SESSION, _RESUMES_AFTER = "mcp-session-id", "last-event-id"
# Where clients say which of a model's calls they carry out (codex; claude).
_CALL_IDS = ("callId", "claudecode/toolUseId")
# A message that is sent again is a retry only if it asks for something that ends.
_ENDLESS = frozenset({"subscriptions/listen", "ping"})
_MAX_RECORDED_BYTES = 32 * 1024 * 1024
_NOTHING = Recordable.of(b"")


@dataclass(slots=True, eq=False)
class McpOperation:
    """`new` is a fresh id: what cannot be a retry of anything (a stream, a notification) goes by it."""

    route: Route
    memories: Memories
    links: McpLinks
    memory: TrajectoryMemory
    named_session: bool
    redactor: Redactor | None
    new: str
    matched_by: str = "session"
    digest: str = ""
    model: str | None = None
    streamed: bool = False
    tools: tuple[ToolDefinition, ...] = ()
    sent: Body = ()
    refusal_status: int = 400
    _body: bytes = b""
    _headers: Headers = ()
    _message: Message | None = None
    _arguments: str = ""
    """Of the tool that is called, as they came."""
    _recordable: Recordable = _NOTHING
    _recordable_reply: RecordableReply | None = None
    _mismatch: bool = False
    _refused: bool = False
    _call: tuple[str, str] = ("", "")
    """Name and arguments as they may be written down."""
    _continued: Link | None = None
    _reply: McpReply | None = None
    _is_read: bool = False
    _upstream: list[bytes] = field(default_factory=list)
    _client: list[bytes] = field(default_factory=list)
    _kept: int = 0
    _changed: tuple[str, ...] = ()

    def read(self, request: RequestArrived) -> None:
        self._body, self._headers = request.body, request.headers
        self.digest = hashlib.blake2b(self.new.encode(), digest_size=16).hexdigest()
        if self.route.method == "POST":
            self._read_message(request)
        elif request.body:
            raise FormatError(f"a {self.route.method} request of MCP has no body")
        if self.redactor is not None and self._message is not None:
            self._recordable = Recordable.of_json(request.body, self._message.value)
        self._correlate()

    def _read_message(self, request: RequestArrived) -> None:
        message = self._message = mcp.read_message(request.body)
        try:
            check_headers(request.headers, message, self.links.mirrors(self.route.upstream, message.tool))
        except HeaderMismatchError:
            self._mismatch = True
            raise
        if message.is_request and message.method not in _ENDLESS:
            self.digest = message.digest(self.route.upstream, self.route.path)
        if message.tool:
            self.route = replace(self.route, kind="tool", tool=message.tool)
            self._arguments = message.arguments

    def ask(self) -> ToolAsked:
        """Only a tool's call is a named tool; for everything else just the host and the budgets count."""
        tool = self.route.tool
        return ToolAsked(
            trajectory=self.memory.id,
            upstream=self.route.upstream if tool else None,
            host=self.route.host,
            tool=tool,
            digest=self.digest,
            body_bytes=len(self._body),
            arguments=self._arguments,
            aliases=self._aliases(tool) if tool else (),
        )

    def brings(self) -> tuple[CallProposed, ...]:
        """What the client's model calls on behalf of the server, which runs it."""
        if self._message is None:
            return ()
        return tuple(
            CallProposed(self.memory.id, name, arguments=arguments, aliases=self._aliases(name))
            for name, arguments in mcp.sampled_calls(self._message)
        )

    def apply(self, verdict: DropTools) -> None:
        """A request offers no tools."""

    def texts(self) -> tuple[tuple[str, str], ...]:
        if self.redactor is None:
            return ()
        return tuple(pair for pair in self._texts() if not self.redactor.knows(*pair))

    def _texts(self) -> tuple[tuple[str, str], ...]:
        return (*self._recordable.texts, (self.route.path, ""))

    def seal(self) -> bytes:
        recorded, name, arguments = self._body, self.route.tool, self._arguments
        if self.redactor is not None:
            self.redactor.check_texts(self._texts())
            vault = self._vault(self.redactor)
            recorded = self._recordable.masked(self.redactor, vault)
            if recorded is not self._body:
                arguments = Recordable.of(arguments.encode()).masked(self.redactor, vault).decode()
            name = mask_plain(name, self.redactor, vault, key="name")
        self.sent = (Span.of(recorded),) if recorded else ()
        self._call = (name, arguments)
        return self._body

    def mask_counts(self) -> dict[str, int]:
        return {}

    # --- the reply ---

    def reply_began(self, head: ReplyBegan, judge: ReplyJudge) -> bool:
        def offered(names: tuple[str, ...]) -> frozenset[str]:
            return judge.offered(tuple((name, *self._aliases(name)) for name in names))

        self._reply = McpReply(self._message, offered, resumes=bool(header(self._headers, _RESUMES_AFTER)))
        session = header(head.headers, _SESSION) or header(self._headers, _SESSION)
        if self.matched_by != "client":
            self.links.remember("session", self.route.upstream, session, Link(self.memory.id))
        kind = header(head.headers, "content-type").partition(";")[0].strip().lower()
        is_message = self.route.method == "POST" and head.status != 202  # "accepted": no message will follow
        self._is_read = 200 <= head.status < 300 and (is_message or kind == "text/event-stream")
        self.streamed = kind == "text/event-stream"
        return not self.streamed

    def part(self, data: bytes) -> StreamStep:
        self._keep(self._upstream, data)
        if self._reply is None or not self._is_read:
            return StreamStep(send=data)
        step = self._shown(self._reply.feed(data))
        self._note_tools(self._reply)
        return step

    def end(self) -> StreamStep:
        return self._shown(self._reply.end()) if self._reply is not None and self._is_read else StreamStep()

    def whole(self, body: bytes, judge: ReplyJudge) -> bytes:
        self._keep(self._upstream, body)
        if self._reply is None or not self._is_read:
            return body  # an error, or a page that is no message: clients look for tools in neither
        client = self._reply.whole(body)
        self._keep(self._client, client)
        self._note_tools(self._reply)
        return client

    @property
    def is_finished(self) -> bool:
        return self._reply is None or not self._is_read or self._reply.is_finished

    @property
    def has_failed(self) -> bool:
        """A tool that says it failed has failed, though it says so with status 200."""
        answer = self._answer()
        return answer is not None and answer.failed

    def record_texts(self) -> tuple[tuple[str, str], ...]:
        redactor = self.redactor
        if redactor is None:
            return ()
        self._recordable_reply = self._read_reply(self._upstream)
        return tuple(pair for pair in self._recordable_reply.texts() if not redactor.knows(*pair))

    def recorded(self) -> Recorded:
        upstream = self._written(self._upstream, self._recordable_reply)
        client = None
        if self._reply is not None and self._reply.edited:
            client = self._written(self._client)
        tool = ToolUse(*self._call, self._refused or self.has_failed) if self.route.kind == "tool" else None
        note = "only the beginning of the reply is recorded" if self._kept > _MAX_RECORDED_BYTES else ""
        return Recorded(upstream, client, note=note, tool=tool)

    def path_recorded(self) -> str:
        if self.redactor is None:
            return self.route.path
        if not self.redactor.knows(self.route.path, ""):
            return self.route.path.partition("?")[0]  # refused before it was searched
        return mask_plain(self.route.path, self.redactor, self._vault(self.redactor))

    def masked(self, text: str) -> str:
        return text if self.redactor is None else mask_plain(text, self.redactor, self._vault(self.redactor))

    def extra(self) -> dict[str, str]:
        """`continues` names the operation whose task, question or broken stream this exchange goes on with."""
        answer = self._answer()
        extra = {
            "mcp_method": self._message.method[:100] if self._message is not None else "",
            "mcp_version": self._version()[:20],
            "mcp_result": str(answer.result.get("resultType") or "")[:40] if answer is not None else "",
            "mcp_tools_changed": ", ".join(self._changed)[:1000],
            "continues": self._continued.operation if self._continued is not None else "",
        }
        return {key: value for key, value in extra.items() if value}

    def settled(self, *, delivered: bool) -> None:
        reply = self._reply
        if reply is None:
            return
        known = self.memory.operations.get(self.digest)
        operation = self._continued.operation if self._continued is not None else known[0] if known else ""
        link = Link(self.memory.id, operation)
        if reply.answer is not None:
            self.links.remember("task", self.route.upstream, mcp.task_of(reply.answer), link)
            self.links.remember("state", self.route.upstream, mcp.state_of(reply.answer), link)
        elif not reply.is_finished:
            self.links.remember("event", self.route.upstream, reply.latest_event, link)

    # --- answers of our own ---

    def error(self, status: int, code: str, message: str) -> Rendered:
        """A call that policy refuses is a tool that failed; all else is an error of the protocol."""
        asked = self._message
        if asked is not None and asked.tool and asked.is_request and status < 500 and not self._mismatch:
            self._refused = True
            return Rendered(200, mcp.tool_refusal(asked, message, stateless=mcp.is_stateless(self._version())))
        return Rendered(status, mcp.rpc_error(asked, self._number(status, code), message, code))

    def error_event(self, code: str, message: str) -> bytes | None:
        """Of a stream that answers no request there is nothing to fail: it is cut, and the client opens it again."""
        if self._message is None or not self._message.is_request:
            return None
        return event(mcp.rpc_error(self._message, mcp.INTERNAL_ERROR, message, code), "message")

    def final_message(self, text: str) -> Rendered | None:
        return None

    def _number(self, status: int, code: str) -> int:
        if self._mismatch:
            return mcp.HEADER_MISMATCH
        if code == "unreadable_body":
            return mcp.INVALID_REQUEST
        return mcp.INTERNAL_ERROR if status >= 500 else mcp.REFUSED

    # --- which trajectory ---

    def _correlate(self) -> None:
        message, upstream = self._message, self.route.upstream
        if message is not None and message.method:
            self._continued = self.links.find("task", upstream, mcp.task_of(message)) or self.links.find(
                "state", upstream, mcp.state_of(message)
            )
        elif message is None:
            self._continued = self.links.find("event", upstream, header(self._headers, _RESUMES_AFTER))
        if self.named_session:
            return
        found, self.matched_by = self._found()
        self.memory = found or self.memories.get(
            self.memory.id, self.memory.session, self.memory.task, self.memory.agent
        )

    def _found(self) -> tuple[TrajectoryMemory | None, str]:
        message = self._message
        if message is not None:
            meta = message.params.get("_meta")
            ids = [str(meta[key]) for key in _CALL_IDS if key in meta] if isinstance(meta, dict) else []
            if (found := self.memories.by_call(ids)) is not None:
                return found, "tool_call_id"
            for name in (message.tool, *self._aliases(message.tool)) if message.tool else ():
                if (found := self.memories.by_proposal(name, self._arguments or "{}")) is not None:
                    return found, "tool_arguments"
        session = self.links.find("session", self.route.upstream, header(self._headers, _SESSION))
        for link in (self._continued, session):
            if link is not None and (found := self.memories.known(link.trajectory)) is not None:
                return found, "mcp"
        return None, "client"

    def _aliases(self, tool: str) -> tuple[str, ...]:
        return (mcp.full_name(self.route.upstream, tool),)

    def _version(self) -> str:
        said = self._message.version if self._message is not None else ""
        return said or header(self._headers, VERSION)

    # --- the record ---

    def _answer(self) -> Message | None:
        return self._reply.answer if self._reply is not None else None

    def _note_tools(self, reply: McpReply) -> None:
        if reply.tools:
            self._changed += self.links.listed(self.route.upstream, reply.tools)
            reply.tools = []

    def _shown(self, step: StreamStep) -> StreamStep:
        self._keep(self._client, step.send)
        self._keep(self._client, step.last)
        return step

    def _keep(self, kept: list[bytes], data: bytes) -> None:
        if kept is self._upstream:
            self._kept += len(data)
        if self._kept <= _MAX_RECORDED_BYTES:
            kept.append(data)

    def _written(self, reply: list[bytes], read: RecordableReply | None = None) -> Body:
        if self.redactor is None:
            data = b"".join(reply)
        else:
            data = (read or self._read_reply(reply)).masked(self.redactor, self._vault(self.redactor))
        return (Span.of(data),) if data else ()

    def _read_reply(self, reply: list[bytes]) -> RecordableReply:
        return RecordableReply.of(b"".join(reply), is_stream=self.streamed)

    def _vault(self, redactor: Redactor) -> Vault:
        if self.memory.vault is None:
            self.memory.vault = redactor.new_vault()
        return self.memory.vault
