"""The sections of a report under the names by which a reader asks for one. Terminal and Markdown set them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from scoring.report.certificates import certificate_lines
from scoring.report.dataset import dataset_lines
from scoring.report.decision import decision_parts
from scoring.report.fidelity import fidelity_tables
from scoring.report.losses import loss_tables
from scoring.report.quality import context_tables, path_tables, resource_tables, retry_tables, side_by_side
from scoring.report.stepwise import stepwise_tables
from scoring.report.tables import (
    Part,
    Table,
    cost_table,
    count_tables,
    error_table,
    outcome_table,
    pair_table,
    pass_k_table,
)
from scoring.report.versions import versions
from scoring.scorecard import Scorecard

MAX_PARTINGS = 8
"""First divergences that are told; the page has more, the JSON file all."""


@dataclass(frozen=True, slots=True)
class Section:
    """`says` completes "shows …" in one line; `parts` is empty where there is nothing to say."""

    says: str
    parts: Callable[[Scorecard], tuple[Part, ...]]


def sections_of(card: Scorecard) -> dict[str, tuple[Part, ...]]:
    """By name, those that have something to say of this bake-off."""
    found = {name: section.parts(card) for name, section in SECTIONS.items()}
    return {name: parts for name, parts in found.items() if parts}


def _tables(*found: Table | None) -> tuple[Part, ...]:
    return tuple(Part(table.title, table=table) for table in found if table is not None)


def _of_whole_runs(tables: Callable[[Scorecard], Iterable[Table | None]]) -> Callable[[Scorecard], tuple[Part, ...]]:
    """Stepwise runs went no way of their own to an end: their steps are what there is to tell."""
    return lambda card: () if card.stepwise else _tables(*tables(card))


def _partings(card: Scorecard) -> tuple[Part, ...]:
    """Where runs first part from the reference path."""
    lines = tuple(
        f"{one.heading} ({one.outcome}; {one.what}): {one.here} — the reference: {one.there}"
        for one in side_by_side(card)[:MAX_PARTINGS]
    )
    return (Part("First divergences", lines),) if lines else ()


def _formulas(card: Scorecard) -> tuple[Part, ...]:
    lines = dict.fromkeys(formula.formula for formula in card.formulas)
    values = (f"{formula.candidate}: {formula.with_values}" for formula in card.formulas)
    return () if card.stepwise else (Part("Formulas with the values used", (*lines, *values), is_code=True),)


def _equal(card: Scorecard) -> tuple[Part, ...]:
    parts = (f"{name}: {digest}" for name, digest in sorted(card.bakeoff.fingerprint_parts.items()))
    ran = (f"{name} {version}" for name, version in versions().items())
    lines = (f"fingerprint {card.bakeoff.fingerprint}", *parts, *dataset_lines(card), *certificate_lines(card), *ran)
    return (Part("What was equal, and what ran", lines),)


SECTIONS: Mapping[str, Section] = {
    "verdict": Section(
        "what can and what cannot be concluded", lambda card: (Part("What can be concluded", card.conclusions),)
    ),
    "decision": Section(
        "standings, leads and what would change the decision",
        lambda card: decision_parts(card.decision) if card.decision else (),
    ),
    "outcome": Section(
        "success under each way of counting, score, limits hit", _of_whole_runs(lambda c: [outcome_table(c)])
    ),
    "pairs": Section(
        "every pair on its common tasks, with tests", _of_whole_runs(lambda c: [pair_table(c) if c.pairs else None])
    ),
    "steps": Section("agreement with the recorded steps, and what they cost", lambda c: _tables(*stepwise_tables(c))),
    "cost": Section("memory, tool calls, tokens and time of a run", _of_whole_runs(lambda c: [cost_table(c)])),
    "reliability": Section("pass^k and pass@k over trials", _of_whole_runs(lambda c: [pass_k_table(c)])),
    "faults": Section("why runs did not pass, and what policy refused", lambda c: _tables(*count_tables(c))),
    "fidelity": Section(
        "what tool results rest on, and success by how much of a run does", lambda c: _tables(*fidelity_tables(c))
    ),
    "losses": Section("what was lost between wire formats", lambda c: _tables(*loss_tables(c))),
    "path": Section(
        "tool calls against the reference, first divergences",
        lambda c: () if c.stepwise else (*_tables(*path_tables(c)), *_partings(c)),
    ),
    "context": Section("how prompts grow", _of_whole_runs(context_tables)),
    "retries": Section("attempts in vain, and the errors met", _of_whole_runs(retry_tables)),
    "resources": Section("dollars, memory near its limit, packages installed", _of_whole_runs(resource_tables)),
    "errors": Section("standard errors, naive and clustered", _of_whole_runs(lambda c: [error_table(c)])),
    "cautions": Section(
        "what to know before quoting a number",
        lambda c: (Part("Before you quote a number", tuple(one.text for one in c.cautions)),) if c.cautions else (),
    ),
    "formulas": Section("the score with the values used", _formulas),
    "definitions": Section(
        "what each number means",
        lambda c: (Part("Definitions", tuple(f"{name}: {text}" for name, text in c.definitions.items())),),
    ),
    "equal": Section("fingerprint, data set, certificates, versions", _equal),
}
