"""The documents are held to the code: nothing is missing in them, and what they show works."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from ironcage.cli import app
from ironcage.settings import Settings
from policies.constraints import Constraints
from policies.verdict import CODES

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(
    r"^(?P<mark><!--[^\n]*-->\n+)?```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
NOT_RUN = re.compile(r"<!-- not run: \S.* -->")


def load_generator() -> ModuleType:
    spec = spec_from_file_location("reference_docs", ROOT / "scripts" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    is_run: bool

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start("language")) + 1
            is_run = not NOT_RUN.fullmatch((match["mark"] or "").strip())
            yield Block(page, line, match["language"], match["text"], is_run)


BLOCKS = list(blocks())


def chosen(*languages: str, only_run: bool = True) -> list[Any]:
    found = [block for block in BLOCKS if block.language in languages and (block.is_run or not only_run)]
    return [pytest.param(block, id=block.name) for block in found]


@pytest.mark.parametrize("name", sorted(GENERATOR.rendered()))
def test_reference_page_is_up_to_date(name: str) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == GENERATOR.rendered()[name], "run make docs"


def test_no_reference_page_is_left_over() -> None:
    assert {path.name for path in (ROOT / "docs" / "reference").iterdir()} == set(GENERATOR.rendered())


def test_each_command_is_in_the_reference_with_a_sentence() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    commands = list(GENERATOR.leaves(get_command(app), "ironcage"))
    assert len(commands) > 5
    for path, command in commands:
        assert f"## `{path}`\n" in page
        assert command.help, f"{path} has no help text"
        for parameter in command.params:
            assert parameter.hidden or parameter.help, f"{path}: {parameter.name} has no help text"


@pytest.mark.parametrize("model", [Settings, Constraints])
def test_each_field_has_a_sentence(model: type[Any]) -> None:
    schema = model.model_json_schema()
    rows = list(GENERATOR.field_rows(schema, schema.get("$defs", {}), ""))
    assert len(rows) > 5
    assert [row[0] for row in rows if not row[3].rstrip().endswith(".")] == []


def test_each_refusal_code_is_explained() -> None:
    page = (ROOT / "docs" / "reference" / "refusals.md").read_text(encoding="utf-8")
    assert [code for code in CODES if f"| `{code}` |" not in page] == []
    assert set(GENERATOR.MEANINGS) == set(CODES)


def test_each_word_of_the_glossary_stands_once() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)
    assert len(words) == len(set(words)) > 20


def test_each_code_block_names_its_language() -> None:
    assert [block.name for block in BLOCKS if not block.language] == []
    known = {"text", "sh", "yaml", "json", "http"}
    assert [block.name for block in BLOCKS if block.language not in known] == []


def test_readme_is_made_of_blocks_that_are_read_here() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert page.count("```") == 2 * len([block for block in BLOCKS if block.page.name == "README.md"]) > 0


@pytest.mark.parametrize("block", chosen("sh"))
def test_shell_block_runs(block: Block, tmp_path: Path) -> None:
    """Offline, in a folder that holds nothing but .venv."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = ["bash", "-euo", "pipefail", "-c", block.text]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", chosen("sh", only_run=False))
def test_commands_in_a_shell_block_exist(block: Block) -> None:
    """Also in blocks that are not run: each `ironcage` command and flag, each make target, each script."""
    lines = block.text.replace("\\\n", " ").splitlines()
    for words in [shlex.split(line, comments=True) for line in lines]:
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if not words:
            continue
        if words[0] == "make":
            assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(encoding="utf-8"), f"no target: {words}"
        elif words[0].endswith("ironcage"):
            check_command(words[1:])
        elif "/" in words[0] and not words[0].startswith("."):
            assert (ROOT / words[0]).exists(), words[0]


def check_command(words: list[str]) -> None:
    command = get_command(app)
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        commands = GENERATOR.children(command)
        assert words[0] in commands, f"no such command: {words}"
        command = commands[words.pop(0)]
    flags = {flag for parameter in command.params for flag in [*parameter.opts, *parameter.secondary_opts]} | {"--help"}
    own = words[: words.index("--")] if "--" in words else words
    assert [word for word in own if word.startswith("-") and word.split("=")[0] not in flags] == []


@pytest.mark.parametrize("block", chosen("yaml", "json"))
def test_configuration_block_is_valid(block: Block) -> None:
    document = yaml.safe_load(block.text) if block.language == "yaml" else json.loads(block.text)
    if {"evaluation_config", "constraints"} & document.keys() and "upstreams" not in document:
        Constraints.model_validate(document)
    else:
        Settings.model_validate(document)


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_links_resolve(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, target


def slug(heading: str) -> str:
    """The anchor that a forge gives a heading: lower case, punctuation dropped, spaces to hyphens."""
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower()))


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_files_that_a_page_names_exist(page: str) -> None:
    """Each `path/like.this` in back quotes, unless it is a pattern."""
    text = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    folders = "tests|scripts|docs|examples|bench|changes|trajectory|policies|proxy|replay|scoring|ironcage"
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_each_invariant_names_tests_that_exist() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+)\. [^|]+\|([^|]+)\|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 11))
    for number, cell in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", cell)
        assert named or "not yet" in cell, f"invariant {number} has no test"
        for file, function in named:
            assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{function}"


def test_ci_runs_the_command_of_the_readme_and_then_the_checks() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^make \w+", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert commands == ["make test", "make check"]
    assert "\nmake test " in readme


def test_makefile_calls_what_exists() -> None:
    called = re.findall(r"(?:examples|bench|scripts)/[\w./]+\b", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert len(called) > 4
    assert [path for path in called if not (ROOT / path).exists() and path != "bench/out"] == []
