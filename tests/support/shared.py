"""Where the real recordings are: the folder `shared` beside the repository, absent in most clones."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"


def shared_path(*parts: str) -> Path:
    """The path below `shared`, or the test is skipped with a sentence that says what is missing."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(
            f"the folder shared/{'/'.join(parts)} is not beside this repository: real recordings are not tested"
        )
    return path
