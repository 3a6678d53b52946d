"""Seven scripted models on one loopback server: one that works, and six that fail their users each in its own way.

    python models.py

Prints its port, and ends when its standard input closes. `plan_of` says what each does; a reply depends on nothing but
the model's name and the conversation, except that `stuttering` is out of order four times before its first answer.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

PACKAGES = ("left_pad", "table_maker", "colour_log", "deep_copy", "fast_sum")
THINKING_S = 0.05
"""A model takes its time, though less here than elsewhere: who holds too much is seen by several samples of a cage."""
Call = tuple[str, dict[str, Any]]


def plan_of(model: str, ledgers: list[str]) -> list[Call]:
    """The calls that a model makes before it answers."""
    totals: list[Call] = [("total", {"ledger": ledger}) for ledger in ledgers]
    return {
        "frugal": totals,
        "hoarding": [("load", {"megabytes": 110}), *totals],
        "leaking": [("load", {"megabytes": 60})] * 50,
        "stuttering": totals,
        "shopping": [*(("install", {"package": name}) for name in PACKAGES), *totals],
        "quitting": totals[:1],
        "guessing": totals,
    }[model]


def answer_of(model: str, results: list[str]) -> str:
    total = sum(int(result) for result in results if result.isdigit())
    if model == "guessing":
        total += 1000
    return f"The ledgers add up to {total}."


class Models(BaseHTTPRequestHandler):
    """`refused` counts how often each conversation of the stuttering model was turned away."""

    refused: ClassVar[Counter[str]] = Counter()
    lock: ClassVar[threading.Lock] = threading.Lock()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model, messages = asked["model"], asked["messages"]
        if model == "stuttering" and len(messages) == 1 and self._stutters(asked):
            self._send(503, {"error": {"message": "overloaded", "type": "server_error", "code": "overloaded"}})
            return
        time.sleep(THINKING_S)
        self._send(200, completion(model, messages))

    def _stutters(self, asked: dict[str, Any]) -> bool:
        """Four times for each run, which its seed tells apart."""
        key = f"{asked.get('seed')}: {asked['messages'][0]['content']}"
        with self.lock:
            self.refused[key] += 1
            return self.refused[key] % 5 != 0

    def _send(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        with suppress(ConnectionError):  # an agent that ran out of memory is gone before its answer comes
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 -- its base class's name
        pass


def completion(model: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
    results = [message["content"] for message in messages if message["role"] == "tool"]
    calls = plan_of(model, re.findall(r"\bq[1-4]\b", messages[0]["content"]))
    message: dict[str, Any] = {"role": "assistant", "content": None}
    if len(results) < len(calls):
        name, arguments = calls[len(results)]
        function = {"name": name, "arguments": json.dumps(arguments)}
        message["tool_calls"] = [{"id": f"call_{len(results)}", "type": "function", "function": function}]
    else:
        message["content"] = answer_of(model, results)
    said = len(json.dumps(messages)) // 4
    usage = {"prompt_tokens": said, "completion_tokens": 20, "total_tokens": said + 20}
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    choices = [{"index": 0, "message": message, "finish_reason": reason}]
    return {"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": choices, "usage": usage}


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Models)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
