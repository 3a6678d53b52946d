"""A scorecard's decision, from the files and bake-offs that a command names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ironcage.scorecards import scored, trajectories_of
from scoring.decision.decide import decide
from scoring.decision.leaderboard import read_leaderboard
from scoring.decision.model import Leaderboard, PresetName
from scoring.decision.presets import PRESETS
from scoring.scorecard import Scorecard
from trajectory.errors import OperatorError
from trajectory.runs import Bakeoff, Candidate
from trajectory.store import Store


def preset_named(name: str) -> PresetName:
    for preset in PRESETS:
        if preset == name:
            return preset
    raise OperatorError(f"--preset {name!r} is unknown", hint=f"it is one of {', '.join(PRESETS)}")


def decided(
    store: Store, card: Scorecard, preset: PresetName, *, uncapped: Bakeoff | None, leaderboard: Path | None
) -> Scorecard:
    candidates = [row.candidate for row in card.candidates]
    return decide(
        card,
        preset,
        trajectories=trajectories_of(store, card.bakeoff),
        uncapped=scored(store, uncapped) if uncapped is not None else None,
        leaderboard=_read(leaderboard, candidates) if leaderboard is not None else None,
    )


def _read(file: Path, candidates: Sequence[Candidate]) -> Leaderboard:
    try:
        return read_leaderboard(file.read_text(encoding="utf-8-sig"), file.name, candidates)
    except OSError as e:
        raise OperatorError(f"cannot read {file}: {e.strerror}", hint="name a file that can be read") from None
    except ValueError as e:  # no UTF-8, no JSON, or no figures
        hint = "it is CSV with a header line, or JSON lines of tau2-bench submissions"
        raise OperatorError(f"cannot read {file} as a leaderboard: {e}", hint=hint) from None
