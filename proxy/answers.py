"""What the proxy itself says to a client, as effects: a whole answer, or the end of a reply in progress."""

from __future__ import annotations

from policies.verdict import Code
from proxy.arrivals import Headers
from proxy.effects import BreakConnection, Effect, EndReply, Respond, SendPart
from proxy.wire.format import Rendered


def answer(rendered: Rendered, code: Code | None, headers: Headers = ()) -> Respond:
    """`code` is that of a refusal, which nobody is to send again."""
    said: Headers = (("Content-Type", rendered.content_type), *headers)
    if code is not None:
        said = (*said, ("x-ironcage-refusal", code), ("x-should-retry", "false"))
    return Respond(rendered.status, said, rendered.body)


def ending(error_event: bytes | None) -> list[Effect]:
    """A reply in progress fails with its format's own error event; where that has none, the connection breaks."""
    return [BreakConnection()] if error_event is None else [SendPart(error_event), EndReply()]
