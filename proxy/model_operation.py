"""A model call: a request in some wire format, judged and masked against what its trajectory sent before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from policies.redaction.pseudonyms import Vault
from policies.verdict import DropTools
from proxy.arrivals import ReplyBegan, RequestArrived, header
from proxy.masked_conversation import masked_reply, masked_tool
from proxy.masking import (
    content_texts,
    mask_json,
    mask_plain,
    mask_section,
    needs_mask,
    unknown_texts,
)
from proxy.memory import Memories, TrajectoryMemory, begins_like, continues
from proxy.operation import Recorded, Route, Swap
from proxy.prompt_size import CountedPrompt, prompt_size
from proxy.recordable import Recordable
from proxy.redactor import Redactor
from proxy.url_keys import masked_keys
from proxy.wire.format import (
    Asked,
    EndsWithError,
    Rendered,
    ReplyJudge,
    StreamReader,
    StreamsAs,
    StreamStep,
    TurnCalls,
    Wire,
    is_signed,
)
from proxy.wire.holding import stream_reader
from proxy.wire.layout import Layout, Section, read_layout
from proxy.wire.spans import Texts
from proxy.wire.stream_texts import texts_of_stream
from trajectory.conversation import Reply, ToolDefinition
from trajectory.errors import ClientError, FormatError
from trajectory.events import CallProposed, ModelAsked, PromptSize
from trajectory.record import Body, Span


@dataclass(slots=True, eq=False)
class ModelOperation:
    """`memory` is given where the client named its session; else `read` finds it, `new_id` naming a new one."""

    route: Route
    wire: Wire
    memories: Memories
    memory: TrajectoryMemory
    named_session: bool
    redactor: Redactor | None
    swap: Swap | None = None
    matched_by: str = "session"
    began_s: float = 0.0
    weighs: bool = True
    """Some rule goes by how large prompts are."""
    digest: str = ""
    model: str | None = None
    streamed: bool = False
    tools: tuple[ToolDefinition, ...] = ()
    sent: Body = ()
    _layout: Layout | None = None
    _asked: Asked | None = None
    _counts: dict[str, int] = field(default_factory=dict)
    _fresh: list[Section] = field(default_factory=list)
    _edited: bool = False
    _is_read: bool = True
    _put_back: int = 0
    _prompted: bool = False
    _prompt_size: PromptSize | None = None
    """Of a request for an answer."""
    _turn: TurnCalls = ()
    _reader: StreamReader | None = None
    _reply: Reply | None = None
    _upstream: list[bytes] = field(default_factory=list)
    _client: list[bytes] | None = None
    _restored: int = 0
    _failed: bool = False
    _client_reply: Reply | None = None
    _reply_texts: Texts = ()

    def read(self, request: RequestArrived) -> None:
        known = self.memory if self.named_session else self._similar(request.body)
        layout = read_layout(request.body, self.wire.list_key, known.layout if known is not None else None)
        self._asked = self.wire.read_request(layout, self.route.path)
        wire: object = self.wire
        if is_signed(wire) and wire.is_opaque and self.redactor is not None:
            raise FormatError("it is in a format of its model's own, which cannot be searched for personal data")
        self.digest = layout.digest(self.route.upstream, masked_keys(self.route.path))
        if not self.named_session:
            self.memory = self._correlated(layout, known)
        if known is not self.memory:
            layout = self._own(layout, request.body)
            if self.redactor is not None:
                self._reissue(layout, self.redactor)
        self._put_back = self.memory.views.put_back(self.wire, layout)
        if self.swap is not None:
            self.wire.set_model(layout, self.swap.model, self.swap.parameters)
            self._prompted = self.swap.prompt is not None and self.swap.prompt.put_into(self.wire.name, layout)
            self._edited = True
        self._layout = layout
        self.model = self.swap.model if self.swap is not None else self._asked.model
        self.streamed = self._asked.streamed
        self.tools = self._asked.tools

    def ask(self) -> ModelAsked:
        asked, layout = self._asked, self._layout
        if asked is None or layout is None:  # pragma: no cover - the exchange reads first
            raise RuntimeError("asked before it was read")
        if self.weighs and not asked.counts:
            counted = self.memory.counted and self.memory.counted.by(self._full_model)
            self._prompt_size = prompt_size(layout, self.wire.held_turn(layout), counted)
        return ModelAsked(
            trajectory=self.memory.id,
            upstream=self.route.upstream,
            host=self.route.host,
            model=self.model or "",
            digest=self.digest,
            body_bytes=len(layout.body),
            tools=tuple([tool.name for tool in asked.tools]),
            forced_tool=asked.forced_tool,
            session=self.memory.session,
            at_s=self.began_s,
            prompt=self._prompt_size,
            max_tokens=(self.swap and self.swap.max_tokens) or asked.max_tokens,
            answers=asked.answers,
            counts=asked.counts,
        )

    @property
    def _full_model(self) -> str:
        return f"{self.route.upstream}/{self.model}"

    def brings(self) -> tuple[CallProposed, ...]:
        return ()

    def apply(self, verdict: DropTools) -> None:
        self._edited = True
        if self._layout is not None:
            self.wire.drop_tools(self._layout, verdict.names)

    def texts(self) -> tuple[tuple[str, str], ...]:
        if self._layout is None or self.redactor is None:
            return ()
        self._fresh = self._layout.unsearched()
        return unknown_texts(self._fresh, self.redactor)

    def seal(self) -> bytes:
        layout = self._layout
        if layout is None:  # pragma: no cover - the exchange reads first
            raise RuntimeError("sealed before it was read")
        if self.redactor is not None:
            vault = self._vault(self.redactor)
            # what a verdict replaced or added since is new, too
            for section in self._fresh if not self._edited else layout.unsearched():
                mask_section(section, self.redactor, vault)
                for kind, _ in section.issued:
                    self._counts[kind] = self._counts.get(kind, 0) + 1
            self.redactor.check_kinds(self._counts)
            if any(placed.section.issued for placed in layout.fields.values()):
                self.tools = tuple(masked_tool(tool, self.redactor, vault) for tool in self.tools)
        self.sent = layout.assembled()
        wire: object = self.wire
        if is_signed(wire) and any(section.issued for section in layout.sections()):
            raise ClientError(
                "the request holds personal data, which would be masked",
                hint="a request that is signed over its bytes goes on as it came or not at all",
            )
        if self._asked is not None and not self._asked.counts:
            self.memories.judged(self.memory, layout)
        return self.sent[0].data if len(self.sent) == 1 else b"".join(span.data for span in self.sent)

    def mask_counts(self) -> dict[str, int]:
        return dict(self._counts)

    def reply_began(self, head: ReplyBegan, judge: ReplyJudge) -> bool:
        if self.redactor is not None:
            judge.lookup = self.redactor.lookup(self.memory.vault)
        kind = header(head.headers, "content-type").partition(";")[0].strip().lower()
        self._is_read = 200 <= head.status < 300
        if kind != "text/event-stream" and not self._streams_as(kind):
            return True
        if self._is_read:
            self._reader = stream_reader(self.wire.stream, judge)
        return False

    def whole(self, body: bytes, judge: ReplyJudge) -> bytes:
        self._upstream = [body]
        if not self._is_read:
            return body  # an upstream's error: clients read its wording, so it stays as it is
        read = self.wire.read_reply(body, judge)
        self._reply = read.reply
        self._reply_texts = read.texts
        self._restored = read.restored
        self._client_reply = read.client_reply
        self._turn = read.turn
        self._failed = read.failed
        if read.client is not body:
            self._client = [read.client]
        return read.client

    def part(self, data: bytes) -> StreamStep:
        self._upstream.append(data)
        if self._reader is None:
            return StreamStep(send=data)
        return self._shown(self._reader.feed(data))

    def end(self) -> StreamStep:
        return self._shown(self._reader.end()) if self._reader is not None else StreamStep()

    @property
    def is_finished(self) -> bool:
        """Seen: the terminator, or a finish reason (some servers send no terminator); and no error."""
        if self._reader is None:
            return True
        return not self._reader.failed and (self._reader.ended or self._reader.reply().finish is not None)

    @property
    def has_failed(self) -> bool:
        """The reply told of an error, in its format's own way."""
        return self._reader.failed if self._reader is not None else self._failed

    def record_texts(self) -> tuple[tuple[str, str], ...]:
        redactor = self.redactor
        if redactor is None:
            return ()
        if not self._is_read:
            unread = Recordable.of(b"".join(self._upstream))
            return tuple(pair for pair in unread.texts if not redactor.knows(*pair))
        if self._reader is not None:
            self._reply_texts = _stream_texts(b"".join(self._upstream), self._reader.reply())
        return tuple(pair for pair in content_texts(self._reply_texts) if not redactor.knows(*pair))

    def recorded(self) -> Recorded:
        upstream = b"".join(self._upstream)
        if self.redactor is None:
            client = b"".join(self._client) if self._client is not None and self._is_edited() else None
            return Recorded(_body(upstream), _body(client) if client is not None else None, answer=self.answer())
        return self._recorded_masked(upstream, self.redactor)

    def path_recorded(self) -> str:
        path = masked_keys(self.route.path)
        if self.redactor is None or "?" not in path:
            return path
        return mask_plain(path, self.redactor, self._vault(self.redactor))

    def masked(self, text: str) -> str:
        return text if self.redactor is None else mask_plain(text, self.redactor, self._vault(self.redactor))

    def answer(self) -> Reply | None:
        if self._reply is None and self._reader is not None:
            self._reply = self._reader.reply()
        return self._reply

    def extra(self) -> dict[str, str]:
        extra: dict[str, str] = {}
        if self._asked is not None and self._asked.max_tokens is not None:
            extra["max_tokens"] = str(self._asked.max_tokens)
        if self._asked is not None and self._asked.answers > 1:
            extra["answers"] = str(self._asked.answers)
        if self.swap is not None and self._asked is not None:
            extra["asked_model"] = self._asked.model
        if self._prompted:
            extra["prompt"] = "replaced"
        restored = self._reader.restored if self._reader is not None else self._restored
        if restored:
            extra["restored"] = str(restored)
        if self._put_back:
            extra["put_back"] = str(self._put_back)
        return extra

    def settled(self, *, delivered: bool) -> None:
        reply = self.answer() if delivered else None
        if self._layout is not None and reply is not None and self._prompt_size is not None:
            self.memory.counted = CountedPrompt.of(self._full_model, self._layout, self._prompt_size, reply)
        shown = self._reader.client_reply() if self._reader is not None else self._client_reply
        if reply is not None and shown is not None:
            reply = replace(shown, id=reply.id)
        self.memories.answered(self.memory, self._layout, reply)
        if self._layout is not None and reply is not None:
            turn = self._reader.turn() if self._reader is not None and self._reader.refused else self._turn
            self.memory.views.answered(self.wire, self._layout, reply.id, turn)
        if self._layout is not None and reply is not None:
            self.memories.linked(self.memory, self.wire.links(self._layout))

    @property
    def refusal_status(self) -> int:
        return self.wire.refusal_status

    def error(self, status: int, code: str, message: str) -> Rendered:
        return self.wire.error(status, code, message)

    def error_event(self, code: str, message: str) -> bytes | None:
        reader: object = self._reader
        event = reader.error_event(code, message) if isinstance(reader, EndsWithError) else None
        return self.wire.error_event(code, message) if event is None else event

    def final_message(self, text: str) -> Rendered | None:
        return self.wire.final_message(text, self.model or "", self.streamed)

    # --- which trajectory ---

    def _similar(self, body: bytes) -> TrajectoryMemory | None:
        candidates = self.memories.similar(body)
        for memory in candidates:
            if memory.layout is not None and begins_like(body, memory.layout, len(memory.layout.items)):
                return memory
        for memory in candidates:  # one that goes on otherwise after a failure
            if memory.unanswered and memory.layout and begins_like(body, memory.layout, memory.answered_items):
                return memory
        return candidates[0] if candidates else None

    def _correlated(self, layout: Layout, similar: TrajectoryMemory | None) -> TrajectoryMemory:
        if similar is not None and continues(
            similar, layout, lambda at: self.wire.read_message(layout.items[at].section)
        ):
            # the same bytes and, where the answer called tools, the ids of the calls
            self.matched_by = "tool_call_id" if similar.answer is not None and similar.answer.calls else "history"
            return similar
        found = self.memories.by_call(self.wire.links(layout))
        if found is not None:
            self.matched_by = "tool_call_id"
            return found
        self.matched_by = "new"
        return self.memories.get(self.memory.id, self.memory.session, self.memory.task, self.memory.agent)

    def _own(self, layout: Layout, body: bytes) -> Layout:
        """`layout`, without what was put back into it for another trajectory."""
        if not any(placed.section.is_tied for placed in layout.items):
            return layout
        layout = read_layout(body, self.wire.list_key, self.memory.layout)
        self._asked = self.wire.read_request(layout, self.route.path)
        return layout

    def _reissue(self, layout: Layout, redactor: Redactor) -> None:
        """Sections taken over from another trajectory bring pseudonyms that this one must be able to restore."""
        vault = self._vault(redactor)
        for section in layout.sections():
            for kind, value in section.issued:
                vault.issue(kind, value)

    def _streams_as(self, kind: str) -> bool:
        """Whether a reply of this content type is the stream that was asked for, in a format of its own."""
        wire: object = self.wire
        return self._is_read and self.streamed and isinstance(wire, StreamsAs) and kind == wire.stream_type

    # --- the record ---

    def _vault(self, redactor: Redactor) -> Vault:
        if self.memory.vault is None:
            self.memory.vault = redactor.new_vault()
        return self.memory.vault

    def _shown(self, step: StreamStep) -> StreamStep:
        if self._client is None:
            self._client = []
        self._client += [step.send, step.last]
        return step

    def _is_edited(self) -> bool:
        return self._reader is None or self._reader.edited

    def _recorded_masked(self, upstream: bytes, redactor: Redactor) -> Recorded:
        """The upstream's view, masked. What the client saw differs by restored values and refused calls; the first
        must not be written down, the second the verdicts tell.
        """
        vault = self._vault(redactor)
        reply = self.answer()
        if not self._is_read:
            return Recorded(_body(Recordable.of(upstream).masked(redactor, vault)))
        if reply is None or not needs_mask(self._reply_texts, redactor, vault):
            return Recorded(_body(upstream), answer=reply)
        masked = masked_reply(reply, redactor, vault)
        if self._reader is None:
            return Recorded(_body(mask_json(upstream, redactor, vault)[0]), answer=masked)
        note = "the stream held personal data: recorded as it was read, masked"
        return Recorded(_body(msgspec.json.encode(masked)), answer=masked, note=note)


def _stream_texts(stream: bytes, reply: Reply) -> Texts:
    """What was understood of a stream, and what else it holds; a stream that broke off is searched as it stands."""
    understood = (("content", reply.text), *(("arguments", call.arguments) for call in reply.calls))
    try:
        return (*understood, *texts_of_stream(stream))
    except FormatError:
        return (*understood, ("", stream.decode("utf-8", "replace")))


def _body(data: bytes) -> Body:
    return (Span.of(data),) if data else ()
