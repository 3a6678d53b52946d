"""A gateway in this process: its real doors on loopback, its record in memory."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ironcage.assembly import Doors, open_doors
from ironcage.settings import Loaded, Settings
from trajectory.ids import trajectory_id
from trajectory.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trajectory.record import Attempt
    from trajectory.trajectory import Step


@dataclass
class Served:
    """`attempts` are all that were written down, in that order, bodies included."""

    doors: Doors
    store: MemoryStore
    attempts: list[Attempt]

    def url(self, upstream: str, session: str = "s1") -> str:
        """The base URL of an upstream, within a session; without one if that is empty."""
        prefix = f"/s/{session}" if session else ""
        return f"{self.doors.data_url}{prefix}/{upstream}"

    def steps(self, session: str = "s1") -> tuple[Step, ...]:
        found = self.store.trajectory(trajectory_id(session, None))
        return found.steps if found is not None else ()


class KeptStore(MemoryStore):
    """Also keeps attempts as they came, for tests that look at what would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Attempt] = []

    def append(self, attempts: Any) -> None:
        attempts = list(attempts)
        self.kept += attempts
        super().append(attempts)


@asynccontextmanager
async def serve(folder: Path, **settings: Any) -> AsyncIterator[Served]:
    """`settings` are those of ironcage.yaml; `constraints` may be given as the inner object of limits alone."""
    if "constraints" in settings:
        settings["constraints"] = {"constraints": settings["constraints"]}
    made = Settings.model_validate({"listen": "127.0.0.1:0", **settings})
    store = KeptStore()
    loaded = Loaded(settings=made, constraints=made.constraints, folder=folder)  # type: ignore[arg-type]
    async with open_doors(loaded, store=store, attended=True) as doors:
        yield Served(doors, store, store.kept)


def joined(body: Any) -> bytes:
    return b"".join(span.data for span in body or ())
