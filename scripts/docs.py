"""Writes docs/reference from the code: commands, configuration, constraints, refusal codes, the parity matrix.

`scripts/docs.py` writes the pages, `scripts/docs.py --check` exits with 1 and names the pages that are out of date.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.main import get_command

from ironcage.cli import app
from ironcage.settings import Settings
from policies.constraints import Constraints
from policies.verdict import CODES
from tests.support.parity.table import DOORS, FORMATS, READINGS, RULES, Cell, Enforced, cells

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = "<!-- Written by `make docs` from the code; change it there. -->\n"
COLUMNS = ("argument or option", "meaning", "default")
REFUSING_ROOMS = ("policies", "proxy", "ironcage")

MEANINGS = {
    "retry_budget_exhausted": "The trajectory has sent again what had failed as often as `max_retries` allows.",
    "tool_not_allowed": "The tool is not in `allowed_tools`.",
    "tool_arguments_refused": "The tool may be called, but not with these arguments.",
    "egress_host_refused": "The host is neither a configured upstream nor in `egress_hosts`.",
    "egress_budget_exhausted": "The trajectory would move more bytes than `network_egress_limit_mb`.",
    "spend_budget_exhausted": "The call may cost more than is left of `spend_limit_usd`, or its model has no price.",
    "context_budget_exhausted": "The prompt is larger than `context_limit_tokens`.",
    "time_budget_exhausted": "The trajectory has run longer than its budget.",
    "approval_denied": "A person was asked and said no.",
    "approval_timed_out": "A person was asked and did not answer in time.",
    "sensitive_data_refused": "The request holds data that may not leave, and it cannot be masked.",
    "route_refused": "The path is not one that may be used on this upstream.",
    "unreadable_body": "The body cannot be parsed, so it cannot be judged.",
    "policy_failed": "A rule failed or took too long; doubt refuses.",
    "recording_unavailable": "The exchange cannot be recorded, so it does not take place.",
    "ledger_unavailable": "The budgets cannot be checked, so nothing may draw on them.",
}


def main(arguments: list[str]) -> int:
    pages = {ROOT / "docs" / "reference" / name: text for name, text in rendered().items()}
    if arguments == ["--check"]:
        stale = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run make docs", file=sys.stderr)  # noqa: T201
        return 1 if stale else 0
    for path, text in pages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def rendered() -> dict[str, str]:
    """File name in docs/reference to text. The same code gives the same pages."""
    return {
        "commands.md": commands_page(),
        "configuration.md": configuration_page(),
        "constraints.md": constraints_page(),
        "parity.md": parity_page(),
        "refusals.md": refusals_page(),
    }


def commands_page() -> str:
    root = get_command(app)
    parts = [
        "# Commands\n",
        WRITTEN,
        "Exit codes: 0 fine, 1 a finding (refused, diverged, worse), 2 operator error, 3 upstream or store failure, "
        "130 interrupted. An error is two lines: what, and what to do.\n",
    ]
    common = [row for parameter in root.params for row in parameter_row(parameter)]
    if common:
        parts.append("Before the command:\n")
        parts.append(table(COLUMNS, common))
    for path, command in leaves(root, "ironcage"):
        parts.append(f"## `{path}`\n")
        parts.append(f"```text\n{usage(path, command)}\n```\n")
        parts.append(f"{inspect.cleandoc(command.help or '')}\n")
        rows = [row for parameter in command.params for row in parameter_row(parameter)]
        if rows:
            parts.append(table(COLUMNS, rows))
    return "\n".join(parts)


def leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its path, in the order of the help pages."""
    if not isinstance(command, TyperGroup):
        yield path, command
        return
    for name, inner in children(command).items():
        yield from leaves(inner, f"{path} {name}")


def children(group: Any) -> dict[str, Any]:
    """The commands of a group that help pages show. They may be loaded only when they are asked for."""
    context = group.make_context(group.name, [], resilient_parsing=True)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if not command.hidden}


def usage(path: str, command: Any) -> str:
    names = [argument_name(p) for p in command.params if isinstance(p, TyperArgument)]
    has_options = any(isinstance(p, TyperOption) for p in command.params)
    return " ".join([path, *(["[OPTIONS]"] if has_options else []), *names])


def argument_name(argument: TyperArgument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    several = f"{name} …" if argument.nargs == -1 and "…" not in name and "..." not in name else name
    return several if argument.required or several.startswith("[") else f"[{several}]"


def parameter_row(parameter: Any) -> list[tuple[str, str, str]]:
    meaning = parameter.help or ""
    if isinstance(parameter, TyperArgument):
        return [(f"`{argument_name(parameter)}`", meaning, "required" if parameter.required else "")]
    if not isinstance(parameter, TyperOption) or parameter.hidden:
        return []
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    if parameter.envvar:
        meaning = f"{meaning} Environment: `{parameter.envvar}`."
    return [(names, meaning, "required" if parameter.required else shown(parameter.default))]


def configuration_page() -> str:
    return "\n".join(
        [
            "# Configuration: ironcage.yaml\n",
            WRITTEN,
            "One file; unknown keys are refused with line, key and the nearest valid name. Flags go before environment "
            "variables, environment variables before the file. What may "
            "stand under `constraints` has [a page of its own](constraints.md).\n",
            field_table(Settings.model_json_schema()),
        ]
    )


def constraints_page() -> str:
    return "\n".join(
        [
            "# Constraints\n",
            WRITTEN,
            "The production limits, the same live and in replay: a JSON or YAML file, or inline in the configuration "
            "under `constraints`. All keys are optional; `evaluation_config` may stand around the whole. Unknown keys "
            "are refused. 1 MB is 1024 x 1024 bytes.\n",
            field_table(Constraints.model_json_schema()),
        ]
    )


def field_table(schema: dict[str, Any]) -> str:
    definitions = schema.get("$defs", {})
    return table(("key", "type", "default", "meaning"), list(field_rows(schema, definitions, "")))


def field_rows(node: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[tuple[str, ...]]:
    """One row for each field; the fields of a section or of a mapping's values follow, under a dotted key."""
    required = node.get("required", [])
    for name, field in node.get("properties", {}).items():
        key = f"{prefix}{name}"
        default = "required" if name in required else shown(field.get("default"))
        # pydantic leaves a field's description out where its section says the same
        meaning = field.get("description") or resolved(field, definitions).get("description", "")
        yield f"`{key}`", type_name(field, definitions), default, meaning
        for inner, suffix in nested(field, definitions):
            if prefix == "" and inner.get("title") == Constraints.__name__:
                continue  # a page of their own
            yield from field_rows(inner, definitions, f"{key}{suffix}.")


def nested(field: dict[str, Any], definitions: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for choice in field.get("anyOf", [field]):
        target = resolved(choice, definitions)
        if "properties" in target:
            yield target, ""
        elif isinstance(values := target.get("additionalProperties"), dict):
            yield from ((inner, f".NAME{suffix}") for inner, suffix in nested(values, definitions))
        elif isinstance(items := target.get("items"), dict):
            yield from ((inner, f"[]{suffix}") for inner, suffix in nested(items, definitions))


def resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = definitions[node["$ref"].rsplit("/", 1)[1]]
    return node


def type_name(node: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "anyOf" in node:
        names = [type_name(choice, definitions) for choice in node["anyOf"]]
        return " or ".join(dict.fromkeys(name for name in names if name != "null"))
    target = resolved(node, definitions)
    if "enum" in target or "const" in target:
        return " or ".join(f"`{value}`" for value in target.get("enum", [target.get("const")]) if value != "")
    if target.get("type") == "array":
        return f"list of {type_name(target.get('items', {}), definitions)}"
    if target.get("type") == "object":
        values = target.get("additionalProperties")
        return f"mapping to {type_name(values, definitions)}" if isinstance(values, dict) else "section"
    plain = str(target.get("type", "any"))
    return {"integer": "whole number", "boolean": "true or false", "string": "text"}.get(plain, plain)


def parity_page() -> str:
    """One line for each rule and way of reading; a cell says it for both doors."""
    reasons: dict[str, int] = {}
    rows = [
        (rule, reading, *(parity_mark(rule, form, reading, reasons) for form in FORMATS))
        for rule in RULES
        for reading in READINGS
    ]
    outcomes = [cell.outcome for cell in cells()]
    proven = sum(isinstance(outcome, Enforced) for outcome in outcomes)
    return "\n".join(
        [
            "# Parity: every rule on every wire format\n",
            WRITTEN,
            f"Of {len(outcomes)} cells {proven} are enforced and {len(outcomes) - proven} impossible. Each enforced "
            "cell is a test (`tests/proxy/test_parity.py`): a client and an upstream with real sockets, a rule that "
            "fires, and a look at what the upstream really got, what the client really got and what was recorded. An "
            "empty cell fails the build.\n",
            "**yes**: enforced at both doors. **no**: see the number below the table.\n",
            table(("rule", "reply", *FORMATS), rows),
            "\n".join(f"{number}. {reason}" for reason, number in reasons.items()) + "\n",
            table(("rule", "what it says"), list(RULES.items())),
            table(("format", "what it is"), list(FORMATS.items())),
            table(("door", "what it is"), list(DOORS.items())),
        ]
    )


def parity_mark(rule: str, form: str, reading: str, reasons: dict[str, int]) -> str:
    """`reasons` numbers why a cell is not enforced."""
    outcomes = {Cell(rule, form, reading, door).outcome for door in DOORS}
    if len(outcomes) != 1 or (outcome := outcomes.pop()) is None:
        raise ValueError(f"{rule} on {form}: the doors differ, or nobody has thought of it")
    if isinstance(outcome, Enforced):
        return "yes"
    number = reasons.setdefault(outcome.reason, len(reasons) + 1)
    return f"no ({number})"


def refusals_page() -> str:
    sources = used_codes()
    rows = [(f"`{code}`", MEANINGS[code], "yes" if code in sources else "not yet") for code in CODES]
    return "\n".join(
        [
            "# Refusals\n",
            WRITTEN,
            "A refusal comes in the native error shape of the route, with one of these codes, a sentence that a model "
            "can read (which rule, why, what would be allowed), `x-ironcage-refusal: CODE` and "
            "`x-should-retry: false`. The codes are stable: clients, dashboards and scorers match on them. The last "
            "column says whether this version has a rule that gives the code.\n",
            table(("code", "meaning", "given by this version"), rows),
        ]
    )


def used_codes() -> set[str]:
    """Codes that stand as a literal in a room that can refuse, other than in their own list."""
    files = [path for room in REFUSING_ROOMS for path in (ROOT / room).rglob("*.py") if path.name != "verdict.py"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return {code for code in CODES if re.search(rf"""["']{code}["']""", text)}


def shown(default: object) -> str:
    """A default as a cell; empty where there is none to speak of, or where the rows below tell it."""
    if default is None or default is False or isinstance(default, dict) or default in ([], (), ""):
        return ""
    if isinstance(default, list | tuple):
        return ", ".join(f"`{item}`" for item in default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(cell(text) for text in row) for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
