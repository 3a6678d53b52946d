"""What an exchange carries: a model call or an HTTP tool call. The exchange drives either through one shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from policies.verdict import DropTools
from proxy.arrivals import ReplyBegan, RequestArrived
from proxy.memory import TrajectoryMemory
from proxy.prompting import PromptSwap
from proxy.wire.format import Rendered, ReplyJudge, StreamStep
from trajectory.conversation import Reply, ToolDefinition
from trajectory.events import CallProposed, ModelAsked, ToolAsked
from trajectory.record import Body, Kind, ToolUse


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request came in and where it is to go.

    `path` is what the upstream is asked for (with query, raw); `upstream` is the configured name, or the host
    itself where the configuration names none; `host` is host:port.
    """

    kind: Kind
    wire: str
    upstream: str
    host: str
    method: str
    path: str
    named: bool = True
    tool: str = ""
    place: str = ""
    """Of a tool: the method and path by which its upstream knows it, without what is its arguments."""
    says_more: bool = False
    """`place` says more of the call than the tool's name does: what it is done to, or another verb."""

    @property
    def is_judged(self) -> bool:
        """Replies are read, and may be edited: they must come uncompressed, and their length may change."""
        return self.kind == "model" or self.wire == "mcp"


@dataclass(frozen=True, slots=True)
class Swap:
    """In a replay: the model that answers instead of the one that the agent asks for."""

    upstream: str
    host: str
    model: str
    parameters: dict[str, float | int | str | bool] = field(default_factory=dict)
    prompt: PromptSwap | None = None
    max_tokens: int | None = None
    """What an answer is limited to, in place of what the agent asks for; None where that holds."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Both views of a reply, masked; `client` is None where the client got what the upstream sent.

    `answer` is what was understood of it, masked too.
    """

    upstream: Body
    client: Body | None = None
    note: str = ""
    answer: Reply | None = None
    tool: ToolUse | None = None


class Operation(Protocol):
    route: Route
    """As `read` found it: what a body asks for may make it a tool's call."""

    memory: TrajectoryMemory
    """The trajectory that it belongs to; known once `read` has returned."""

    digest: str
    matched_by: str
    model: str | None
    tools: tuple[ToolDefinition, ...]
    streamed: bool

    def read(self, request: RequestArrived) -> None:
        """Raises FormatError where the body cannot be judged."""

    def ask(self) -> ModelAsked | ToolAsked: ...

    def brings(self) -> tuple[CallProposed, ...]:
        """Tool calls that the request hands to the upstream beside the one that it asks for."""

    def apply(self, verdict: DropTools) -> None: ...

    def texts(self) -> tuple[tuple[str, str], ...]:
        """Texts with JSON keys that detection must see before the request goes on."""

    def seal(self) -> bytes:
        """Mask, assemble and return what is sent. After this the request does not change."""

    @property
    def sent(self) -> Body: ...

    def mask_counts(self) -> dict[str, int]: ...

    def reply_began(self, head: ReplyBegan, judge: ReplyJudge) -> bool:
        """Whether the reply is to be collected whole (True) or flows as it comes."""

    def part(self, data: bytes) -> StreamStep:
        """Raises FormatError where the reply cannot be judged."""

    def end(self) -> StreamStep: ...

    def whole(self, body: bytes, judge: ReplyJudge) -> bytes:
        """What the client gets of a whole reply. Raises FormatError where it cannot be judged."""

    @property
    def is_finished(self) -> bool:
        """The reply says of itself that it is complete, as far as its format can say so."""

    @property
    def has_failed(self) -> bool:
        """The reply says that the operation failed, whatever its status says."""

    def record_texts(self) -> tuple[tuple[str, str], ...]:
        """Texts of the reply that detection must see before it is written down."""

    def recorded(self) -> Recorded: ...

    def path_recorded(self) -> str: ...

    def masked(self, text: str) -> str:
        """`text`, which quotes the request or the reply, as it may be written down."""

    def extra(self) -> dict[str, str]: ...

    def settled(self, *, delivered: bool) -> None:
        """The attempt is over; remember what the next request of this trajectory builds on."""

    @property
    def refusal_status(self) -> int: ...

    def error(self, status: int, code: str, message: str) -> Rendered: ...

    def error_event(self, code: str, message: str) -> bytes | None:
        """None where the format has no error for a reply in progress."""

    def final_message(self, text: str) -> Rendered | None: ...
