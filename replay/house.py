"""What a bake-off needs of a running gateway. Built in ironcage/assembly.py; replay knows only this."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from proxy.approvals import Approver
from proxy.arrivals import Headers
from proxy.prompting import PromptSwap
from proxy.street import Street
from trajectory.runs import Candidate, KillCause, Limits
from trajectory.store import Store

BudgetSpent = Callable[[KillCause, str], None]
"""Called with the cause (egress_budget, retry_budget) and a sentence of evidence. On the event loop's thread, at once
and at most once a cause; what it does must not block."""

Masked = Callable[[str], Awaitable[str]]
"""A text as it may be kept: with what redaction would not let into the record replaced by its pseudonym. Raises where
detection cannot finish: the text is not kept then.
"""


class House(Protocol):
    """A gateway with its policies, its recorder and both doors, for the length of one bake-off."""

    @property
    def data_url(self) -> str:
        """Where the base-URL door listens: http://127.0.0.1:PORT."""

    @property
    def access(self) -> Headers:
        """What a request at that door carries to be let in; empty where nothing is asked."""

    @property
    def proxy_url(self) -> str | None:
        """The HTTPS_PROXY door, if it is open; its CA stands in `ca_file`."""

    @property
    def ca_file(self) -> Path | None: ...

    @property
    def store(self) -> Store: ...

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
        """From now on all model calls of `session` go to `candidate.upstream` with `candidate.model` and its
        parameters set, whatever the agent asks for, under the same policies as ever; without a candidate they stay as
        the agent made them. With a `prompt`, that is sent in place of the agent's own. A `street` answers them in place
        of the upstream, and the `approver` decides on calls that wait for a person; without one they are denied.
        What is recorded of it belongs to `task` and has source "replay". Parameters of a candidate that names its wire
        are its street's to set.
        OperatorError if the candidate's upstream is not configured.
        """

    def base_path(self, upstream: str) -> str:
        """The path of an upstream's base URL, which all its requests share; empty where it has none. OperatorError if
        the upstream is not configured.
        """

    async def close_session(self, session: str) -> None:
        """Refuse what still comes for `session`, and return once everything of it is in the store; but for its name
        nothing is held of it then. Idempotent.
        """

    def environment(self, session: str) -> dict[str, str]:
        """Variables for a child process: base URLs with the session's prefix, proxies, CA bundles. It is laid over
        the agent's environment. No key of a provider has to be in it.
        """

    def applied(self, session: str) -> Limits:
        """The limits that the policies enforce on `session`, as they read them (trajectory.runs.PROXY_LIMITS)."""

    def conditions(self) -> Mapping[str, str]:
        """What must not change during a bake-off, each by name with its digest: at least constraints and policies."""

    async def ask(self, session: str, upstream: str, path: str, body: bytes) -> tuple[int, bytes]:
        """POST a JSON body to `path` of `upstream` (as Step.path and Step.upstream recorded them) through the
        gateway, and return status and whole reply. A refusal is a status like any other; UpstreamError only if the
        gateway itself cannot be reached.
        """

    def masking(self, session: str) -> Masked:
        """What to give texts about `session` to before they are kept, as long as somebody holds it: also after
        `close_session`.
        """
