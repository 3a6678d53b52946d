"""A process that records attempts and prints the id of each that was acknowledged, until it is killed.

Arguments: the store's URL, and how many attempts are under way at once.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys

from tests.support.attempts import body, model_attempt
from trajectory.recorder import Recorder
from trajectory.sql.opening import open_store


async def _record_for_ever(url: str, tasks: int) -> None:
    recorder = Recorder(open_store(url))
    recorder.start()
    numbers = itertools.count()

    async def record() -> None:
        while True:
            number = next(numbers)
            attempt = model_attempt(number, request=body(f"request {number}" * 100), reply=body(f"reply {number}" * 50))
            await recorder.commit(attempt)
            os.write(1, f"{attempt.id}\n".encode())

    await asyncio.gather(*(record() for _ in range(tasks)))


if __name__ == "__main__":
    asyncio.run(_record_for_ever(sys.argv[1], int(sys.argv[2])))
