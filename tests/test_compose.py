"""docker-compose.yml and the Dockerfile, read and held against the repository: no container engine is needed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from ironcage.cli import app
from ironcage.settings import Settings, load
from trajectory.ids import checked_name

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "support_desk"


def interpolated(text: str) -> str:
    """As docker compose reads it when no variable is set."""
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", text)


TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(interpolated(TEXT))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SETTINGS: dict[str, Any] = yaml.safe_load(COMPOSE["configs"]["settings"]["content"])
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def stages() -> dict[str, list[list[str]]]:
    """Stage to its instructions, each as words."""
    found: dict[str, list[list[str]]] = {}
    for line in DOCKERFILE.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "FROM":
            found[words[3]] = []
        list(found.values())[-1].append(words)
    return found


STAGES = stages()


def instructions(stage: str, name: str) -> list[list[str]]:
    return [words for words in STAGES[stage] if words[0] == name]


def options_of(script: Path) -> set[str]:
    help_text = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"--[a-z-]+", help_text))


def port_of(service: str) -> int:
    words = SERVICES[service]["command"]
    return int(words[words.index("--port") + 1])


def test_all_parts_of_the_example_are_there() -> None:
    assert set(SERVICES) == {"db", "models", "orders", "proxy", "agent"}


def test_no_variable_is_needed_to_start() -> None:
    assert "$" not in interpolated(TEXT)


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_refers_to_exists(service: str) -> None:
    parts = SERVICES[service]
    assert set(parts["networks"]) <= set(COMPOSE["networks"])
    assert set(parts.get("depends_on", {})) <= set(SERVICES)
    assert {volume.split(":")[0] for volume in parts.get("volumes", ())} <= set(COMPOSE["volumes"])
    assert {config["source"] for config in parts.get("configs", ())} <= set(COMPOSE["configs"])
    assert ("image" in parts) != ("build" in parts)
    if "build" in parts:
        assert parts["build"]["target"] in STAGES
        assert (ROOT / parts["build"]["context"] / "Dockerfile").exists()
    for needed, how in parts.get("depends_on", {}).items():
        assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[needed]


@pytest.mark.parametrize("service", ["models", "orders", "agent"])
def test_script_of_the_example_exists_with_its_options(service: str) -> None:
    program, script, *arguments = SERVICES[service]["command"]
    assert program == "python"
    assert instructions("example", "WORKDIR")[-1][1] == f"/{EXAMPLE.relative_to(ROOT)}"
    flags = {word for word in arguments if word.startswith("--")}
    assert flags <= options_of(EXAMPLE / script)


def test_command_of_the_proxy_exists_with_its_options() -> None:
    assert instructions("proxy", "ENTRYPOINT") == [["ENTRYPOINT", '["ironcage"]']]
    for words in (SERVICES["proxy"]["command"], json.loads(instructions("proxy", "CMD")[0][1])):
        left, command = list(words), get_command(app)
        while left:
            word = left.pop(0)
            if word.startswith("-"):
                option = next(parameter for parameter in command.params if word in parameter.opts)
                assert not option.is_flag
                assert left.pop(0) in {config["target"] for config in SERVICES["proxy"]["configs"]}
            else:
                assert isinstance(command, TyperGroup)
                command = command.get_command(command.make_context("ironcage", [], resilient_parsing=True), word)
                assert command is not None, word
        assert not isinstance(command, TyperGroup)


def test_settings_are_valid_and_lead_to_services() -> None:
    settings = Settings.model_validate(SETTINGS)
    assert set(settings.upstreams) == {"desk", "orders"}
    for upstream in SETTINGS["upstreams"].values():
        address = urlsplit(upstream["base_url"])
        assert address.hostname is not None
        assert address.port == port_of(address.hostname)
        assert "behind" in SERVICES[address.hostname]["networks"]
    store = urlsplit(SETTINGS["store"])
    database = SERVICES["db"]["environment"]
    assert (store.hostname, store.path) == ("db", f"/{database['POSTGRES_DB']}")
    assert (store.username, store.password) == (database["POSTGRES_USER"], database["POSTGRES_PASSWORD"])


def test_state_is_kept_on_the_volume() -> None:
    """The folder of the configuration is not writable for the image's user."""
    (volume,) = SERVICES["proxy"]["volumes"]
    assert volume.split(":")[1] == instructions("proxy", "VOLUME")[0][1] == instructions("proxy", "WORKDIR")[0][1]
    assert SETTINGS["state_dir"].startswith(volume.split(":")[1] + "/")


def test_constraints_file_is_the_one_of_the_demo() -> None:
    mounted = {config["target"]: COMPOSE["configs"][config["source"]] for config in SERVICES["proxy"]["configs"]}
    assert (ROOT / mounted[SETTINGS["constraints"]]["file"]).samefile(EXAMPLE / "constraints.json")


def test_ports_are_those_of_the_settings() -> None:
    data, admin = (SETTINGS[key].rsplit(":", 1)[1] for key in ("listen", "admin_listen"))
    exposed = instructions("proxy", "EXPOSE")[0][1:]
    assert {data, admin} <= set(exposed)
    assert SERVICES["proxy"]["ports"] == [f"127.0.0.1:{admin}:{admin}"]
    check = " ".join(SERVICES["proxy"]["healthcheck"]["test"])
    assert f"http://127.0.0.1:{admin}/readyz" in check


def test_agent_goes_through_the_door_with_the_right_token_to_the_right_places() -> None:
    environment = SERVICES["agent"]["environment"]
    door = urlsplit(environment["HTTP_PROXY"])
    assert (door.hostname, f"0.0.0.0:{door.port}") == ("proxy", SETTINGS["forward_listen"])
    assert str(door.port) in instructions("proxy", "EXPOSE")[0]
    assert door.username is not None
    assert checked_name("session", door.username)
    assert door.password == SERVICES["proxy"]["environment"]["IRONCAGE_ACCESS_TOKEN"]
    assert environment["OPENAI_BASE_URL"] == SETTINGS["upstreams"]["desk"]["base_url"] + "/v1"
    assert environment["ORDERS_URL"] == SETTINGS["upstreams"]["orders"]["base_url"]


def test_readiness_is_served_by_the_console() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "ironcage" / "console").rglob("*.py"))
    assert '"/readyz"' in sources


def test_variables_are_read_by_what_they_are_given_to() -> None:
    agent = (EXAMPLE / "agent.py").read_text(encoding="utf-8")
    assert [name for name in SERVICES["agent"]["environment"] if name != "HTTP_PROXY" and name not in agent] == []
    environment = SERVICES["proxy"]["environment"]
    assert list(environment) == ["IRONCAGE_ACCESS_TOKEN"]
    assert load(None, {}, environment).settings.access_token == environment["IRONCAGE_ACCESS_TOKEN"]


def test_task_and_model_exist() -> None:
    words = SERVICES["agent"]["command"]
    assert words[words.index("--task") + 1] in json.loads((EXAMPLE / "tasks.json").read_text(encoding="utf-8"))
    model = SERVICES["agent"]["environment"]["DESK_MODEL"]
    assert any(
        f'"{model}"' in path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.py") if path.name != "agent.py"
    )


def test_agent_can_reach_nothing_but_the_proxy() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert SERVICES["agent"]["networks"] == ["inside"]
    assert {name for name, parts in SERVICES.items() if "inside" in parts["networks"]} == {"agent", "proxy"}


def test_each_file_that_an_image_copies_exists() -> None:
    copied = [words for stage in STAGES for words in instructions(stage, "COPY")]
    own = [source for words in copied if not words[1].startswith("--from") for source in words[1:-1]]
    assert len(own) > 8
    assert [source for source in own if not (ROOT / source).exists()] == []
    rooms = {source for source in own if (ROOT / source / "__init__.py").exists()}
    assert rooms == {"trajectory", "policies", "proxy", "replay", "scoring", "ironcage"}
    for words in copied:
        if words[1].startswith("--from="):
            assert words[1].removeprefix("--from=") in STAGES


def test_each_stage_begins_from_an_image_or_an_earlier_stage() -> None:
    seen: set[str] = set()
    for name, lines in STAGES.items():
        assert lines[0][1] in seen or re.fullmatch(r"python:3\.1[23]-slim-[a-z]+", lines[0][1])
        seen.add(name)


def test_images_install_only_what_is_pinned() -> None:
    installs = [shlex.split(line[4:]) for line in DOCKERFILE.splitlines() if line.startswith("RUN pip")]
    assert installs
    for words in installs:
        assert "--require-hashes" in words or {"--no-deps", "--no-build-isolation"} <= set(words)
