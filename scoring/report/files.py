"""Writes the report files: JSON, Markdown and HTML side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scoring.report.markdown import render_markdown
from scoring.report.page import render_html
from scoring.scorecard import Scorecard


@dataclass(frozen=True, slots=True)
class ReportFiles:
    html: Path
    markdown: Path
    json: Path


def write_report(card: Scorecard, folder: Path) -> ReportFiles:
    """Into `folder`, made if it is absent; files of an earlier report there are replaced. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    files = ReportFiles(folder / "report.html", folder / "report.md", folder / "report.json")
    files.json.write_text(render_json(card), encoding="utf-8")
    files.markdown.write_text(render_markdown(card), encoding="utf-8")
    files.html.write_text(render_html(card), encoding="utf-8")
    return files


def render_json(card: Scorecard) -> str:
    """As `Scorecard.model_json_schema()` describes it; `Scorecard.model_validate_json` reads it back."""
    return card.model_dump_json(indent=2) + "\n"
