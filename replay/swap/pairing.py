"""Calls and their results, one to one: what every provider checks of a conversation with tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from replay.swap.losses import Losses
from replay.swap.naming import Bounds
from replay.swap.neutral import Call, Message, Part, Result
from trajectory.conversation import Text

_NO_RESULT = "no result was recorded"
_STRAY = "[the result of a tool call that is not in this conversation]\n"


def paired(messages: Sequence[Message], bounds: Bounds, losses: Losses) -> tuple[Message, ...]:
    """`messages` with every id within `bounds` and given once, and every call answered right behind its turn, in order.

    A turn of the candidate's own keeps the ids that it has: its results take them over.
    """
    taken: set[str] = set()
    out: list[Message] = []
    open_calls: dict[str, Call] = {}
    for message in messages:
        if message.role == "tool":
            answered, strays = _answered(message.results, open_calls, losses)
            out += [one for one in (answered, strays) if one.parts]
            open_calls = {}
            continue
        if open_calls:
            out.append(_answered((), open_calls, losses)[0])
        identified, open_calls = _identified(message, bounds, taken, losses)
        out.append(identified)
    if open_calls:
        out.append(_answered((), open_calls, losses)[0])
    return tuple(out)


def _identified(message: Message, bounds: Bounds, taken: set[str], losses: Losses) -> tuple[Message, dict[str, Call]]:
    """The message with ids that fit, and its calls by the ids that they came with."""
    calls: dict[str, Call] = {}
    parts: list[Part] = []
    own = iter(message.native_ids)
    for part in message.parts:
        if not isinstance(part, Call):
            parts.append(part)
            continue
        fitted = next(own, "") if message.native else _free(part.id, bounds, taken, losses)
        call = replace(part, id=fitted)
        # an id that is given twice in one turn answers the first of its calls
        calls[part.id if part.id not in calls else f"{part.id} {len(calls)}"] = call
        parts.append(call)
    return replace(message, parts=tuple(parts)), calls


def _free(call_id: str, bounds: Bounds, taken: set[str], losses: Losses) -> str:
    fitted = bounds.fitted(call_id, "call_")
    again = 0
    while fitted in taken:
        again += 1
        fitted = bounds.fitted(f"{call_id} {again}", "call_")
    taken.add(fitted)
    if fitted != call_id:
        what = "some were rewritten: too long, of other characters, or given twice"
        losses.add("identifier", "ids of tool calls", what)
    return fitted


def _answered(results: Sequence[Result], calls: dict[str, Call], losses: Losses) -> tuple[Message, Message]:
    """The results of a turn in the order of its calls, and those of no call in the user's words."""
    by_id = {result.call_id: result for result in results}
    if len(by_id) < len(results):
        losses.add("tool_result", "results of tool calls", "of several results of one call the last was kept")
    found = tuple(_result(by_id.pop(call_id, None), call, losses) for call_id, call in calls.items())
    return Message("tool", found), Message("user", tuple(_strays(by_id.values(), losses)))


def _result(result: Result | None, call: Call, losses: Losses) -> Result:
    if result is None:
        losses.add("tool_result", "results of tool calls", f"a call had none, and was given one: {_NO_RESULT}")
        result = Result(call.id, (Text(_NO_RESULT),), is_error=True)
    return replace(result, call_id=call.id, name=call.name, is_freeform=call.is_freeform)


def _strays(results: Iterable[Result], losses: Losses) -> Iterator[Part]:
    for result in results:
        losses.add("tool_result", "results of tool calls", "one that answers no call was given as the user's words")
        yield Text(_STRAY + "\n".join(result.texts))
        yield from (part for part in result.parts if not isinstance(part, Text))
