"""A trajectory as its page shows it: what was asked, then each step with what came of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ironcage.console.wording import pretty
from trajectory.conversation import Message
from trajectory.trajectory import AttemptView, Step, Trajectory

Tone = Literal["fine", "policy", "failed", "quiet"]
MAX_TEXT = 1200
"""Characters of a text that are shown at once; the rest is one click away."""
MAX_SHOWN = 100_000
"""Characters of a text that a page holds at all; the rest is in the recorded body."""
_TRACK = 1000.0
_LEAST_BAR = 4.0

END_SENTENCES = {
    "complete": "complete",
    "failed": "failed",
    "cut": "cut before its end",
    "aborted": "the client went away",
    "refused": "refused by policy",
}


@dataclass(frozen=True, slots=True)
class Clipped:
    """`rest` is empty where all of it is in `start`; `lost` counts the characters that are in neither."""

    start: str
    rest: str = ""
    lost: int = 0

    @classmethod
    def of(cls, text: str) -> Clipped:
        if len(text) <= MAX_TEXT:
            return cls(text)
        return cls(text[:MAX_TEXT], text[MAX_TEXT:MAX_SHOWN], max(0, len(text) - MAX_SHOWN))


@dataclass(frozen=True, slots=True)
class Bar:
    """Place of an attempt on the trajectory's time line, in thousandths of its length; `wait` until the first byte."""

    x: float
    wait: float
    width: float


@dataclass(frozen=True, slots=True)
class AttemptCard:
    view: AttemptView
    bar: Bar
    tone: Tone
    said: str
    text: Clipped | None
    calls: tuple[tuple[str, Clipped], ...]
    sides: tuple[str, ...]
    reply: Clipped | None = None


@dataclass(frozen=True, slots=True)
class StepCard:
    step: Step
    title: str
    tone: Tone
    attempts: tuple[AttemptCard, ...]
    arguments: Clipped | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Tokens are None where no reply said any."""

    duration_s: float
    attempts: int
    retries: int
    refusals: int
    input_tokens: int | None
    output_tokens: int | None
    bytes_moved: int


@dataclass(frozen=True, slots=True)
class Said:
    role: str
    text: Clipped


def totals(trajectory: Trajectory) -> Totals:
    views = [view for step in trajectory.steps for view in step.attempts]
    usages = [view.answer.usage for view in views if view.answer is not None and view.answer.usage is not None]
    began, ended = _span(trajectory.steps)
    return Totals(
        duration_s=ended - began,
        attempts=len(views),
        retries=trajectory.retries,
        refusals=sum(refusals_of(view) for view in views),
        input_tokens=_sum([usage.input_tokens for usage in usages]),
        output_tokens=_sum([usage.output_tokens for usage in usages]),
        bytes_moved=sum(view.request_bytes + view.reply_bytes for view in views),
    )


def refusals_of(view: AttemptView) -> int:
    """As the store's listing counts them: at least one if the attempt ended refused."""
    noted = sum(note.count for note in view.verdicts if note.action in ("refuse", "cut"))
    return noted or int(view.end == "refused")


def cards(trajectory: Trajectory, steps: Sequence[Step], replies: dict[str, str]) -> list[StepCard]:
    """`steps` are those of the page; `replies` holds the texts of tool replies by attempt id, where they are short."""
    began, ended = _span(trajectory.steps)
    length = max(ended - began, 1e-9)
    return [_card(step, began, length, replies) for step in steps]


def opening(messages: Sequence[Message]) -> list[Said]:
    """What the model was first asked."""
    return [Said(message.role, Clipped.of(message.text)) for message in messages if message.text.strip()]


def _card(step: Step, began: float, length: float, replies: dict[str, str]) -> StepCard:
    attempts = tuple(_attempt(view, began, length, replies) for view in step.attempts)
    tone = attempts[-1].tone
    if tone == "fine" and any(attempt.tone == "policy" for attempt in attempts):
        tone = "policy"
    tool = step.last.tool
    arguments = Clipped.of(pretty(tool.arguments)) if tool is not None and tool.arguments.strip() else None
    return StepCard(step, _title(step), tone, attempts, arguments)


def _title(step: Step) -> str:
    if step.last.tool is not None:
        return step.last.tool.name
    return step.model or f"{step.method} {step.host}{step.path}"


def _attempt(view: AttemptView, began: float, length: float, replies: dict[str, str]) -> AttemptCard:
    answer = view.answer
    reply = replies.get(view.id)
    return AttemptCard(
        view=view,
        bar=_bar(view, began, length),
        tone=tone_of(view),
        said=_said(view),
        text=Clipped.of(answer.text) if answer is not None and answer.text.strip() else None,
        calls=tuple((call.name, Clipped.of(pretty(call.arguments))) for call in answer.calls) if answer else (),
        sides=_sides(view),
        reply=Clipped.of(pretty(reply)) if reply else None,
    )


def _said(view: AttemptView) -> str:
    said = END_SENTENCES.get(view.end, view.end)
    stopped = any(note.action == "refuse" for note in view.verdicts)
    return f"{said}, a call refused" if view.end == "complete" and stopped else said


def tone_of(view: AttemptView) -> Tone:
    if view.end == "refused" or any(note.action in ("refuse", "cut", "ask") for note in view.verdicts):
        return "policy"
    if view.end != "complete" or (view.tool is not None and view.tool.is_error):
        return "failed"
    return "fine"


def _sides(view: AttemptView) -> tuple[str, ...]:
    """Bodies worth a link; a link to one that was not recorded says so when it is followed."""
    edited = any(note.action in ("refuse", "cut", "rewrite") for note in view.verdicts) or view.end != "complete"
    return ("request", "reply", "client_reply") if edited else ("request", "reply")


def _bar(view: AttemptView, began: float, length: float) -> Bar:
    x = min(max((view.started_at - began) / length, 0.0), 1.0) * _TRACK
    width = max(min(view.total_s / length, 1.0) * _TRACK, _LEAST_BAR)
    x = min(x, _TRACK - width)
    first = view.first_byte_s if view.first_byte_s is not None else view.total_s
    share = first / view.total_s if view.total_s > 0 else 0.0
    return Bar(round(x, 1), round(width * min(max(share, 0.0), 1.0), 1), round(width, 1))


def _span(steps: Sequence[Step]) -> tuple[float, float]:
    views = [view for step in steps for view in step.attempts]
    if not views:
        return 0.0, 0.0
    return min(view.started_at for view in views), max(view.started_at + view.total_s for view in views)


def _sum(amounts: Sequence[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None
