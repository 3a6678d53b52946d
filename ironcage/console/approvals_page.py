"""The page of waiting calls: what it shows of each, and the one script of the console."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ironcage.approving import state_of
from ironcage.console.wording import count, when
from ironcage.readable import Piece, pieces, readable_arguments, visible
from proxy.approval_desk import Question
from proxy.approvals import ApprovalAsked

MAX_READ = 200_000
"""Characters of arguments that are shown. Of longer ones nothing is: what matters may stand in the rest."""


@dataclass(frozen=True, slots=True)
class Card:
    """`arguments` None: they are too long to be shown. `odd` counts what is not shown as it was sent."""

    question: Question
    tool: list[Piece]
    arguments: list[Piece] | None
    size: str
    odd: int
    facts: list[tuple[str, str]]
    why: str
    state: str
    counts_down: bool


def cards(questions: Sequence[Question], keep_s: float) -> list[Card]:
    return [_card(question, keep_s) for question in questions]


def _card(question: Question, keep_s: float) -> Card:
    asked = question.asked
    tool = pieces(asked.tool)
    arguments = readable_arguments(asked.arguments) if len(asked.arguments) <= MAX_READ else None
    return Card(
        question=question,
        tool=tool,
        arguments=arguments,
        size=count(len(asked.arguments), "character"),
        odd=sum(piece.is_odd for piece in (*tool, *(arguments or ()))),
        facts=_facts(asked),
        why=visible(asked.why),
        state=state_of(question, keep_s),
        counts_down=question.state == "waiting",
    )


def _facts(asked: ApprovalAsked) -> list[tuple[str, str]]:
    """Who asks, when, and which rule has it so; a trajectory only where it is not the session's own."""
    trajectory = asked.trajectory if asked.trajectory != asked.session else None
    who = (("session", asked.session), ("trajectory", trajectory), ("task", asked.task), ("agent", asked.agent))
    facts = [*who, ("asked", f"{when(asked.asked_at_s)} UTC"), ("rule", asked.rule), ("id", asked.id)]
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
