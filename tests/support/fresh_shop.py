"""The order desk as a real tool: an MCP server on its pipes (`pipes`), or over HTTP (`mcp`, `http`), on its own state.

Runs as a script with nothing but the standard library. `FILE` holds the orders; `stuck` never says where it listens.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

TOOLS = ("get_order", "cancel_order", "draw_number")


class Desk:
    def __init__(self, file: str) -> None:
        self.orders: dict[str, Any] = json.loads(Path(file).read_text())

    def call(self, tool: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        """The result, and whether it is an error."""
        if tool == "draw_number":
            return os.environ["IRONCAGE_SEED"], False
        order = self.orders.get(arguments["id"]) if isinstance(arguments.get("id"), str) else None
        if order is None:
            return f"no order {arguments.get('id')}", True
        if tool == "cancel_order":
            order["status"] = "cancelled"
        return json.dumps(order), False

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """To a message of MCP; None to a notification."""
        method, params = message.get("method"), message.get("params", {})
        if "id" not in message:
            return None
        result: dict[str, Any] = {}
        if method == "initialize":
            result = {"protocolVersion": params["protocolVersion"], "capabilities": {}, "serverInfo": {"name": "desk"}}
        elif method == "tools/list":  # in two pages
            cut = TOOLS[1:] if params.get("cursor") else TOOLS[:1]
            result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in cut]}
            if not params.get("cursor"):
                result["nextCursor"] = "more"
        elif method == "tools/call":
            text, is_error = self.call(params["name"], params["arguments"])
            result = {"content": [{"type": "text", "text": text}], "isError": is_error}
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def on_pipes(desk: Desk) -> None:
    sys.stdout.write("this line is no message\n")
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("method") == "tools/call":
            write({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info"}})
            write({"jsonrpc": "2.0", "id": "mine", "method": "ping"})
        answer = desk.answer(message)
        if answer is not None:
            write(answer)


def write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def over_http(desk: Desk, *, is_mcp: bool) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if is_mcp:
                self.message(body)
                return
            tool = self.path.strip("/")
            text, is_error = desk.call(tool, body) if tool in TOOLS else (f"there is {', '.join(TOOLS)}", True)
            self.reply(404 if tool not in TOOLS else 422 if is_error else 200, "text/plain", text.encode())

        def message(self, body: dict[str, Any]) -> None:
            if body.get("method") != "initialize" and self.headers["Mcp-Session-Id"] != "desk-1":
                self.reply(400, "text/plain", b"which session?")
                return
            answer = desk.answer(body)
            if answer is None:
                self.reply(202, "application/json", b"")
            elif body["method"] == "tools/call":
                self.reply(200, "text/event-stream", b": hello\n\ndata: " + json.dumps(answer).encode() + b"\n\n")
            else:
                self.reply(200, "application/json", json.dumps(answer).encode())

        def reply(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Mcp-Session-Id", "desk-1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        said = f"http://127.0.0.1:{server.server_port}/mcp" if is_mcp else f"listening on {server.server_port}"
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    way, file = sys.argv[1], sys.argv[2]
    if way == "pipes":
        on_pipes(Desk(file))
    elif way == "broken":
        sys.exit("the desk is closed")
    else:
        over_http(Desk(file), is_mcp=way == "mcp")
