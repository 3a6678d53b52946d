"""The end of an attempt as budgets settle it: what was counted, what was written, and whether anybody bills it."""

from __future__ import annotations

from trajectory.conversation import Reply
from trajectory.events import AttemptEnded, End, ModelAsked
from trajectory.record import Attempt
from trajectory.trajectory import AttemptView


def answered(asked: ModelAsked, attempt: Attempt | AttemptView, end: End, *, was_sent: bool) -> AttemptEnded:
    """Of the attempt that policy let `asked` make; refused before a byte of it went out if not `was_sent`."""
    answer = attempt.answer
    said = _text_bytes(answer) if answer is not None else 0
    return AttemptEnded(
        asked.trajectory,
        asked.digest,
        end,
        asked=asked,
        is_free=not was_sent or _is_free(attempt),
        usage=answer.usage if answer is not None else None,
        model=answer.model if answer is not None else None,
        text_bytes=said,
        answer_bytes=None if attempt.first_byte_s is None else _written(asked, said, attempt.reply_bytes, end),
    )


def _is_free(attempt: Attempt | AttemptView) -> bool:
    if attempt.first_byte_s is not None:
        return attempt.status is not None and attempt.status >= 400
    return (attempt.error or "").startswith("unreachable")  # one that timed out or was reset may have been answered


def _text_bytes(answer: Reply) -> int:
    parts = (answer.text, *(part for call in answer.calls for part in (call.name, call.arguments)))
    return answer.reasoning_bytes + sum(len(part.encode("utf-8", "surrogatepass")) for part in parts)


def _written(asked: ModelAsked, said: int, reply_bytes: int, end: End) -> int | None:
    """Of a reply that broke off or told of an error all bytes count, framing too: it stands for reasoning that is not
    shown. What a model wrote before its first byte of answer was seen, nobody knows. Of several answers one is read.
    """
    if end == "complete" and said and asked.answers == 1:
        return said
    return reply_bytes if said or end in ("complete", "failed") else None
