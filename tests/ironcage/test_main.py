from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ironcage import __main__, __version__
from ironcage.__main__ import ELSEWHERE, FINDING, FINE, INTERRUPTED, OPERATOR
from tests.support.command_line import CommandLine
from trajectory.errors import CageError, IroncageError, OperatorError, StoreError, UpstreamError


def started(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IRONCAGE_")}
    command = [sys.executable, "-m", "ironcage", *arguments]
    root = Path(__main__.__file__).parents[1]
    return subprocess.run(
        command, cwd=folder, env={**environment, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )


def test_version_is_all_that_is_printed(tmp_path: Path) -> None:
    done = started(tmp_path, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (FINE, f"{__version__}\n", "")


def test_error_is_two_lines_what_and_what_to_do(tmp_path: Path) -> None:
    done = started(tmp_path, "-c", "nowhere.yaml", "trajectories", "list")
    assert done.returncode == OPERATOR
    assert done.stdout == ""
    assert done.stderr == "ironcage: nowhere.yaml: no such file\n  write one with: ironcage init\n"


def test_unknown_command_and_unknown_option_are_operator_errors(cli: CommandLine) -> None:
    for arguments in (("no-such-command",), ("trajectories", "list", "--no-such-option")):
        done = cli(*arguments)
        assert done.code == OPERATOR
        assert done.err.startswith("ironcage: ")
        assert "--help" in done.err
        assert done.out == ""


def test_value_that_is_none_of_a_choice_is_said_with_those_that_are(cli: CommandLine) -> None:
    done = cli("trajectories", "label", "t", "great")
    assert done.code == OPERATOR
    assert done.err.startswith("ironcage: Invalid value for 'outcome': 'great' is not one of 'passed'")


def test_store_that_cannot_be_read_is_exit_code_3(cli: CommandLine) -> None:
    (cli.folder / "ironcage.db").write_bytes(b"this is no database at all" * 100)
    done = cli("trajectories", "list")
    assert done.code == ELSEWHERE
    assert done.err.count("\n") == 2
    assert "restore" in done.err


def test_store_that_something_else_owns_is_refused(cli: CommandLine) -> None:
    cli.config(store="sqlite:///no/such/folder/x.db")
    done = cli("trajectories", "list")
    assert (done.code, "create the folder" in done.err) == (ELSEWHERE, True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OperatorError("x", hint="y"), OPERATOR),
        (StoreError("x", hint="y"), ELSEWHERE),
        (UpstreamError("x", hint="y"), ELSEWHERE),
        (CageError("x", hint="y"), FINDING),
        (KeyboardInterrupt(), INTERRUPTED),
        (ZeroDivisionError(), ELSEWHERE),
    ],
)
def test_each_error_has_its_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr("ironcage.commands.trajectories._store", failing)
    assert __main__.run(["trajectories", "list"]) == code
    if isinstance(error, IroncageError):
        assert capsys.readouterr().err == "ironcage: x\n  y\n"


def test_main_exits_with_the_code(monkeypatch: pytest.MonkeyPatch, cli: CommandLine) -> None:
    with pytest.raises(SystemExit) as exited:
        __main__.main(["-c", str(cli.file), "trajectories", "show", "nobody"])
    assert exited.value.code == ELSEWHERE
