"""scripts/setup with real interpreters, a real venv and real pip, on a project that needs no download."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A build backend that lives in the project: an editable wheel is one .pth file, one entry point and their records.
BACKEND = """
import os, zipfile
NAME = "ironcage-0.dist-info"
def build_editable(folder, config_settings=None, metadata_directory=None):
    files = {
        "ironcage.pth": os.getcwd() + "\\n",
        f"{NAME}/METADATA": "Metadata-Version: 2.1\\nName: ironcage\\nVersion: 0\\n",
        f"{NAME}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{NAME}/entry_points.txt": "[console_scripts]\\nironcage = ironcage:main\\n",
    }
    with zipfile.ZipFile(os.path.join(folder, "ironcage-0-py3-none-any.whl"), "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr(f"{NAME}/RECORD", "".join(f"{name},,\\n" for name in [*files, f"{NAME}/RECORD"]))
    return "ironcage-0-py3-none-any.whl"
"""
PROJECT = (
    '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "ironcage"\n'
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout that has been set up once."""
    folder = tmp_path_factory.mktemp("a checkout")
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", folder / "scripts" / "setup")
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "requirements-dev.lock").write_text("# nothing to download\n")
    (folder / "ironcage.py").write_text("def main():\n    print('it works')\n")
    done = run_setup(folder)
    assert done.returncode == 0, done.stderr
    assert "using Python 3.1" in done.stderr
    return folder


def run_setup(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As on a fresh machine: no uv, an empty HOME, and no variable of this process."""
    real_python = os.path.realpath(sys.executable)
    settings = {"PATH": "/usr/bin:/bin", "HOME": str(folder / "scripts"), "IRONCAGE_PYTHON": real_python, **environment}
    settings = {name: value for name, value in settings.items() if value}
    command = [folder / "scripts" / "setup", *arguments]
    return subprocess.run(command, env=settings, capture_output=True, text=True, check=False)


def test_set_up_makes_the_program(project: Path) -> None:
    done = subprocess.run([project / ".venv" / "bin" / "ironcage"], capture_output=True, text=True, check=True)
    assert done.stdout == "it works\n"


def test_second_set_up_changes_nothing_and_takes_less_than_a_second(project: Path) -> None:
    before = (project / ".venv" / "ironcage-setup").stat().st_mtime_ns
    began = time.monotonic()
    done = run_setup(project)
    assert time.monotonic() - began < 1
    assert done.returncode == 0
    assert "up to date" in done.stderr
    assert (project / ".venv" / "ironcage-setup").stat().st_mtime_ns == before


def test_interrupted_set_up_does_not_look_finished_and_is_made_anew(project: Path) -> None:
    """A changed lock file is installed into the same environment; if that breaks off, it is not trusted."""
    created = (project / ".venv" / "pyvenv.cfg").stat().st_mtime_ns
    (project / "requirements-dev.lock").write_text("no-such-package==1 --hash=sha256:" + "0" * 64 + "\n")
    failed = run_setup(project, PIP_NO_INDEX="1")
    assert failed.returncode != 0
    assert "using the .venv that is there" in failed.stderr
    assert (project / ".venv" / "pyvenv.cfg").stat().st_mtime_ns == created
    assert not (project / ".venv" / "bin" / "ironcage").exists()

    (project / "requirements-dev.lock").write_text("# nothing to download\n")
    done = run_setup(project)
    assert done.returncode == 0, done.stderr
    assert "using Python 3.1" in done.stderr
    assert (project / ".venv" / "pyvenv.cfg").stat().st_mtime_ns != created
    assert (project / ".venv" / "bin" / "ironcage").exists()
    assert not (project / ".venv.old").exists()


def test_foreign_environment_that_cannot_be_used_is_left_alone(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "copy", ignore=shutil.ignore_patterns(".venv"))
    (tmp_path / "copy" / ".venv").mkdir()
    (tmp_path / "copy" / ".venv" / "precious").write_text("mine")
    done = run_setup(tmp_path / "copy")
    assert done.returncode == 2
    assert "move it away" in done.stderr
    assert (tmp_path / "copy" / ".venv" / "precious").read_text() == "mine"


def lying_shim(path: Path) -> None:
    """Like pyenv's: there under the right name, and failing because that version is not active."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n")
    path.chmod(0o755)


def interpreter(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec "{os.path.realpath(sys.executable)}" "$@"\n')
    path.chmod(0o755)


def test_interpreter_on_path_is_chosen(project: Path, tmp_path: Path) -> None:
    interpreter(tmp_path / "bin" / "python3.12")
    done = run_setup(project, "--which", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin", IRONCAGE_PYTHON="")
    assert done.stdout.strip() == str(tmp_path / "bin" / "python3.12")


@pytest.mark.parametrize("where", ["PYENV_ROOT", "HOME", "PATH"])
def test_interpreter_behind_a_lying_shim_is_found(project: Path, tmp_path: Path, where: str) -> None:
    """A pyenv is found through its variable, in the home folder, or beside its shims."""
    root = tmp_path / ".pyenv"
    lying_shim(root / "shims" / "python3.12")
    interpreter(root / "versions" / "3.12.9" / "bin" / "python3")
    environment = {
        "PYENV_ROOT": {"PYENV_ROOT": str(root), "PATH": f"{root}/shims:/usr/bin:/bin"},
        "HOME": {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        "PATH": {"PATH": f"{root}/shims:/usr/bin:/bin"},
    }[where]
    done = run_setup(project, "--which", IRONCAGE_PYTHON="", **environment)
    assert done.stdout.strip() == str(root / "versions" / "3.12.9" / "bin" / "python3")


def test_activated_environment_is_not_made_from_itself(project: Path) -> None:
    own = project / ".venv" / "bin"
    done = run_setup(project, "--which", PATH=f"{own}:/usr/bin:/bin", PYENV_ROOT="", IRONCAGE_PYTHON="")
    assert (own / "python3.12").exists() or (own / "python3.13").exists()
    assert not done.stdout.startswith(str(own))


def test_interpreter_that_is_too_old_is_refused_with_what_to_do(project: Path, tmp_path: Path) -> None:
    lying_shim(tmp_path / "python3.12")
    done = run_setup(project, "--which", IRONCAGE_PYTHON=str(tmp_path / "python3.12"))
    assert done.returncode == 2
    assert "IRONCAGE_PYTHON=" in done.stderr
    assert "3.12 or 3.13" in done.stderr


def test_wheel_holds_every_file_of_the_rooms(tmp_path: Path) -> None:
    """Migrations, templates and schemas too: what an editable install finds in the checkout must be in the wheel."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    rooms = ("trajectory/", "policies/", "proxy/", "replay/", "scoring/", "ironcage/")
    assert {name for name in tracked.split("\0") if name.startswith(rooms)} <= packed
