"""The shape of the repository, where import-linter cannot see it: folders, names, homes of libraries, traces."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("trajectory", "policies", "proxy", "replay", "scoring", "ironcage")
FOLDERS = {*ROOMS, "tests", "bench", "docs", "examples", "changes", "scripts", ".ci"}
FILES = {
    ".dockerignore",
    ".gitignore",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "docker-compose.yml",
    "pyproject.toml",
    "requirements-dev.lock",
    "requirements.lock",
}
LONGER_THAN_400: dict[str, str] = {}
"""File to the reason why it may be longer."""
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "managers", "misc"}
KINDS = {"feature", "fix", "docs", "internal"}

# Where a library may be imported: a file or folder that begins so.
HOMES = {
    "sqlalchemy": ("trajectory/sql/",),
    "alembic": ("trajectory/sql/",),
    "psycopg": ("trajectory/sql/",),
    "aiohttp": ("proxy/gateway", "ironcage/console/"),
    "httptools": ("proxy/connection",),
    "mitmproxy": ("proxy/intercept",),
    "presidio_analyzer": ("policies/redaction/",),
    "phonenumbers": ("policies/redaction/",),
    "tldextract": ("policies/redaction/",),
    "ray": ("replay/executors/",),
    "matplotlib": ("scoring/report/",),
    "scipy": ("scoring/",),
    "numpy": ("scoring/",),
    "genai_prices": ("trajectory/prices",),
    "typer": ("ironcage/",),
    "uvloop": ("ironcage/",),
}
# What a declared library hands out as its own: the version must be the one that it brings.
PARTS = {
    "markupsafe": "jinja2",
    "multidict": "aiohttp",
    "phonenumbers": "presidio-analyzer",
    "pydantic-core": "pydantic",
    "tldextract": "presidio-analyzer",
    "yarl": "aiohttp",
}
SERVER_HOMES = ("proxy/gateway", "ironcage/console/")

# Pure: time and randomness come in as arguments, and nothing waits or reads.
PURE = (
    *("trajectory/conversation.py", "trajectory/events.py", "trajectory/record.py", "trajectory/trajectory.py"),
    *("policies/", "proxy/exchange", "proxy/judging", "proxy/questions", "proxy/allowances", "proxy/wire/", "scoring/"),
)
PURE_EXCEPT = ("policies/loading", "policies/redaction/key", "scoring/report/")
IMPURE_MODULES = {
    "asyncio",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "time",
    "urllib.request",
    "aiohttp",
}


def listed() -> list[str]:
    """Every file that is tracked, or would be if it were added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return sorted(name for name in names if name and (ROOT / name).is_file())


NAMES = listed()
SOURCES = [name for name in NAMES if name.endswith(".py")]
OWN = [name for name in SOURCES if name.split("/")[0] in ROOMS]


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), filename=name)


@cache
def modules_of(name: str) -> frozenset[str]:
    return frozenset(imported(tree_of(name)))


def imported(tree: ast.AST) -> set[str]:
    """Dotted names that `tree` imports; `from a import b` counts as a.b. Relative imports are not used here."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_under(name: str, prefixes: tuple[str, ...] | set[str]) -> bool:
    return any(name.startswith(prefix) for prefix in prefixes)


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_top_level_holds_only_the_rooms_and_the_known_folders() -> None:
    folders = {name.split("/")[0] for name in NAMES if "/" in name}
    assert folders - FOLDERS == set(), "a new room needs a decision record, and an import contract"
    assert set(ROOMS) <= folders


def test_top_level_holds_only_the_known_files() -> None:
    assert {name for name in NAMES if "/" not in name} - FILES == set()


def test_each_list_of_rooms_is_the_same() -> None:
    tool = project()["tool"]
    assert isinstance(tool, dict)
    assert tool["hatch"]["build"]["targets"]["wheel"]["packages"] == list(ROOMS)
    assert tool["mypy"]["packages"] == list(ROOMS)
    assert set(tool["importlinter"]["root_packages"]) == set(ROOMS)
    layers = tool["importlinter"]["contracts"][0]["layers"]
    assert {room.strip() for layer in layers for room in layer.split("|")} == set(ROOMS)


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in SOURCES}
    too_long = {name: length for name, length in lengths.items() if length > 400}
    assert too_long.keys() == LONGER_THAN_400.keys(), f"split by concept: {too_long}"


def test_no_module_is_named_after_nothing() -> None:
    parts = {(name, part) for name in SOURCES for part in Path(name).with_suffix("").parts}
    assert [name for name, part in parts if part in BANNED_NAMES] == []


def test_tests_are_not_packages() -> None:
    """tests/proxy/__init__.py would hide the real `proxy`."""
    assert [name for name in NAMES if name.startswith("tests/") and name.endswith("__init__.py")] == []


def test_own_imports_stand_at_the_top() -> None:
    """An import inside a function hides a dependency from the reader, and often a circle."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    hidden = {
        (name, module)
        for name in OWN
        for node in ast.walk(tree_of(name))
        if isinstance(node, functions)
        for module in imported(node)
        if module.split(".")[0] in ROOMS
    }
    assert hidden == set()


def test_imports_are_absolute() -> None:
    relative = {
        name for name in OWN for node in ast.walk(tree_of(name)) if isinstance(node, ast.ImportFrom) and node.level
    }
    assert relative == set()


@pytest.mark.parametrize("library", HOMES)
def test_library_is_imported_only_at_home(library: str) -> None:
    users = [name for name in OWN if any(module.split(".")[0] == library for module in modules_of(name))]
    assert [name for name in users if not is_under(name, HOMES[library])] == []


def test_only_the_doors_serve_http() -> None:
    users = [name for name in OWN if any(module.startswith("aiohttp.web") for module in modules_of(name))]
    assert users, "nothing serves HTTP: this test looks for the wrong import"
    assert [name for name in users if not is_under(name, SERVER_HOMES)] == []


def test_pure_code_imports_no_clock_chance_or_socket() -> None:
    pure = [name for name in OWN if is_under(name, PURE) and not is_under(name, PURE_EXCEPT)]
    found = {
        (name, module)
        for name in pure
        for module in modules_of(name)
        if any(module == impure or module.startswith(f"{impure}.") for impure in IMPURE_MODULES)
    }
    assert found == set()


def test_each_library_that_is_imported_is_declared() -> None:
    table = project()["project"]
    assert isinstance(table, dict)
    requirements = [*table["dependencies"], *chain.from_iterable(table["optional-dependencies"].values())]
    declared = {normal(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]) for requirement in requirements}
    declared |= {part for part, whole in PARTS.items() if whole in declared}
    distributions = packages_distributions()
    roots = {module.split(".")[0] for name in OWN for module in modules_of(name)}
    foreign = roots - sys.stdlib_module_names - set(ROOMS)
    assert {
        root for root in foreign if declared.isdisjoint(normal(d) for d in distributions.get(root, [root]))
    } == set()


def test_change_notes_are_one_sentence_of_a_known_kind() -> None:
    notes = [name for name in NAMES if name.startswith("changes/")]
    assert notes
    for name in notes:
        match = re.fullmatch(r"changes/[a-z0-9-]+\.([a-z]+)\.md", name)
        assert match, f"{name}: name it changes/<slug>.<kind>.md"
        assert match[1] in KINDS, f"{name}: the kind is one of {sorted(KINDS)}"
        text = (ROOT / name).read_text(encoding="utf-8").strip()
        assert re.fullmatch(r"[A-Z`].*\.", text, re.DOTALL), f"{name}: one sentence, with a full stop"
        assert not re.search(r"[.!?]\s+[A-Z]", text), f"{name}: one sentence"
        assert "\n\n" not in text, f"{name}: one sentence"


# Written in halves, so that this file does not find itself.
TRACES = [
    *("/ro" + "ot/", "/wo" + "rk/", "/fa" + "rm", "/opt/whe" + "els", ".libr" + "ary", "/tmp/" + "v/"),
    *("pypi" + ".org", "pythonhosted" + ".org", "/home" + "/"),
]


@pytest.mark.parametrize("trace", TRACES)
def test_no_file_names_a_machine_or_a_registry(trace: str) -> None:
    assert [name for name in NAMES if trace.encode() in (ROOT / name).read_bytes()] == []


def test_locks_pin_every_package_with_hashes_and_agree() -> None:
    runtime, everything = pins("requirements.lock"), pins("requirements-dev.lock")
    assert runtime.items() <= everything.items()
    table = project()
    groups, package = table["dependency-groups"], table["project"]
    assert isinstance(groups, dict)
    assert isinstance(package, dict)
    wanted = [*package["dependencies"], *package["optional-dependencies"]["postgres"], *groups["build"]]
    assert {requirement_name(line) for line in wanted} <= runtime.keys(), "run make lock"
    assert {requirement_name(line) for line in groups["dev"]} <= everything.keys(), "run make lock"


def pins(lock: str) -> dict[str, str]:
    """Name to version (with its marker); fails where a pin carries no hash or names a place to fetch it from."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^\s*#.*\n?", "", text)):
        head, *hashes = [part.strip() for part in entry.strip().split("\\\n")]
        name, _, version = head.partition("==")
        assert version, head
        assert hashes, f"{head} has no hash"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", part) for part in hashes), head
        found[normal(name)] = version
    return found


def requirement_name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return normal(match[0])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_command_line_starts_without_the_heavy_libraries() -> None:
    heavy = "presidio_analyzer spacy mitmproxy matplotlib scipy numpy openai"
    code = f"import sys, ironcage.cli; print(*[m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
