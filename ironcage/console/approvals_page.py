"""The page of waiting calls: what it shows of each, and the one script of the console."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

from markupsafe import Markup

from ironcage.approving import state_of
from ironcage.console.wording import count, when
from ironcage.readable import Piece, pieces, readable_arguments, visible
from proxy.approval_desk import Question
from proxy.approvals import ApprovalAsked

MAX_READ = 50_000
"""Characters of arguments that are shown. Of longer ones nothing is: what matters may stand in the rest."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A text as HTML, with what is not shown as it was sent marked; `odd` counts those places."""

    html: Markup
    odd: int

    @property
    def lines(self) -> int:
        return self.html.count("\n") + 1


@dataclass(frozen=True, slots=True)
class Card:
    """`arguments` None: they are too long to be shown."""

    question: Question
    tool: Shown
    arguments: Shown | None
    size: str
    facts: list[tuple[str, str]]
    why: str
    state: str

    @property
    def odd(self) -> int:
        return self.tool.odd + (self.arguments.odd if self.arguments is not None else 0)


def cards(questions: Sequence[Question], keep_s: float) -> list[Card]:
    return [_card(question, keep_s) for question in questions]


def _card(question: Question, keep_s: float) -> Card:
    asked = question.asked
    return Card(
        question=question,
        tool=_marked(pieces(asked.tool)),
        arguments=_arguments(asked.arguments) if len(asked.arguments) <= MAX_READ else None,
        size=count(len(asked.arguments), "character"),
        facts=_facts(asked),
        why=visible(asked.why),
        state=state_of(question, keep_s),
    )


@lru_cache(maxsize=128)
def _arguments(arguments: str) -> Shown:
    """Once for each call, not at each look: an agent may have filled the desk with what is slow to read."""
    return _marked(readable_arguments(arguments))


def _marked(found: Sequence[Piece]) -> Shown:
    html = Markup("").join(Markup("<mark>{}</mark>").format(one.text) if one.is_odd else one.text for one in found)
    return Shown(html, sum(one.is_odd for one in found))


def _facts(asked: ApprovalAsked) -> list[tuple[str, str]]:
    """Who asks, when, and which rule has it so; a trajectory only where it is not the session's own."""
    trajectory = asked.trajectory if asked.trajectory != asked.session else None
    who = (("session", asked.session), ("trajectory", trajectory), ("task", asked.task), ("agent", asked.agent))
    facts = [
        *who,
        ("to", asked.place),
        ("asked", f"{when(asked.asked_at_s)} UTC"),
        ("rule", asked.rule),
        ("id", asked.id),
    ]
    return [(name, visible(value)) for name, value in facts if value]


@cache
def script() -> str:
    return (files("ironcage.console") / "templates" / "approvals.js").read_text(encoding="utf-8")


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; connect-src 'self'; style-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


POLICY = _policy()
"""The page's own script runs, by its digest, and no other, wherever it may come from."""
