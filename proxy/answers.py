"""What the proxy itself says to a client: a whole answer, the end of a reply in progress, or that it goes on."""

from __future__ import annotations

from policies.verdict import Code
from proxy.arrivals import Headers, header
from proxy.effects import BreakConnection, Effect, EndReply, Respond, SendPart
from proxy.wire.format import Rendered
from proxy.wire.sse import GENAI_KEEP_ALIVE, KEEP_ALIVE


def answer(rendered: Rendered, code: Code | None, headers: Headers = ()) -> Respond:
    """`code` is that of a refusal, which nobody is to send again."""
    said: Headers = (("Content-Type", rendered.content_type), *headers)
    if code is not None:
        said = (*said, ("x-ironcage-refusal", code), ("x-should-retry", "false"))
    return Respond(rendered.status, said, rendered.body)


def ending(error_event: bytes | None) -> list[Effect]:
    """A reply in progress fails with its format's own error event; where that has none, the connection breaks."""
    return [BreakConnection()] if error_event is None else [SendPart(error_event), EndReply()]


def keep_alive(wire: str, headers: Headers) -> bytes:
    """What may be sent within a reply that has begun, and says nothing; empty where its format has no such thing."""
    if not header(headers, "content-type").lower().startswith("text/event-stream"):
        return b""
    return GENAI_KEEP_ALIVE if wire == "gemini.generate" else KEEP_ALIVE
