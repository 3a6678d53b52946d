"""The configuration file, ironcage.yaml, and what overrides it: file < environment < flags, decided in `load`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from policies.constraints import Constraints
from policies.loading import load_model
from policies.settings import PolicySettings
from proxy.settings import Upstream
from replay.shadow import ShadowSettings
from trajectory.errors import OperatorError

DEFAULT_FILE = "ironcage.yaml"
_FROM_ENVIRONMENT = ("listen", "admin_listen", "forward_listen", "store", "access_token", "state_dir")


class Recording(BaseModel):
    """How safely what happened is written down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    durability: Literal["normal", "strict"] = Field(
        default="normal", description="normal: survives a kill of the proxy; strict: also survives loss of power."
    )


class Settings(BaseModel):
    """ironcage.yaml. Each key can be left out; upstreams are what most files name first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: str = Field(default="127.0.0.1:8800", description="host:port of the base-URL door.")
    forward_listen: str | None = Field(
        default=None, description="host:port of the HTTPS_PROXY door; closed if it is absent."
    )
    admin_listen: str = Field(
        default="127.0.0.1:8801", description="host:port of console, API and health; off loopback it needs the token."
    )
    access_token: str | None = Field(
        default=None,
        description="What clients must send as x-ironcage-token, as their API key (then the proxy holds the real one: "
        "api_key_env) or as proxy password; needed to listen off loopback.",
    )
    store: str = Field(
        default="sqlite:///ironcage.db",
        description="Where trajectories are kept: sqlite:///FILE or postgresql://USER@HOST/DATABASE.",
    )
    state_dir: str = Field(
        default=".ironcage",
        description="Folder of the pseudonym key and of the proxy door's CA; keep agents out of it.",
    )
    upstreams: dict[str, Upstream] = Field(
        default={}, description="Models and tools by name; the name is the first path segment of a base URL."
    )
    constraints: Constraints | str = Field(
        default=Constraints(), description="The production limits: a constraints file, or its content inline."
    )
    policies: PolicySettings = Field(default=PolicySettings(), description="How the limits are applied.")
    recording: Recording = Field(default=Recording(), description="How safely what happened is written down.")
    shadow: ShadowSettings | None = Field(
        default=None,
        description="Mirror a share of live model operations to candidates from the start on; off if absent.",
    )
    max_body_bytes: int = Field(
        default=64 * 1024 * 1024, gt=0, description="Requests with a larger body are refused with 413."
    )
    drain_timeout_s: float = Field(
        default=25.0,
        ge=0,
        le=3600,
        description="How long `serve`, told to stop, lets exchanges under way go on; then they are broken off and "
        "written down as aborted. A second signal does so at once.",
    )


class Loaded(BaseModel):
    """Settings with the folder that their relative paths start from, and the constraints read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: Settings
    constraints: Constraints
    folder: Path
    file: Path | None = None

    def path(self, name: str) -> Path:
        return self.folder / name

    @property
    def store_url(self) -> str:
        """The store's URL; a relative SQLite file lies beside the configuration, wherever a command is started."""
        prefix = "sqlite:///"
        url = self.settings.store
        if not url.startswith(prefix) or url.startswith(prefix + "/"):
            return url
        return f"{prefix}{(self.folder / url.removeprefix(prefix)).resolve()}"


def load(
    file: Path | None, flags: Mapping[str, object] | None = None, environment: Mapping[str, str] = os.environ
) -> Loaded:
    """Read `file` (or IRONCAGE_CONFIG, or ironcage.yaml here, if there is one), then let environment and flags win.

    Raises OperatorError with file, line and key.
    """
    named = file or (Path(environment["IRONCAGE_CONFIG"]) if environment.get("IRONCAGE_CONFIG") else None)
    path = named or Path(DEFAULT_FILE)
    if path.exists():
        settings, folder, found = load_model(path, Settings), path.parent, path
    elif named is not None:
        raise OperatorError(f"{named}: no such file", hint="write one with: ironcage init")
    else:
        settings, folder, found = Settings(), Path(), None
    overrides: dict[str, object] = {
        key: environment[f"IRONCAGE_{key.upper()}"]
        for key in _FROM_ENVIRONMENT
        if environment.get(f"IRONCAGE_{key.upper()}")
    }
    overrides |= {key: value for key, value in (flags or {}).items() if value is not None}
    if overrides:
        settings = settings.model_copy(update=overrides)
    return Loaded(settings=settings, constraints=_constraints(settings, folder), folder=folder, file=found)


def on_free_ports(loaded: Loaded) -> Loaded:
    """A bake-off opens doors of its own: both of them, on free ports, so that it can run beside `serve`."""
    update = {"listen": "127.0.0.1:0", "forward_listen": "127.0.0.1:0"}
    return loaded.model_copy(update={"settings": loaded.settings.model_copy(update=update)})


def _constraints(settings: Settings, folder: Path) -> Constraints:
    if isinstance(settings.constraints, Constraints):
        return settings.constraints
    return load_model(folder / settings.constraints, Constraints)


def address(value: str, key: str) -> tuple[str, int]:
    """Host and port of a listen setting. Raises OperatorError."""
    host, _, port = value.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise OperatorError(f"{key}: {value!r} is not host:port", hint="for example 127.0.0.1:8800")
    return host, int(port)
