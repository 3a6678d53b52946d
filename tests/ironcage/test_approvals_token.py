from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ironcage.approvals_token import approvals_token, is_token, token_file
from ironcage.settings import Loaded, Settings
from policies.constraints import Constraints
from trajectory.errors import OperatorError


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    return Loaded(settings=Settings(), constraints=Constraints(), folder=tmp_path)


def test_it_is_made_once_for_its_owner_only(loaded: Loaded) -> None:
    made = approvals_token(loaded, {})
    assert len(made) >= 32
    assert stat.S_IMODE(token_file(loaded).stat().st_mode) == 0o600
    assert approvals_token(loaded, {}) == made
    assert is_token(made, made)


def test_that_of_the_environment_is_taken_and_nothing_written(loaded: Loaded) -> None:
    given = "a-token-of-my-own-choice"
    assert approvals_token(loaded, {"IRONCAGE_APPROVALS_TOKEN": given}) == given
    assert not token_file(loaded).exists()


@pytest.mark.parametrize("given", ["", "short"])
def test_one_that_can_be_guessed_is_refused(loaded: Loaded, given: str) -> None:
    with pytest.raises(OperatorError, match="characters"):
        approvals_token(loaded, {"IRONCAGE_APPROVALS_TOKEN": given})


def test_a_file_that_others_can_read_is_refused(loaded: Loaded) -> None:
    approvals_token(loaded, {})
    token_file(loaded).chmod(0o644)
    with pytest.raises(OperatorError, match=r"the approvals token file .* is open to other users"):
        approvals_token(loaded, {})


@pytest.mark.parametrize("given", ["", "wrong", "ä\udcff"])
def test_another_text_is_not_it(given: str) -> None:
    assert not is_token(given, "a-token-of-my-own-choice")
