from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ironcage.doctor.files import check_secrets, check_store
from ironcage.settings import Loaded, Settings
from policies.constraints import Constraints
from policies.redaction.key import load_or_create_key
from proxy.intercept.certificates import open_authority
from trajectory.sql.opening import open_store


def loaded(folder: Path, **keys: str) -> Loaded:
    return Loaded(settings=Settings(**keys), constraints=Constraints(), folder=folder)


def test_store_is_looked_at_and_never_made(tmp_path: Path) -> None:
    assert "will be made" in check_store(loaded(tmp_path)).message
    assert list(tmp_path.iterdir()) == []
    open_store(f"sqlite:///{tmp_path}/ironcage.db").close()
    line = check_store(loaded(tmp_path))
    assert (line.status, "revision" in line.message) == ("ok", True)


def test_store_of_another_revision_is_a_warning_and_stays_so(tmp_path: Path) -> None:
    file = tmp_path / "ironcage.db"
    open_store(f"sqlite:///{file}").close()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE ironcage_version SET version_num = '0000'")
    for _ in range(2):
        line = check_store(loaded(tmp_path))
        assert (line.status, "0000" in line.message) == ("warn", True)


@pytest.mark.parametrize("content", [b"no database" * 100, b""])
def test_file_that_is_no_store_fails(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ironcage.db").write_bytes(content)
    assert check_store(loaded(tmp_path)).status == "fail"


def test_store_that_cannot_be_opened_fails_with_its_hint(tmp_path: Path) -> None:
    assert check_store(loaded(tmp_path, store="sqlite:///no/such/x.db")).status == "fail"
    unreachable = check_store(loaded(tmp_path, store="mysql://x/y"))
    assert (unreachable.status, bool(unreachable.hint)) == ("fail", True)
    assert check_store(loaded(tmp_path, store="sqlite://")).status == "ok"


def test_keys_that_others_may_read_fail(tmp_path: Path) -> None:
    assert [line.status for line in check_secrets(loaded(tmp_path))] == ["ok", "ok"]
    assert not (tmp_path / ".ironcage").exists()
    state = tmp_path / ".ironcage"
    load_or_create_key(state / "pseudonyms.key")
    open_authority(state / "ca")
    assert [line.status for line in check_secrets(loaded(tmp_path))] == ["ok", "ok"]
    for file in (state / "pseudonyms.key", state / "ca" / "ironcage-ca.pem"):
        file.chmod(0o640)
    lines = list(check_secrets(loaded(tmp_path)))
    assert [line.status for line in lines] == ["fail", "fail"]
    assert all("chmod 600" in line.hint for line in lines)


def test_cut_key_and_open_folder_are_found(tmp_path: Path) -> None:
    state = tmp_path / ".ironcage"
    load_or_create_key(state / "pseudonyms.key")
    (state / "pseudonyms.key").write_bytes(b"short")
    state.chmod(0o777)
    assert [line.status for line in check_secrets(loaded(tmp_path))] == ["warn", "fail", "ok"]
