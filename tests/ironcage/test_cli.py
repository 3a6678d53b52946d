from __future__ import annotations

import subprocess
import sys

import pytest
import typer.main

from ironcage.cli import COMMANDS, app
from tests.support.command_line import CommandLine


def test_help_lists_each_command_with_its_line(cli: CommandLine) -> None:
    done = cli("--help")
    assert done.code == 0
    shown = " ".join(done.out.split())
    for name, (_, line) in COMMANDS.items():
        assert f"{name} {line}" in shown


def test_listing_the_commands_loads_none_of_them() -> None:
    code = (
        "import sys; from ironcage.__main__ import run; run(['--help']); "
        "print([m for m in sys.modules if m.startswith('ironcage.commands.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_loads_and_has_help(name: str, cli: CommandLine) -> None:
    done = cli(name, "--help")
    assert done.code == 0
    assert done.out.startswith("Usage: ironcage")


def test_group_hides_nothing() -> None:
    group = typer.main.get_command(app)
    context = group.make_context("ironcage", [], resilient_parsing=True)
    assert list(group.list_commands(context)) == list(COMMANDS)  # type: ignore[attr-defined]
    assert group.get_command(context, "no-such") is None  # type: ignore[attr-defined]
