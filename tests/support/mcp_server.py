"""A real MCP server on loopback, made with the official SDK, and its client."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import uvicorn
from mcp.client.client import Client
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, MutableMapping
    from pathlib import Path

PERSON = "jane.roe@clinic-example.org"
Asgi = "Callable[[Any, Any, Any], Awaitable[None]]"


class Served:
    """`url` is the server's endpoint; `calls` are the tools that ran, with their arguments."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []


def tools_of(served: Served) -> MCPServer:
    server = MCPServer("demo", log_level="CRITICAL")

    @server.tool()
    def add(a: int, b: int) -> int:
        served.calls.append(("add", {"a": a, "b": b}))
        return a + b

    @server.tool()
    def contact(email: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Email"})]) -> str:
        """Find a person."""
        served.calls.append(("contact", {"email": email}))
        return f"reach {email} or {PERSON}"

    @server.tool()
    def fail(why: str) -> str:
        served.calls.append(("fail", {"why": why}))
        raise ToolError(why)

    @server.tool()
    async def slow(steps: int, context: Context) -> str:
        """Report progress first, so that the answer comes as events."""
        served.calls.append(("slow", {"steps": steps}))
        for step in range(steps):
            await context.report_progress(step + 1, steps)
        return "done"

    @server.tool()
    def busy() -> str:
        return "answered with 429 before it gets here"

    @server.tool()
    def shell_exec(command: str) -> str:
        served.calls.append(("shell_exec", {"command": command}))
        return command

    return server


@asynccontextmanager
async def mcp_server(*, json_response: bool = False, certificate: Path | None = None) -> AsyncIterator[Served]:
    """Over TLS if there is a certificate; its key is beside it (see make_certificate)."""
    served = Served()
    inner = tools_of(served).streamable_http_app(json_response=json_response)

    async def noting(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {key.decode(): value.decode() for key, value in scope["headers"]}
            served.requests.append((scope["method"], headers))
        if scope["type"] == "http" and scope["method"] == "POST":
            body = await _body(receive)
            if b'"busy"' in body:
                served.calls.append(("busy", {}))
                await send({"type": "http.response.start", "status": 429, "headers": []})
                await send({"type": "http.response.body", "body": b"slow down"})
                return
            read = iter([{"type": "http.request", "body": body}])
            await inner(scope, lambda: _next(read, receive), send)
        else:
            await inner(scope, receive, send)

    tls = {"ssl_certfile": certificate, "ssl_keyfile": certificate.with_name("fhir-key.pem")} if certificate else {}
    config = uvicorn.Config(
        noting, host="127.0.0.1", port=0, log_level="critical", lifespan="on", ws="none", timeout_graceful_shutdown=1,
        **tls,  # type: ignore[arg-type]
    )  # fmt: skip
    server = uvicorn.Server(config)
    ready = asyncio.Event()
    started = server.startup

    async def startup(sockets: Any = None) -> None:
        await started(sockets)
        ready.set()

    server.startup = startup  # type: ignore[method-assign]
    task = asyncio.create_task(server._serve())  # without its signal handlers
    try:
        await ready.wait()
        port = server.servers[0].sockets[0].getsockname()[1]
        # over TLS by name: clients leave 127.0.0.1 out of proxying more often than localhost
        served.url = f"https://localhost:{port}/mcp" if certificate else f"http://127.0.0.1:{port}/mcp"
        yield served
    finally:
        server.should_exit = True
        await task


async def _body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _next(read: Iterator[Any], receive: Any) -> Any:
    """What was read already, then what comes."""
    return next(read, None) or await receive()


def client(url: str, *, mode: str = "2026-07-28", **options: Any) -> Client:
    return Client(url, mode=mode, **options)
