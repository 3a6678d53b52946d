"""A real gateway with a scripted chat model behind it, and runs recorded and replayed through it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ironcage.bakeoff_house import BakeoffHouse
from replay.bakeoff import run_bakeoff
from replay.building import build_task
from replay.cage.process import PortableCage
from replay.executors.local import LocalExecutor
from replay.loop import Pause
from replay.plan import Plan
from replay.task import Task
from tests.support.chat_stream import DONE, call, calling, chunk
from tests.support.gateway import Served, serve
from tests.support.recordings import Message, request_body
from tests.support.scripted_model import Answer, ScriptedModel, scripted
from trajectory.ids import trajectory_id
from trajectory.runs import Bakeoff, Candidate, Run

PATH = "/v1/chat/completions"
Speak = Callable[[list[Message]], Message]
"""From the messages that a model is given to its own."""


@dataclass
class Replaying:
    """`model` is the one server; which `speak` answers is chosen by the model's name in the request."""

    served: Served
    house: BakeoffHouse
    model: ScriptedModel

    async def ask(self, session: str, messages: list[Message], **fields: Any) -> dict[str, Any]:
        """One request of an agent, in production."""
        _, body = await self.house.ask(session, "openai", PATH, request_body(messages, **fields))
        return json.loads(body) if body.startswith(b"{") else {}

    def task(self, session: str) -> Task:
        built = build_task(self.served.store, trajectory_id(session, None))
        assert isinstance(built, Task), built
        return built

    async def bake(self, *tasks: Task, pause: Pause = asyncio.sleep, **rest: Any) -> tuple[Bakeoff, list[Run]]:
        fields: dict[str, Any] = {"id": "b1", "candidates": (candidate("good"),), "reference": None, **rest}
        plan = Plan(tasks=tasks, **fields)
        bakeoff = await run_bakeoff(plan, self.house, cage=PortableCage(), executor=LocalExecutor(cpus=2), pause=pause)
        return bakeoff, self.served.store.runs(plan.id)


def candidate(name: str, **parameters: Any) -> Candidate:
    return Candidate(name=name, upstream="openai", model=f"{name}-1", parameters=parameters)


def claude(asked: dict[str, Any]) -> Answer:
    """A model of Anthropic's format: it looks for order 7, and says where it is once it has a result."""
    last = asked["messages"][-1]["content"]
    has_result = isinstance(last, list) and last[-1]["type"] == "tool_result"
    part: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"deep": True, "id": 7}}
    if has_result:
        part = {"type": "text", "text": "It is in transit."}
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"], "content": [part],
        "stop_reason": "end_turn" if has_result else "tool_use", "usage": {"input_tokens": 9, "output_tokens": 3},
    }  # fmt: skip
    return Answer(json.dumps(message).encode())


def stream_of(message: Message) -> bytes:
    """The message as a provider would stream it: text word by word, then each call whole."""
    words = [chunk({"content": f"{word} "}) for word in (message.get("content") or "").split()]
    proposed = [
        calling(call(i, one["function"]["name"], one["function"]["arguments"], one["id"]))
        for i, one in enumerate(message.get("tool_calls") or ())
    ]
    return b"".join((*words, *proposed, chunk({}, "tool_calls" if proposed else "stop"), DONE))


@asynccontextmanager
async def replaying(folder: Path, speakers: dict[str, Speak], **settings: Any) -> AsyncIterator[Replaying]:
    """`speakers` by model name."""

    def answer(asked: dict[str, Any]) -> Answer:
        message = speakers[asked["model"]](asked["messages"])
        if "error" in message:
            return Answer(json.dumps(message).encode(), status=message["error"].get("status", 429))
        if asked.get("stream"):
            return Answer(stream_of(message), "text/event-stream", parts=3)
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        choice = {"index": 0, "message": message, "finish_reason": finish}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        reply = {"id": f"r-{asked['model']}", "object": "chat.completion", "model": asked["model"], "usage": usage}
        return Answer(json.dumps({**reply, "choices": [choice]}).encode())

    async with scripted(answer) as model:
        upstreams = {"openai": {"base_url": model.url, "wire": "openai"}, **settings.pop("upstreams", {})}
        async with serve(folder, upstreams=upstreams, **settings) as served:
            yield Replaying(served, BakeoffHouse(served.doors), model)
