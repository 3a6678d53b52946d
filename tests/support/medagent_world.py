"""The re-enacted sweep as a house sees it: upstreams for its configuration, and clients that run tasks behind it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import openai

from tests.support import medagentbench as bench
from tests.support.medagent_agent import Episode, Fhir, run_task
from tests.support.medagent_servers import ScriptedFhir, ScriptedModels, make_certificate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.house import House

TOOLS = {
    "GET /": "fhir_search",
    "POST /Observation": "fhir_record_vitals",
    "POST /MedicationRequest": "fhir_order_medication",
    "POST /ServiceRequest": "fhir_order_service",
}
"""What the constraints of these tests call the agent's HTTP calls."""


@dataclass(frozen=True)
class World:
    """`plain` and `secure` are the FHIR server without and with TLS; `ca` is what the latter must be trusted by.
    `cards` is where agents and checks read what they need of the recordings.
    """

    models: ScriptedModels
    plain: ScriptedFhir
    secure: ScriptedFhir
    ca: Path
    cards: Path

    def upstreams(self, models: ScriptedModels | None = None) -> dict[str, dict[str, Any]]:
        """What ironcage.yaml says of them; `models` in place of the strict ones."""
        return {
            "openai": {"base_url": (models or self.models).base_url},
            "fhir": {"base_url": self.plain.base_url, "kind": "tool", "tools": TOOLS},
            "fhir-tls": {
                "base_url": self.secure.base_url, "kind": "tool", "tools": TOOLS, "ca_file": str(self.ca),
            },
        }  # fmt: skip


@asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    tls, ca = make_certificate(folder)
    async with ScriptedModels() as models, ScriptedFhir() as plain, ScriptedFhir(tls=tls) as secure:
        cards = folder / "cards"
        cards.mkdir()
        bench.write_cards(cards)
        yield World(models, plain, secure, ca, cards)


def client_of(house: House, session: str, **settings: Any) -> openai.OpenAI:
    """The official client, behind `house`; use it as a context manager."""
    return openai.OpenAI(base_url=house.base("openai", session), api_key="k", **settings)


def fhir_of(house: House, session: str) -> Fhir:
    return Fhir(house.base("fhir", session))


async def run_behind(house: House, session: str, key: str, task: str, **settings: Any) -> Episode:
    """One task as one model, in this process and in a session of its own. Raises what the client raises."""
    with client_of(house, session, **settings) as client:
        return await asyncio.to_thread(
            run_task,
            client,
            bench.MODELS[key],
            bench.row(key, task).prompt,
            fhir_of(house, session),
            stream=bench.streams(task),
        )
