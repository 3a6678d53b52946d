"""Several worlds, asked in the declared order: the first that has an answer gives it, and the others are told.

A world that was not asked knows nothing of a write that another one answered. A tape compares writes itself; a
simulator cannot, so an answer of a simulator after writes that it did not see says that the state may have moved. A
write that nobody could answer counts too: the model was told of an error, and what it would have done is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replay.fingerprint import digest_of
from replay.world.contract import Answer, Snapshot, World, missing


@dataclass(frozen=True, slots=True)
class Chain:
    """At least one snapshot."""

    links: tuple[Snapshot, ...]

    @property
    def digest(self) -> str:
        return digest_of([link.digest for link in self.links])

    async def start(self, seed: int) -> World:
        worlds: list[World] = []
        try:
            for link in self.links:
                worlds.append(await link.start(seed))
        except BaseException:
            for world in worlds:
                await world.close()
            raise
        return ChainedWorlds(worlds)


class ChainedWorlds:
    def __init__(self, worlds: Sequence[World]) -> None:
        self._worlds = tuple(worlds)

    async def answer(self, tool: str, arguments: str) -> Answer:
        notes: list[str] = []
        for world in self._worlds:
            answer = await world.answer(tool, arguments)
            if not answer.is_missing:
                self._tell(tool, arguments, [other for other in self._worlds if other is not world])
                return answer
            notes.append(answer.served.note)
        self.witness(tool, arguments)
        return missing(tool, arguments, "; ".join(filter(None, notes)))

    def witness(self, tool: str, arguments: str) -> None:
        self._tell(tool, arguments, self._worlds)

    @staticmethod
    def _tell(tool: str, arguments: str, worlds: Sequence[World]) -> None:
        for world in worlds:
            world.witness(tool, arguments)

    async def close(self) -> tuple[str, ...]:
        notes: list[str] = []
        for world in self._worlds:
            notes += await world.close()
        return tuple(notes)
