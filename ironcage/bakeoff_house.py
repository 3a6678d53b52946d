"""A running gateway as a bake-off needs it (replay.house.House): the same doors and policies, another model."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ironcage.assembly import Doors
from ironcage.candidates import no_model_upstream
from ironcage.conditions import conditions_of
from ironcage.reach import agent_environment, ca_folder
from proxy.approvals import Approver
from proxy.arrivals import Headers
from proxy.masking import mask_plain
from proxy.operation import Swap
from proxy.prompting import PromptSwap
from proxy.settings import Upstream
from proxy.street import Street
from proxy.upstream import Patience
from replay.approvals import NOBODY_ASKED, Always
from replay.house import BudgetSpent, Masked
from trajectory.errors import UpstreamError
from trajectory.record import VerdictNote
from trajectory.runs import PROXY_LIMITS, Candidate, KillCause, Limits
from trajectory.store import Store
from trajectory.trajectory import Launch

# A spent egress budget ends a run: nothing more can reach it. A spent retry budget does not, just as in production:
# the agent gets its refusal and may still finish.
_HARD_BUDGETS: dict[str, KillCause] = {"egress_budget_exhausted": "egress_budget"}


class BakeoffHouse:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    @property
    def data_url(self) -> str:
        return self._doors.data_url

    @property
    def access(self) -> Headers:
        token = self._doors.loaded.settings.access_token
        return (("x-ironcage-token", token),) if token else ()

    @property
    def proxy_url(self) -> str | None:
        return self._doors.proxy_url

    @property
    def ca_file(self) -> Path | None:
        return ca_folder(self._doors.loaded).resolve() / "ca.pem" if self.proxy_url else None

    @property
    def store(self) -> Store:
        return self._doors.store

    def open_session(
        self,
        session: str,
        candidate: Candidate | None,
        *,
        task: str,
        seed: int,
        budget_spent: BudgetSpent,
        street: Street | None = None,
        prompt: PromptSwap | None = None,
        approver: Approver | None = None,
    ) -> None:
        hall = self._doors.hall
        if candidate is not None:
            hall.swaps[session] = self._swap(candidate, seed, prompt)
        if street is not None:
            hall.streets[session] = street
        hall.approvers[session] = approver or Always(NOBODY_ASKED)
        hall.closed.discard(session)
        hall.watchers[session] = _watcher(budget_spent)
        hall.memories.get(session, session, task, None)
        self.store.launched(session, Launch((), ""), task=task, source="replay")

    def base_path(self, upstream: str) -> str:
        return self.model_upstream(upstream).path

    def _swap(self, candidate: Candidate, seed: int, prompt: PromptSwap | None) -> Swap:
        upstream = self.model_upstream(candidate.upstream)
        # those of a candidate that names its wire are set in its own format, behind the gateway
        parameters = {"seed": seed, **candidate.parameters} if candidate.wire is None else {}
        return Swap(candidate.upstream, upstream.host, candidate.model, parameters, prompt, candidate.max_tokens)

    def model_upstream(self, name: str) -> Upstream:
        upstream = self._doors.hall.upstream(name)
        if upstream is None or upstream.kind != "model":
            raise no_model_upstream(name, self._doors.loaded.settings.upstreams)
        return upstream

    async def close_session(self, session: str) -> None:
        hall = self._doors.hall
        hall.closed.add(session)
        await self._doors.gateway.quiet(session)
        hall.swaps.pop(session, None)
        hall.streets.pop(session, None)
        hall.approvers.pop(session, None)
        hall.watchers.pop(session, None)
        hall.memories.forget(session)
        hall.mcp_links.forget(session)

    def environment(self, session: str) -> dict[str, str]:
        return agent_environment(
            self._doors.loaded,
            data_url=self.data_url,
            proxy_url=self.proxy_url,
            session=session,
            inherited=os.environ,
        )

    def applied(self, session: str) -> Limits:
        limits = self._doors.loaded.constraints.limits()
        return Limits(**{name: getattr(limits, name) for name in PROXY_LIMITS})

    def conditions(self) -> Mapping[str, str]:
        return conditions_of(self._doors.loaded)

    async def ask(self, session: str, upstream: str, path: str, body: bytes) -> tuple[int, bytes]:
        configured = self._doors.hall.router.upstream(upstream)
        url = f"{self.data_url}/s/{session}/{upstream}{path.removeprefix(configured.path)}"
        headers = (("Content-Type", "application/json"), *self.access)
        reply = await self._doors.client.ask(
            "POST", url, headers, body, patience=Patience(idle_s=configured.idle_timeout_s + 30)
        )
        try:
            return reply.status, b"".join([part async for part in reply.parts()])
        except UpstreamError as e:
            raise UpstreamError(f"the gateway broke off its reply: {e}") from None
        finally:
            reply.close()

    def masking(self, session: str) -> Masked:
        redactor = self._doors.hall.redactor
        if redactor is None:
            return _as_it_is
        memory = self._doors.hall.memories.get(session, session, None, None)
        if memory.vault is None:
            memory.vault = redactor.new_vault()
        masked = partial(mask_plain, detector=redactor, vault=memory.vault)
        return lambda text: asyncio.to_thread(masked, text)


async def _as_it_is(text: str) -> str:
    return text


def _watcher(budget_spent: BudgetSpent) -> Callable[[VerdictNote], None]:
    told: set[KillCause] = set()

    def watch(note: VerdictNote) -> None:
        cause = _HARD_BUDGETS.get(note.code)
        if cause is not None and cause not in told:
            told.add(cause)
            budget_spent(cause, note.message)

    return watch
