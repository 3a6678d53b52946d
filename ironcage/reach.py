"""What commands need of a proxy that runs elsewhere: its store, and how agents find its doors. Loads no server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ironcage.settings import Loaded
from proxy.environment import UpstreamAddress, child_environment
from trajectory.sql.opening import open_store
from trajectory.store import Store


def build_store(loaded: Loaded) -> Store:
    return open_store(loaded.store_url, durability=loaded.settings.recording.durability)


def ca_folder(loaded: Loaded) -> Path:
    return loaded.path(loaded.settings.state_dir) / "ca"


def agent_environment(
    loaded: Loaded, *, data_url: str, proxy_url: str | None, session: str, inherited: Mapping[str, str]
) -> dict[str, str]:
    """The variables with which an agent finds the doors."""
    folder = ca_folder(loaded).resolve()
    return child_environment(
        data_url=data_url,
        session=session,
        upstreams={n: UpstreamAddress(u.base_url, u.kind, u.wire) for n, u in loaded.settings.upstreams.items()},
        proxy_url=proxy_url,
        ca_file=folder / "ca.pem",
        ca_bundle=folder / "ca-bundle.pem",
        access_token=loaded.settings.access_token or "x",
        inherited=inherited,
    )
