"""The same of tools: MCP servers, and plain HTTP, whose bytes nobody here reads."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.support.approving import ALLOWED, DENIED, TIMED_OUT
from tests.support.parity.model_scenarios import SECRET
from tests.support.parity.visiting import LIMIT_BYTES, Got, Visit


class Mcp:
    """A client of an MCP server that answers in JSON, or in events where the cell is streamed."""

    kind = "mcp"
    failed = 200  # a refused call is a tool that failed: models read it, and no client repeats it

    def __init__(self, visit: Visit) -> None:
        self.visit = visit

    def server_says(self, text: str = "ok", *, size: int = 0) -> None:
        self._says({"content": [{"type": "text", "text": text + "x" * size}], "isError": False})

    def _says(self, result: dict[str, Any]) -> None:
        answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
        if not self.visit.cell.is_streamed:
            self.visit.upstream_says(answer, kind="application/json")
            return
        progress = b'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n'
        self.visit.upstream_says(progress, b"event: message\ndata: " + answer + b"\n\n")

    async def call(self, tool: str, arguments: dict[str, Any]) -> Got:
        return await self._send("tools/call", {"name": tool, "arguments": arguments})

    async def _send(self, method: str, params: dict[str, Any]) -> Got:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return await self.visit.post("", body.encode(), "mcp")

    async def tools(self, *names: str) -> list[str]:
        """Names that a client is told of where the server has these."""
        self._says({"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]})
        return [tool["name"] for tool in answer_of(await self._send("tools/list", {}))["result"]["tools"]]

    def is_answered(self, got: Got) -> None:
        assert got.status == 200 and got.refusal is None and answer_of(got)["result"]["isError"] is False

    def is_refused(self, got: Got, code: str) -> None:
        assert (got.status, got.refusal) == (200, code)
        answer = answer_of(got)
        assert answer["id"] == 1 and answer["result"]["isError"] is True
        assert len(answer["result"]["content"][0]["text"].split()) > 4

    def is_cut(self, got: Got) -> None:
        assert answer_of(got)["error"]["data"]["code"] == "egress_budget_exhausted" and not got.is_broken


def answer_of(got: Got) -> Any:
    """The answer among the messages of a reply."""
    if not got.headers["Content-Type"].startswith("text/event-stream"):
        return json.loads(got.body)
    events = [line[6:] for line in got.body.replace(b"\r", b"").split(b"\n") if line.startswith(b"data: ")]
    return next(told for told in map(json.loads, events) if "id" in told)


class Opaque:
    """A client of a plain HTTP tool. Streamed: with a reply in chunks, of a length that nobody knows before."""

    kind = "tool"

    def __init__(self, visit: Visit) -> None:
        self.visit = visit

    def server_says(self, text: str = "ok", *, size: int = 0) -> None:
        parts = [text.encode(), *[b"x" * 4096] * (size // 4096)]
        if self.visit.cell.is_streamed:
            self.visit.upstream_says(*parts, b"!", kind="application/octet-stream")
        else:
            self.visit.upstream_says(b"".join(parts), kind="application/octet-stream")

    async def call(self, tool: str, arguments: dict[str, Any]) -> Got:
        return await self.visit.post(f"/{tool}", json.dumps(arguments).encode(), "tool")

    async def tools(self, *names: str) -> list[str]:
        """There is no list of tools: each is known by its path."""
        return [name for name in names if name == "good"]

    def is_answered(self, got: Got) -> None:
        assert (got.status, got.refusal) == (200, None) and got.body.startswith(b"ok")

    def is_refused(self, got: Got, code: str) -> None:
        assert (got.status, got.refusal) == (400, code) and got.headers["x-should-retry"] == "false"
        error = json.loads(got.body)["error"]
        assert error["code"] == code and len(error["message"].split()) > 4

    def is_cut(self, got: Got) -> None:
        """Bytes have no error of their own: the connection breaks, so that nobody takes them for all there is."""
        assert got.is_broken


Tool = Mcp | Opaque


def tool_of(visit: Visit) -> Tool:
    return Mcp(visit) if visit.cell.form == "MCP" else Opaque(visit)


async def refused_by_name(visit: Visit) -> None:
    tool = tool_of(visit)
    tool.is_refused(await tool.call("bad", {"x": "PRIVATE"}), "tool_not_allowed")
    assert visit.seen == [] and visit.codes == ["tool_not_allowed"] and visit.attempts[-1].end == "refused"
    assert await tool.tools("bad", "good") == ["good"]
    tool.server_says()
    tool.is_answered(await tool.call("good", {}))


async def refused_by_arguments(visit: Visit) -> None:
    tool = tool_of(visit)
    for outside in ("/etc/PRIVATE", "/workspace/../etc", ["/workspace"], None):
        got = await tool.call("careful", {"path": outside})
        tool.is_refused(got, "tool_arguments_refused")
        assert b"PRIVATE" not in got.body and visit.codes == ["tool_arguments_refused"]
    assert visit.seen == []
    tool.server_says()
    tool.is_answered(await tool.call("careful", {"path": "/workspace/notes"}))
    assert b"/workspace/notes" in visit.seen[0].body
    if isinstance(tool, Opaque):
        await _refused_by_query(visit, tool)


async def _refused_by_query(visit: Visit, tool: Opaque) -> None:
    for path, body in (
        ("/careful?path=/etc", b""),
        ("/careful?path=/workspace&path=/etc", b""),
        ("/careful?path=/workspace%2f..%2fetc", b""),
        ("/careful?path=/etc", b'{"path": "/workspace"}'),
        ("/careful", b"path=/etc"),
        ("/careful", b'{"path": "/workspace", "path": "/etc"}'),
        ("/careful", b'{"path": "/workspace/\xff"}'),
    ):
        tool.is_refused(await visit.post(path, body, "tool"), "tool_arguments_refused")
    assert len(visit.seen) == 1
    tool.is_answered(await visit.post("/careful?path=/workspace/notes", b"", "tool", "GET"))


async def approval_asked(visit: Visit) -> None:
    tool, people = tool_of(visit), visit.house.people
    for decision, code in ((DENIED, "approval_denied"), (TIMED_OUT, "approval_timed_out")):
        calling = asyncio.create_task(tool.call("asked", {"x": "PRIVATE"}))
        question = await people.question()
        assert (question.arguments, question.session, visit.seen) == ('{"x":"PRIVATE"}', visit.session, [])
        people.settle(question, decision)
        got = await calling
        tool.is_refused(got, code)
        assert b"PRIVATE" not in got.body and visit.codes == [code] and visit.attempts[-1].end == "refused"
    assert visit.seen == []
    tool.server_says()
    calling = asyncio.create_task(tool.call("asked", {"x": "PRIVATE"}))
    people.settle(await people.question(), ALLOWED)
    tool.is_answered(await calling)
    assert b"PRIVATE" in visit.seen[0].body and visit.attempts[-1].verdicts[0].code == "allowed"


async def secret_refused(visit: Visit) -> None:
    tool = tool_of(visit)
    got = await tool.call("good", {"key": SECRET})
    tool.is_refused(got, "sensitive_data_refused")
    assert visit.seen == [] and SECRET.encode() not in got.body and SECRET not in repr(visit.attempts)
    tool.server_says()
    tool.is_answered(await tool.call("good", {"key": "at home"}))


async def egress_cut(visit: Visit) -> None:
    tool = tool_of(visit)
    tool.server_says(size=2 * LIMIT_BYTES)
    got = await tool.call("good", {})
    if isinstance(tool, Mcp) and not visit.cell.is_streamed:
        tool.is_refused(got, "egress_budget_exhausted")
    else:
        tool.is_cut(got)
    assert len(got.body) <= LIMIT_BYTES and visit.codes == ["egress_budget_exhausted"]
    tool.is_refused(await tool.call("good", {"x": "x" * LIMIT_BYTES}), "egress_budget_exhausted")
    assert len(visit.seen) == 1


async def retry_budget(visit: Visit) -> None:
    tool = tool_of(visit)
    visit.upstream_says(b"{}", kind="application/json", status="503 Unavailable")
    answers = [await tool.call("good", {"id": 7}) for _ in range(3)]
    assert [got.status for got in answers[:2]] == [503, 503] and len(visit.seen) == 2
    tool.is_refused(answers[2], "retry_budget_exhausted")
