from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from policies.redaction.key import load_or_create_key
from trajectory.errors import OperatorError


def test_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "tenant.key"
    key = load_or_create_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_key(path) == key
    assert [file.name for file in path.parent.iterdir()] == ["tenant.key"]


def test_all_who_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "tenant.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_or_create_key(path), range(16)))
    assert len(keys) == 1


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tenant.key"
    load_or_create_key(path)
    path.chmod(0o644)
    with pytest.raises(OperatorError, match="open to other users"):
        load_or_create_key(path)


def test_a_cut_key_is_refused_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "tenant.key"
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(OperatorError, match="has 5 bytes"):
        load_or_create_key(path)
    assert path.read_bytes() == b"short"


def test_a_folder_in_the_place_of_the_file_is_an_operator_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(OperatorError, match="cannot use the pseudonym key file"):
        load_or_create_key(tmp_path)
