"""A request to a place that is not served: never sent on, but written down like any other refusal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from policies.redaction.secrets import without_secrets
from policies.verdict import DropTools
from proxy.arrivals import ReplyBegan, RequestArrived
from proxy.masking import mask_plain
from proxy.memory import TrajectoryMemory
from proxy.operation import Recorded, Route
from proxy.redactor import Redactor
from proxy.wire.format import Rendered, ReplyJudge, StreamStep
from trajectory.conversation import ToolDefinition
from trajectory.events import CallProposed, ToolAsked
from trajectory.record import Body


@dataclass(slots=True, eq=False)
class RefusedOperation:
    """Its body is left out of the record: where it would have gone nobody judged it."""

    route: Route
    memory: TrajectoryMemory
    redactor: Redactor | None
    matched_by: str = ""
    digest: str = ""
    model: str | None = None
    streamed: bool = False
    tools: tuple[ToolDefinition, ...] = ()
    sent: Body = ()
    refusal_status: int = 400

    def read(self, request: RequestArrived) -> None: ...

    def ask(self) -> ToolAsked:
        return ToolAsked(self.memory.id, None, self.route.host, "", "", 0)

    def brings(self) -> tuple[CallProposed, ...]:
        return ()

    def apply(self, verdict: DropTools) -> None: ...

    def texts(self) -> tuple[tuple[str, str], ...]:
        return ()

    def seal(self) -> bytes:
        return b""

    def mask_counts(self) -> dict[str, int]:
        return {}

    def reply_began(self, head: ReplyBegan, judge: ReplyJudge) -> bool:
        return True

    def part(self, data: bytes) -> StreamStep:
        return StreamStep()

    def end(self) -> StreamStep:
        return StreamStep()

    def whole(self, body: bytes, judge: ReplyJudge) -> bytes:
        return b""

    @property
    def is_finished(self) -> bool:
        return True

    @property
    def has_failed(self) -> bool:
        return False

    def record_texts(self) -> tuple[tuple[str, str], ...]:
        return ()

    def recorded(self) -> Recorded:
        return Recorded(())

    def path_recorded(self) -> str:
        """Without the query, where credentials may stand under any name."""
        return self.masked(without_secrets(urlsplit(self.route.path).path[:500]))

    def masked(self, text: str) -> str:
        if self.redactor is None:
            return text
        if self.memory.vault is None:
            self.memory.vault = self.redactor.new_vault()
        return mask_plain(text, self.redactor, self.memory.vault)

    def extra(self) -> dict[str, str]:
        return {}

    def settled(self, *, delivered: bool) -> None: ...

    def error(self, status: int, code: str, message: str) -> Rendered:
        """The shape of OpenAI's errors, which most clients can read, with the code also where tools look."""
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        return Rendered(status, json.dumps({"error": error}, ensure_ascii=False).encode())

    def error_event(self, code: str, message: str) -> bytes | None:
        return None

    def final_message(self, text: str) -> Rendered | None:
        return None
