"""The street of a run whose candidate speaks another wire format than the agent."""

from __future__ import annotations

from proxy.arrivals import Headers
from proxy.effects import Forward
from proxy.street import Answer, SendOn, Street
from proxy.wire.format import Rendered
from replay.house import House
from replay.swap.dialects import DIALECTS
from replay.swap.session import SwapSession
from trajectory.errors import OperatorError
from trajectory.runs import Candidate, Loss

SWAP_WIRES = frozenset(DIALECTS)
"""Wire formats that a candidate, and a task for it, may speak where the two differ."""


class SwapStreet(Street):
    """Answers the model requests of one session through its candidate, in the agent's own format."""

    def __init__(self, candidate: Candidate, *, base_path: str, seed: int) -> None:
        self._session = SwapSession(candidate, base_path, seed)

    @property
    def losses(self) -> tuple[Loss, ...]:
        return self._session.lost

    async def ask(self, request: Forward, send_on: SendOn) -> Answer:
        asked = self._session.request(request)
        if isinstance(asked, Rendered):
            return _Written(asked)
        if isinstance(asked, Forward):
            return await send_on(asked)
        answer = await send_on(asked.forward)
        try:
            parts = []
            while part := await answer.next_part():
                parts.append(part)
        finally:
            answer.close()
        rendered, headers = self._session.reply(asked, answer.status, answer.headers, b"".join(parts))
        return _Written(rendered, headers)


class _Written:
    """A reply of our own making, whole."""

    def __init__(self, rendered: Rendered, headers: Headers = ()) -> None:
        self.status = rendered.status
        self.headers: Headers = (("Content-Type", rendered.content_type), *headers)
        self.length: int | None = len(rendered.body)
        self._parts = [rendered.body] if rendered.body else []

    async def next_part(self) -> bytes:
        return self._parts.pop() if self._parts else b""

    def close(self) -> None:
        """Nothing is open."""


def swap_street(candidate: Candidate, house: House, seed: int) -> SwapStreet | None:
    """None for a candidate that speaks each task's own format. OperatorError if its upstream is not configured."""
    if candidate.wire is None:
        return None
    return SwapStreet(candidate, base_path=house.base_path(candidate.upstream), seed=seed)


def check_swap(candidate: Candidate, wires: dict[str, str]) -> None:
    """OperatorError where the candidate's format is none that can be translated; `wires` are the tasks', by id."""
    if candidate.wire is None:
        return
    known = ", ".join(sorted(SWAP_WIRES))
    if candidate.wire not in SWAP_WIRES:
        raise OperatorError(
            f"candidate {candidate.name}: there is no translation into {candidate.wire!r}",
            hint=f"wire is one of {known}",
        )
    for task, wire in wires.items():
        if wire != candidate.wire and wire not in SWAP_WIRES:
            raise OperatorError(
                f"candidate {candidate.name}: task {task!r} speaks {wire}, which is not translated",
                hint=f"tasks in {known} are",
            )
