"""A recorded reply told again in its own wire format, where its bytes were not kept."""

from __future__ import annotations

import msgspec

from proxy.effects import Forward
from proxy.wire.format import Rendered
from proxy.wire.gemini import asks_for_array
from replay.swap.dialects import DIALECTS
from replay.swap.losses import Losses
from replay.swap.neutral import Call
from replay.swap.replies.said import Manner, Said
from trajectory.conversation import Reply


def say_again(reply: Reply, wire: str, mark: str, request: Forward) -> Rendered:
    """As a stream: a whole reply is kept as it is. `mark` is unlike that of any other reply of the session."""
    dialect, losses = DIALECTS[wire], Losses()
    asked = dialect.reads.read(msgspec.json.decode(request.body), losses)
    calls = tuple(Call(call.id, call.name, call.arguments, call.name in asked.freeform) for call in reply.calls)
    finish = reply.finish or ("tool_call" if calls else "end")
    said = Said(reply.id or mark, reply.model or "unknown", reply.text, calls, finish, reply.usage)
    manner = Manner(True, asked.includes_usage, as_array=asks_for_array(request.path))
    return dialect.replies.render(said, manner, losses)
