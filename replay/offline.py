"""What answers in an offline replay: the tape of the models, and where it is asked for that of the configured tools.

Tools that stand behind an upstream of the configuration are recorded like models, and can be answered like them. What
an agent runs by itself is its own, and runs for real.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from proxy.arrivals import Headers
from proxy.effects import Forward
from proxy.street import Answer, SendOn, Street
from replay.house import Masked
from replay.model_tape import Missed, ModelTape, model_recordings, tool_recordings
from replay.task import Task
from trajectory.runs import CheckResult
from trajectory.store import Store


class OfflineStreet(Street):
    def __init__(self, models: ModelTape, tools: ModelTape | None, masking: Callable[[], Masked]) -> None:
        """`tools` None lets their calls pass. `masking` is asked for once there is a tool's request to be masked."""
        self.models, self._tools = models, tools
        self._masking = masking
        self._masked: Masked | None = None

    async def ask(self, request: Forward, send_on: SendOn) -> Answer:
        return await self.models.ask(request, send_on)

    async def ask_tool(self, request: Forward, send_on: SendOn) -> Answer:
        """A tool gets true values and its recording is masked, so that the request is masked before they are compared.
        The agent gets the recorded result, with pseudonyms where personal data stood.
        """
        if self._tools is None:
            return await send_on(request)
        if _listens(request):
            return _NotOffered()
        if self._masked is None:
            self._masked = self._masking()
        body = await self._masked(request.body.decode("utf-8", "surrogateescape"))
        path = await self._masked(request.path)
        masked = structs.replace(request, path=path, body=body.encode("utf-8", "surrogateescape"))
        return await self._tools.ask(masked, send_on)

    def checks(self) -> tuple[CheckResult, ...]:
        found = self.models.check()
        if self._tools is None:
            return (found,)
        tools = self._tools.check()
        return found, tools.model_copy(update={"evidence": f"tools: {tools.evidence}"})


def offline_street(
    store: Store, task: Task, missed: Missed, masking: Callable[[], Masked], *, tape_tools: bool
) -> OfflineStreet:
    models = ModelTape(model_recordings(store, task), missed)
    if not tape_tools:
        return OfflineStreet(models, None, masking)
    tools = ModelTape(tool_recordings(store, task), lambda why: missed(f"tool, {why}"))
    return OfflineStreet(models, tools, masking)


def _listens(request: Forward) -> bool:
    """For what an MCP server may say by itself: nothing, here. A server need not offer that."""
    accepted = next((value for name, value in request.headers if name.lower() == "accept"), "")
    return request.method == "GET" and "text/event-stream" in accepted


class _NotOffered:
    status = 405
    headers: Headers = ()
    length: int | None = 0

    async def next_part(self) -> bytes:
        return b""

    def close(self) -> None:
        """Nothing is open."""
