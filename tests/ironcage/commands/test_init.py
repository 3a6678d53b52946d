from __future__ import annotations

import pytest

from ironcage.settings import load
from ironcage.starter import VENDORS
from tests.support.command_line import CommandLine


@pytest.fixture
def fresh(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """No configuration yet, and no variable of a provider."""
    cli.file.unlink()
    for name in [name for vendor in VENDORS for name in (*vendor.keys, *vendor.urls)]:
        monkeypatch.delenv(name, raising=False)
    return cli


def test_written_files_load_and_name_what_was_found(fresh: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1")
    done = fresh("init")
    assert done.code == 0
    assert f"ironcage -c {fresh.file} serve" in done.out
    assert f"ironcage -c {fresh.file} run -- python my_agent.py" in done.out
    loaded = load(fresh.file, environment={})
    assert list(loaded.settings.upstreams) == ["openai"]
    assert loaded.constraints.constraints.max_retries == 5
    written = "".join(file.read_text(encoding="utf-8") for file in fresh.folder.iterdir())
    assert "sk-secret-1" not in written + done.out + done.err
    assert sorted(file.name for file in fresh.folder.iterdir()) == ["constraints.json", "ironcage.yaml"]


def test_second_init_changes_nothing_without_force(fresh: CommandLine) -> None:
    assert fresh("init").code == 0
    fresh.file.write_text("listen: 127.0.0.1:1\n", encoding="utf-8")
    again = fresh("init")
    assert (again.code, "--force" in again.err) == (2, True)
    assert fresh.file.read_text(encoding="utf-8") == "listen: 127.0.0.1:1\n"


def test_where_no_provider_was_found_naming_one_comes_first(fresh: CommandLine) -> None:
    assert f"next:\n  name the models and tools of your agent in {fresh.file}\n" in fresh("init").out


def test_force_replaces_the_configuration_and_never_the_constraints(fresh: CommandLine) -> None:
    constraints = fresh.folder / "constraints.json"
    constraints.write_text('{"constraints": {"max_retries": 1}}', encoding="utf-8")
    fresh.file.write_text("listen: 127.0.0.1:1\n", encoding="utf-8")
    done = fresh("init", "--force")
    assert (done.code, f"kept {constraints}" in done.out) == (0, True)
    assert load(fresh.file, environment={}).constraints.constraints.max_retries == 1
    assert "127.0.0.1:8800" in fresh.file.read_text(encoding="utf-8")


def test_folder_that_is_not_there_is_said(fresh: CommandLine) -> None:
    fresh.folder = fresh.folder / "nowhere"
    done = fresh("init")
    assert (done.code, "cannot write" in done.err) == (2, True)


def test_what_init_writes_passes_the_checks_but_for_redaction(fresh: CommandLine) -> None:
    assert fresh("init").code == 0
    assert [finding["code"] for finding in fresh("policy", "check", "--json").json["findings"]] == ["redaction_off"]
