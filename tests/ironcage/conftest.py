from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Commands with an empty configuration in a folder of their own, and none of this machine's variables."""
    for name in [name for name in os.environ if name.startswith("IRONCAGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    line = CommandLine(tmp_path, capsys)
    line.config("{}")
    return line
