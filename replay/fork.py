"""A task from one of its recorded steps on: what came before is given, then the candidate goes its own way.

Of the recorded run, the request of step n holds all that the model knew by then. The world is brought to the state of
that moment by making the calls of the steps before, in their order; what it answers to them is compared with what was
recorded, and said, and counts for nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replay.building import reference_of
from replay.fingerprint import digest_of
from replay.task import Task
from replay.ways import Obstacle
from replay.world.contract import Answer, Snapshot, World
from replay.world.recordings import results_before
from replay.world.tape import Recording
from trajectory.store import Store


def fork_task(store: Store, task: Task, from_step: int) -> Task | Obstacle:
    """`from_step` counts the recorded model steps from 1: 1 is the task as it is. An obstacle where there is no such
    step, or its request is not in the store.
    """
    steps = store.trajectory(task.source).model_steps
    if not 1 <= from_step <= len(steps):
        what = f"task {task.id!r} has {len(steps)} recorded model steps, no step {from_step}"
        return Obstacle(what, "name an earlier step")
    step = steps[from_step - 1]
    body = store.body(step.last.id, "request")
    if body is None:
        return Obstacle(f"task {task.id!r}: the request of step {from_step} is not in the store", "name another step")
    update = {
        "request": body.decode(),
        "wire": step.wire,
        "upstream": step.upstream,
        "path": step.path,
        "reference": reference_of(steps[from_step - 1 :]),
        "launch": None,
    }
    return task.model_copy(update=update)


def fork_worlds(
    store: Store, tasks: Sequence[Task], worlds: Mapping[str, Snapshot], from_step: int
) -> dict[str, Snapshot]:
    return {
        task.id: ForkedSnapshot(worlds[task.id], results_before(store, task.source, from_step), from_step)
        for task in tasks
    }


@dataclass(frozen=True, slots=True)
class ForkedSnapshot:
    """`inner` after the calls of `prefix`."""

    inner: Snapshot
    prefix: tuple[Recording, ...]
    from_step: int

    @property
    def digest(self) -> str:
        return digest_of([self.inner.digest, [[one.tool, one.arguments, one.text] for one in self.prefix]])

    async def start(self, seed: int) -> World:
        world = await self.inner.start(seed)
        try:
            answers = [await world.answer(one.tool, one.arguments) for one in self.prefix]
        except BaseException:
            await world.close()
            raise
        return ForkedWorld(world, self._told(answers))

    def _told(self, answers: Sequence[Answer]) -> str:
        pairs = list(zip(self.prefix, answers, strict=True))
        same = sum(answer.text == one.text for one, answer in pairs)
        missing = [one.tool for one, answer in pairs if answer.is_missing]
        other = [one.tool for one, answer in pairs if answer.text != one.text and not answer.is_missing]
        said = f"from step {self.from_step} on: the world gave {same} of the {len(pairs)} results before it as recorded"
        said += f"; missing: {', '.join(dict.fromkeys(missing))}" if missing else ""
        return said + (f"; other than recorded: {', '.join(dict.fromkeys(other))}" if other else "")


class ForkedWorld:
    """`told` is one more sentence for the certificate."""

    def __init__(self, world: World, told: str) -> None:
        self._world, self._told = world, told

    async def answer(self, tool: str, arguments: str) -> Answer:
        return await self._world.answer(tool, arguments)

    def witness(self, tool: str, arguments: str) -> None:
        self._world.witness(tool, arguments)

    async def close(self) -> tuple[str, ...]:
        return self._told, *await self._world.close()
