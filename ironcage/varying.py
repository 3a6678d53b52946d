"""Prompt variants: read from the command line, and their bake-offs read together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from ironcage.scorecards import find_bakeoff, scored
from replay.fingerprint import changed_parts
from replay.prompts import EDITS, Edit, replacing
from replay.variants import Variant, VariantPlan
from scoring.report.variants import PromptChange, PromptVariant, VariantsReport
from scoring.scorecard import Scorecard
from scoring.stepwise import agrees
from scoring.variants import VariantRun, read_variants
from trajectory.errors import OperatorError
from trajectory.runs import Bakeoff
from trajectory.store import Store

_REPLACE = "replace:"
_VARIED = frozenset({"prompt", "tasks"})
"""Parts of a fingerprint that a prompt changes: its own, and the first request that a task is."""


def read_variants_of(files: Sequence[str], edits: Sequence[str]) -> tuple[Variant, ...]:
    """NAME=FILE and NAME=EDIT+EDIT…, in that order. OperatorError if one of them is none, or none is given."""
    found = [_whole(*_named("--variant", one, "polite=prompts/polite.txt")) for one in files]
    found += [_edited(*_named("--edit", one, "plain=drop-role")) for one in edits]
    if not found:
        raise OperatorError("there is no variant of the recorded prompt", hint="give one by --variant or --edit")
    return tuple(found)


def read_cells(store: Store, name: str, plans: Sequence[VariantPlan]) -> VariantsReport:
    """OperatorError if the bake-offs differ in more than their prompts."""
    cards = [scored(store, find_bakeoff(store, cell.plan.id)) for cell in plans]
    _require_same([card.bakeoff for card in cards])
    stepwise = cards[0].bakeoff.mode == "stepwise"
    decided: list[VariantRun] = []
    counted = Counter[str]()
    for cell, card in zip(plans, cards, strict=True):
        found = _steps(store, cell, card) if stepwise else _runs(cell, card)
        for one in found:
            if isinstance(one, VariantRun):
                decided.append(one)
            else:
                counted[one] += 1
    return VariantsReport(
        id=name,
        variants=tuple(_shown(cell) for cell in plans),
        read=read_variants(decided),
        excluded=counted["excluded"],
        undecided=counted["unknown"],
        measure="agreement" if stepwise else "success",
        notes=tuple(_notes(cards[0].bakeoff)),
    )


def _runs(cell: VariantPlan, card: Scorecard) -> Iterator[VariantRun | str]:
    """Each run, or why it is in no number."""
    for row in card.runs:
        if row.counting == "scored":
            yield VariantRun(model=row.candidate, prompt=cell.variant.name, task=row.task, passed=row.passed)
        else:
            yield row.counting


def _steps(store: Store, cell: VariantPlan, card: Scorecard) -> Iterator[VariantRun | str]:
    """Of a stepwise replay each step that can be compared: passed is the recorded action."""
    made = {run.id: run for run in store.runs(cell.plan.id)}
    for row in card.runs:
        if row.counting == "excluded":
            yield row.counting
        for step in made[row.run].steps:
            same = agrees(step)
            if same is None:
                yield "unknown"
            else:
                yield VariantRun(model=row.candidate, prompt=cell.variant.name, task=row.task, passed=same)


def _notes(bakeoff: Bakeoff) -> Iterator[str]:
    if bakeoff.mode == "stepwise":
        yield (
            "Agreement is the share of recorded steps in which the candidate took the recorded action: of all steps in "
            "the first table, of each task's steps where models and prompts are compared, so that a long task counts "
            "as much as a short one."
        )
    yield f"Runs were begun {bakeoff.order}."
    for why in bakeoff.left_out.values():
        yield f"Left out: {why}."


def _require_same(bakeoffs: Sequence[Bakeoff]) -> None:
    for one in bakeoffs[1:]:
        changed = set(changed_parts(bakeoffs[0].fingerprint_parts, one.fingerprint_parts)) - _VARIED
        if changed:
            raise OperatorError(
                f"{one.id} ran under other conditions than {bakeoffs[0].id}: {', '.join(sorted(changed))}",
                hint="run the variants again under one new --id",
            )


def _shown(cell: VariantPlan) -> PromptVariant:
    changes = dict.fromkeys(change for varied in cell.prompts.values() for change in varied.changes)
    return PromptVariant(
        name=cell.variant.name,
        bakeoff=cell.plan.id,
        source=cell.variant.source,
        prompts=len({varied.recorded for varied in cell.prompts.values()}),
        changes=tuple(PromptChange(what=one.what, before=one.before, after=one.after) for one in changes),
    )


def _named(option: str, entry: str, example: str) -> tuple[str, str]:
    name, equals, rest = entry.partition("=")
    if not (name and equals and rest):
        raise OperatorError(f"{option} {entry!r} has no name", hint=f"for example {option} {example}")
    return name, rest


def _whole(name: str, file: str) -> Variant:
    return Variant(name, Path(file).name, text=_read(file))


def _edited(name: str, asked: str) -> Variant:
    return Variant(name, asked, edits=tuple((one, _edit(one)) for one in asked.split("+")))


def _edit(asked: str) -> Edit:
    if asked.startswith(_REPLACE):
        return replacing(_replacements(asked.removeprefix(_REPLACE)))
    if asked not in EDITS:
        raise OperatorError(f"{asked!r} is no edit", hint=f"it is one of {', '.join(EDITS)}, {_REPLACE}FILE")
    return EDITS[asked]


def _replacements(file: str) -> dict[str, str]:
    try:
        read = yaml.safe_load(_read(file))
    except yaml.YAMLError as e:
        raise OperatorError(f"{file} cannot be read: {e}", hint="one line `old text: new text` for each") from None
    pairs = read.items() if isinstance(read, dict) else ()
    if not pairs or not all(isinstance(text, str) and text for pair in pairs for text in pair[:1]):
        raise OperatorError(f"{file} has no replacements", hint="one line `old text: new text` for each")
    return {old: "" if new is None else str(new) for old, new in pairs}


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as e:
        raise OperatorError(f"cannot read {file}: {e}", hint="name a text file") from None
