from __future__ import annotations

from pathlib import Path

import pytest

from ironcage.settings import address, load
from trajectory.errors import OperatorError


def written(folder: Path, text: str) -> Path:
    file = folder / "ironcage.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_flags_win_over_environment_and_environment_over_file(tmp_path: Path) -> None:
    file = written(tmp_path, "listen: 127.0.0.1:1\nadmin_listen: 127.0.0.1:2\nstore: sqlite:///a.db\n")
    environment = {"IRONCAGE_LISTEN": "127.0.0.1:10", "IRONCAGE_ADMIN_LISTEN": "127.0.0.1:20"}
    settings = load(file, {"listen": "127.0.0.1:100", "store": None}, environment).settings
    assert (settings.listen, settings.admin_listen, settings.store) == (
        "127.0.0.1:100",
        "127.0.0.1:20",
        "sqlite:///a.db",
    )


def test_empty_variable_is_no_override(tmp_path: Path) -> None:
    file = written(tmp_path, "listen: 127.0.0.1:1\n")
    assert load(file, environment={"IRONCAGE_LISTEN": ""}).settings.listen == "127.0.0.1:1"


def test_relative_paths_start_at_the_file_wherever_a_command_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (home / "limits.json").write_text('{"constraints": {"max_retries": 7}}', encoding="utf-8")
    file = written(home, "store: sqlite:///kept.db\nconstraints: limits.json\n")
    monkeypatch.chdir(elsewhere)
    loaded = load(file, environment={})
    assert loaded.store_url == f"sqlite:///{home}/kept.db"
    assert loaded.path("ca.pem") == home / "ca.pem"
    assert loaded.constraints.constraints.max_retries == 7


def test_absolute_and_server_stores_stay_as_they_are(tmp_path: Path) -> None:
    for url in ("sqlite:////var/ironcage.db", "postgresql://ada@db/ironcage", "sqlite://"):
        assert load(written(tmp_path, f"store: '{url}'\n"), environment={}).store_url == url


def test_file_is_found_by_flag_then_variable_then_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, environment={}).file is None
    written(tmp_path, "listen: 127.0.0.1:1\n")
    other = tmp_path / "other.yaml"
    other.write_text("listen: 127.0.0.1:2\n", encoding="utf-8")
    assert load(None, environment={}).settings.listen == "127.0.0.1:1"
    assert load(None, environment={"IRONCAGE_CONFIG": str(other)}).settings.listen == "127.0.0.1:2"
    assert (
        load(tmp_path / "ironcage.yaml", environment={"IRONCAGE_CONFIG": str(other)}).settings.listen == "127.0.0.1:1"
    )


def test_file_that_was_named_and_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no such file") as raised:
        load(tmp_path / "nowhere.yaml", environment={})
    assert "ironcage init" in raised.value.hint


def test_constraints_may_stand_inline_with_or_without_their_wrapper(tmp_path: Path) -> None:
    plain = load(written(tmp_path, "constraints: {constraints: {max_retries: 2}}\n"), environment={})
    wrapped = load(
        written(tmp_path, "constraints: {evaluation_config: {constraints: {max_retries: 2}}}\n"), environment={}
    )
    assert plain.constraints == wrapped.constraints
    assert plain.constraints.constraints.max_retries == 2


def test_misspelled_key_is_refused_with_line_and_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"ironcage\.yaml:2:1.*admin_listn") as raised:
        load(written(tmp_path, "listen: 127.0.0.1:1\nadmin_listn: 127.0.0.1:2\n"), environment={})
    assert "admin_listen" in raised.value.hint


@pytest.mark.parametrize(
    ("value", "expected"),
    [("127.0.0.1:8800", ("127.0.0.1", 8800)), ("[::1]:0", ("::1", 0)), ("localhost:65535", ("localhost", 65535))],
)
def test_address_is_host_and_port(value: str, expected: tuple[str, int]) -> None:
    assert address(value, "listen") == expected


@pytest.mark.parametrize("value", ["8800", "127.0.0.1:", ":8800", "127.0.0.1:65536", "127.0.0.1:http", ""])
def test_what_is_no_address_is_refused_with_its_key(value: str) -> None:
    with pytest.raises(OperatorError, match="forward_listen"):
        address(value, "forward_listen")
