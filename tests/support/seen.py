"""What a client makes of a reply, whichever it is: to compare an official SDK with the neutral reply."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from trajectory.conversation import Finish, Reply, Usage


@dataclass(frozen=True)
class Seen:
    """`calls` are (name, arguments), parsed where they are JSON; `usage` is None where the SDK has none.

    The neutral usage includes what the provider counts beside: cached tokens, thoughts.
    """

    text: str
    calls: tuple[tuple[str, Any], ...]
    finish: Finish | None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    reasoning_tokens: int | None = None
    model: str | None = None
    id: str | None = None


def seen_of(reply: Reply) -> Seen:
    usage = reply.usage or Usage()
    return Seen(
        reply.text,
        tuple((call.name, parsed(call.arguments)) for call in reply.calls),
        reply.finish,
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.reasoning_tokens,
        reply.model,
        reply.id,
    )


def parsed(arguments: Any) -> Any:
    """Text that is no JSON is itself; no arguments are the empty text."""
    if arguments is None:
        return ""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
