"""A request translated in one step, as a session does it, for tests that look at nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from proxy.effects import Forward
from proxy.wire.format import Rendered
from replay.swap.dialects import DIALECTS
from replay.swap.session import Asked, SwapSession
from trajectory.runs import Candidate, Loss


@dataclass(frozen=True)
class Translated:
    body: dict[str, Any]
    path: str
    losses: tuple[Loss, ...]

    def lost(self, kind: str) -> list[str]:
        return [f"{loss.where}: {loss.what}" for loss in self.losses if loss.kind == kind]


def translate(body: Any, source: str, target: str, **parameters: Any) -> Translated:
    """Fails where the session answers by itself."""
    session = SwapSession(Candidate(name="c", upstream="u", model="m", wire=target, parameters=parameters), "", 7)
    path = DIALECTS[source].path("", "prod")
    asked = session.request(Forward("u", "POST", path, (), json.dumps(body).encode()))
    assert isinstance(asked, Asked), asked.body if isinstance(asked, Rendered) else asked
    return Translated(json.loads(asked.forward.body), asked.forward.path, session.lost)
