"""Two ways to an MCP server: lines on the pipes of a process, and streamable HTTP (JSON or a stream of events)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from proxy.arrivals import Headers
from proxy.upstream import Patience, UpstreamClient, UpstreamReply
from proxy.wire.sse import Framer, data_of
from replay.world.mcp_tools import PROTOCOL, Message, declined
from replay.world.server_process import ServerProcess
from trajectory.errors import CageError, UpstreamError

CALL_TIMEOUT_S = 120.0
"""How long a tool may be silent."""


class PipeLink:
    """What a server writes that is no reply is passed over: its notifications, and what is no JSON."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def ask(self, message: Message) -> Message:
        await self.tell(message)
        while True:
            read = _message(await self._process.line(CALL_TIMEOUT_S))
            if read is None:
                continue
            if read.get("id") == message["id"] and "method" not in read:
                return read
            if (answer := declined(read)) is not None:
                await self.tell(answer)

    async def tell(self, message: Message) -> None:
        await self._process.write(json.dumps(message).encode() + b"\n")

    async def close(self) -> tuple[str, ...]:
        return await self._process.end()


class HttpLink:
    """`process` is the server's, if it was started for this run, and ends with it."""

    def __init__(self, url: str, *, headers: Headers = (), process: ServerProcess | None = None) -> None:
        self._url, self._headers, self._process = url, headers, process
        self._client = UpstreamClient()
        self._session: Headers = ()

    async def ask(self, message: Message) -> Message:
        async with aclosing(self._post(message)) as replies:
            async for one in replies:
                if one.get("id") == message["id"] and "method" not in one:
                    return one
                if (answer := declined(one)) is not None:
                    await self.tell(answer)
        raise CageError("the tool server ended its reply without an answer")

    async def tell(self, message: Message) -> None:
        async with aclosing(self._post(message)) as replies:
            async for _ in replies:
                pass

    async def close(self) -> tuple[str, ...]:
        await self._client.__aexit__(None, None, None)
        return () if self._process is None else await self._process.end()

    async def _post(self, message: Message) -> AsyncGenerator[Message]:
        headers = (
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            *(() if message.get("method") == "initialize" else (("MCP-Protocol-Version", PROTOCOL),)),
            *self._session,
            *self._headers,
        )
        patience = Patience(connect_s=CALL_TIMEOUT_S, idle_s=CALL_TIMEOUT_S)
        try:
            reply = await self._client.ask("POST", self._url, headers, json.dumps(message).encode(), patience=patience)
            try:
                async for one in self._read(reply):
                    yield one
            finally:
                reply.close()
        except UpstreamError as error:
            raise CageError(f"the tool server cannot be reached: {error}") from None

    async def _read(self, reply: UpstreamReply) -> AsyncGenerator[Message]:
        fields = {name.lower(): value for name, value in reply.headers}
        if "mcp-session-id" in fields:
            self._session = (("Mcp-Session-Id", fields["mcp-session-id"]),)
        if fields.get("content-type", "").startswith("text/event-stream"):
            framer = Framer()
            async for part in reply.parts():
                for frame in framer.feed(part):
                    if (one := _message(data_of(frame))) is not None:
                        yield one
            return
        body = b"".join([part async for part in reply.parts()])
        one = _message(body)
        if one is not None and "jsonrpc" in one:
            yield one
        elif reply.status >= 400:
            raise CageError(f"the tool server answered HTTP {reply.status}: {body[:300].decode('utf-8', 'replace')}")


def _message(data: bytes) -> Message | None:
    try:
        read = json.loads(data)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None
