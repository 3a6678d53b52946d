"""What every wire format of a model API can do. Policies never see past this: neutral in, native out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard, runtime_checkable

from msgspec import Struct

from policies.verdict import Refuse
from proxy.wire.arguments import ArrivingArguments
from proxy.wire.layout import Layout, Section
from proxy.wire.spans import Texts
from trajectory.conversation import Message, Reply, ToolDefinition
from trajectory.errors import FormatError

Lookup = Callable[[str], str | None]
"""From a pseudonym to the value it stands for in this session; None for any other text."""


class Asked(Struct, frozen=True):
    """What a request asks of a model, apart from its messages."""

    model: str
    streamed: bool
    tools: tuple[ToolDefinition, ...] = ()
    forced_tool: str | None = None
    max_tokens: int | None = None
    answers: int = 1
    """How many of these: some formats let a request ask for several."""
    counts: bool = False
    """Tokens are counted, and no reply is asked for: this is no turn of the conversation."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A whole HTTP reply of our own, in the route's native shape."""

    status: int
    body: bytes
    content_type: str = "application/json"


class Question(Protocol):
    """About a call that a person decides on. Until it is decided the call waits, and all behind it."""

    @property
    def is_open(self) -> bool: ...


class ReplyJudge(Protocol):
    """What a reply reader asks while bytes pass it."""

    @property
    def reads_arguments(self) -> bool:
        """Whether any rule judges calls by their arguments."""

    def awaits_arguments(self, name: str) -> bool:
        """Whether a call of this tool can be judged only once its arguments are there."""

    def question(self, name: str, call_id: str, arguments: str) -> Question | None:
        """Where a person decides on this call, which can wait: asked about once, before `call`."""

    def call(self, name: str, call_id: str, arguments: str | ArrivingArguments) -> Refuse | None:
        """The verdict on a proposed tool call, given once, when its name is known.

        A call that a person has yet to decide on is refused; once that is done, the reply is read again.
        """

    def passes(self, name: str) -> bool:
        """Whether a call of this tool would pass whatever its arguments are. Leaves nothing in the record: what is
        asked about is only how some clients read a name.
        """

    def doubted(self, name: str, why: str) -> Refuse:
        """The refusal of a call whose arguments cannot be told for sure."""

    def offered(self, tools: Sequence[tuple[str, ...]]) -> frozenset[str]:
        """Of tools that a reply offers, each by all its names: the first names of those that may not be called."""

    lookup: Lookup | None
    """Set if pseudonyms are to be restored; None if this session issued none."""


class TurnCall(Struct, frozen=True):
    """A call of an assistant turn of which client and upstream have different views.

    `notice` is what the client got in place of the call, None where it got the call. `raw` is a refused call as the
    upstream wrote it, in JSON as the format's requests have it; empty where the format has no way to put it back.
    """

    id: str
    name: str
    notice: str | None = None
    raw: bytes = b""


TurnCalls = tuple[TurnCall, ...]
"""All calls of one assistant turn, in order."""


@dataclass(slots=True)
class ReplyRead:
    """A reply as understood. `text`, `calls` in `reply` are the upstream's own view, refused calls included.

    `client` is what the client gets; the upstream's bytes themselves where nothing was edited. `client_reply` is
    what the client understands of it (values restored, refused calls as text); None where that is `reply`.
    """

    reply: Reply
    client: bytes
    texts: Texts = ()
    client_reply: Reply | None = None
    refused: tuple[Refuse, ...] = ()
    restored: int = 0
    turn: TurnCalls = ()
    """Set where a call was refused."""
    failed: bool = False
    """The reply tells of an error, whatever its status says."""


class HeldTurn(Struct, frozen=True):
    """`id` is that of a reply or, where `is_latest`, of a conversation, whose latest turn is meant."""

    id: str
    is_latest: bool = False


class RefusedReplyError(FormatError):
    """A whole reply that may not pass, in a format whose replies are not edited."""

    def __init__(self, refused: Refuse) -> None:
        super().__init__(refused.message)
        self.refused = refused


class Signed(Protocol):
    """A wire whose requests are signed by the client: they go on as they came, or not at all."""

    is_signed: bool
    is_opaque: bool
    """What its bodies say nobody here can read: they do not pass where redaction is on."""


def is_signed(wire: object) -> TypeGuard[Signed]:
    """Asked twice of every request: `isinstance` of a protocol would take as long as the verdicts of all rules."""
    return getattr(wire, "is_signed", False) is True


class StreamStep(Struct):
    """What became of one part of a stream. `send` may flow at once; `last` must wait until the step is recorded.

    `asks`: nothing more comes of it until people have decided on calls in it; then an empty part, or the end once
    more, brings the rest.
    """

    send: bytes = b""
    last: bytes = b""
    asks: bool = False


class StreamReader(Protocol):
    """Reads one streamed reply. Any chunking of the same bytes gives the same reply and the same output."""

    edited: bool
    refused: list[Refuse]
    restored: int
    ended: bool
    """The format's own terminator was seen."""
    failed: bool
    """The stream itself told of an error."""

    def feed(self, part: bytes) -> StreamStep:
        """Raises FormatError when the stream cannot be understood; nothing unjudged has been let out then."""

    def end(self) -> StreamStep:
        """The upstream ended its reply: let out what was held only for lack of more."""

    def reply(self) -> Reply:
        """As the upstream gave it, refused calls included."""

    def client_reply(self) -> Reply:
        """As the client understands it: values restored, refused calls as text."""

    def turn(self) -> TurnCalls:
        """Asked where a call was refused, once the reply is over."""


@runtime_checkable
class StreamsAs(Protocol):
    """A wire whose streams come as another content type than server-sent events."""

    stream_type: str


@runtime_checkable
class EndsWithError(Protocol):
    """A stream reader whose errors take the shape of what it has let out so far."""

    def error_event(self, code: str, message: str) -> bytes | None:
        """None where nothing has been let out: then the wire's own error event will do."""


class Wire(Protocol):
    name: str
    list_key: str
    """The key of the request's conversation list."""
    refusal_status: int
    """The status that stops this format's clients best: 400, and 403 on Anthropic's (clients.md, section 3)."""

    def read_request(self, layout: Layout, path: str) -> Asked:
        """Raises FormatError where the request cannot be judged."""

    def read_message(self, section: Section) -> Message: ...

    def drop_tools(self, layout: Layout, names: frozenset[str]) -> None:
        """Take tools out of what is sent; the remaining definitions keep their bytes and order."""

    def set_model(self, layout: Layout, model: str, parameters: dict[str, float | int | str | bool]) -> None: ...

    def read_reply(self, body: bytes, judge: ReplyJudge) -> ReplyRead:
        """Raises FormatError where the reply cannot be judged."""

    def stream(self, judge: ReplyJudge) -> StreamReader: ...

    def error(self, status: int, code: str, message: str) -> Rendered:
        """A native error: a refusal of policy, or a failure of the upstream."""

    def error_event(self, code: str, message: str) -> bytes:
        """The format's own error event for a stream in progress."""

    def final_message(self, text: str, model: str, streamed: bool) -> Rendered:
        """A well-formed, successful reply whose text says that policy ended the run."""

    def put_back(self, layout: Layout, at: int | None, turn: TurnCalls) -> int | None:
        """Send the upstream's own view of a turn where the client's stands in the items from `at` on: each refused
        call in the place of its notice, and the notice as its result behind them. All items from there on are new.

        `at` is None where the server holds the turn, so that only results are sent, first of all items. Returns the
        index of the first item behind the turn; None where the turn is not there just as the client got it: then
        nothing is changed.
        """

    def held_turn(self, layout: Layout) -> HeldTurn | None:
        """What the request goes on from, where the server holds the conversation."""

    def links(self, layout: Layout) -> list[str]:
        """Ids that the request's new part refers to: tool calls that it answers, replies that it continues. The
        strongest link to a session.
        """

    def path_with_model(self, path: str, model: str) -> str:
        """`path`, with its model replaced where the format names the model there."""
