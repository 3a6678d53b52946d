from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scoring.report.files import write_report
from scoring.score import score
from scoring.scorecard import Scorecard
from tests.support.scored_runs import table


def test_the_three_files_stand_side_by_side_and_the_json_reads_back(tmp_path: Path) -> None:
    card = score(*table({"a": {"t1": [True]}, "b": {"t1": [False]}}), {})
    files = write_report(card, tmp_path / "new" / "folder")
    assert Scorecard.model_validate_json(files.json.read_text(encoding="utf-8")) == card
    assert files.html.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert files.markdown.read_text(encoding="utf-8").startswith("# ")


def test_a_second_report_replaces_the_first(tmp_path: Path) -> None:
    for name in ("qwxz-old", "qwxz-new"):
        files = write_report(score(*table({name: {"t1": [True]}}), {}), tmp_path)
    assert "qwxz-old" not in files.html.read_text(encoding="utf-8")


def test_importing_the_report_loads_neither_matplotlib_nor_scipy() -> None:
    code = (
        "import sys, scoring.report.files, scoring.report.terminal, scoring.score; "
        "unwanted = {'matplotlib', 'scipy', 'numpy', 'aiohttp', 'mitmproxy', 'proxy', 'policies'}; "
        "print(sorted(unwanted & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
