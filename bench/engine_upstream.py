"""A scripted model for bench/engine.py: it calls `lookup` until it has STEPS - 1 results, then answers.

    bench/engine_upstream.py STEPS

Prints its port, ends when its standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RESULT = re.compile(rb'"role": ?"tool"')


def reply(number: int, last: bool) -> bytes:
    message: dict[str, object] = {"role": "assistant", "content": "The answer is 42." if last else None}
    if not last:
        call = {"name": "lookup", "arguments": json.dumps({"key": f"k{number}"})}
        message["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": call}]
    choice = {"index": 0, "message": message, "finish_reason": "stop" if last else "tool_calls"}
    usage = {"prompt_tokens": 50 * (number + 1), "completion_tokens": 20, "total_tokens": 50 * (number + 1) + 20}
    whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    body = json.dumps(whole).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Model(asyncio.Protocol):
    def __init__(self, replies: list[bytes]) -> None:
        self._replies = replies
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while (head := self._waiting.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._waiting, 0, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(self._waiting) < end:
                return
            body, self._waiting = self._waiting[head + 4 : end], self._waiting[end:]
            self._transport.write(self._replies[min(len(_RESULT.findall(body)), len(self._replies) - 1)])


async def main(steps: int) -> None:
    replies = [reply(number, number == steps - 1) for number in range(steps)]
    server = await asyncio.get_running_loop().create_server(lambda: Model(replies), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
