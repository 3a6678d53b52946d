"""Commands in this process: exit code and what was printed; and a store file with something in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ironcage.__main__ import run
from trajectory.record import Attempt
from trajectory.sql.opening import open_store


@dataclass(frozen=True)
class Printed:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """Runs commands with `folder`/ironcage.yaml; `config` writes that file."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    @property
    def file(self) -> Path:
        return self.folder / "ironcage.yaml"

    def config(self, text: str = "", **keys: Any) -> None:
        self.file.write_text(text or json.dumps(keys), encoding="utf-8")

    def __call__(self, *arguments: str) -> Printed:
        self._capsys.readouterr()
        code = run(["-c", str(self.file), *arguments])
        out, err = self._capsys.readouterr()
        return Printed(code, out, err)

    def record(self, attempts: Sequence[Attempt], *, labels: dict[str, str] | None = None) -> None:
        with closing(open_store(f"sqlite:///{self.folder}/ironcage.db")) as store:
            store.append(attempts)
            for trajectory, label in (labels or {}).items():
                store.label(trajectory, label, "a check said so")  # type: ignore[arg-type]
