"""The agent: it adds up ledgers with the tools that its model calls. Nothing but the standard library.

    python agent.py --task first-half

What it does is decided by the model: this program is the same for all seven that run_six.py compares. The model is
named by LEDGER_MODEL and found at OPENAI_BASE_URL; the ledgers lie in the folder in which the agent was started.
"""

from __future__ import annotations

import argparse
import csv
import http.client
import json
import os
import sys
import urllib.parse
import zipfile
from pathlib import Path
from typing import Any

from tasks import TASKS

MAX_STEPS = 60
MAX_TRIES = 6
TOOLS = {
    "total": ("Add up one ledger, row by row.", {"ledger": {"type": "string"}}),
    "load": ("Hold a number of megabytes of ledger rows in memory, for speed.", {"megabytes": {"type": "integer"}}),
    "install": ("Install a package from the wheels folder.", {"package": {"type": "string"}}),
}


class Tools:
    def __init__(self) -> None:
        self._held: list[bytearray] = []

    def total(self, ledger: str) -> str:
        with Path(f"{ledger}.csv").open(encoding="utf-8", newline="") as file:
            return str(sum(int(row["amount"]) for row in csv.DictReader(file)))

    def load(self, megabytes: int) -> str:
        self._held.append(bytearray(os.urandom(1024)) * (1024 * megabytes))
        return f"{sum(map(len, self._held)) // 2**20} MB held"

    def install(self, package: str) -> str:
        """A pure Python wheel is installed by unpacking it (PyPA, binary distribution format)."""
        (wheel,) = Path("wheels").glob(f"{package}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall("lib")
        return f"installed {wheel.stem.split('-')[1]}"


def run(task: str) -> str:
    tools = Tools()
    messages: list[dict[str, Any]] = [{"role": "user", "content": TASKS[task]}]
    for _ in range(MAX_STEPS):
        message = ask(messages)
        messages.append(message)
        if not message.get("tool_calls"):
            return str(message["content"])
        for call in message["tool_calls"]:
            arguments = json.loads(call["function"]["arguments"])
            result = getattr(tools, call["function"]["name"])(**arguments)
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    raise SystemExit(f"no answer after {MAX_STEPS} steps")


def ask(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Like an official client, it tries again what the server could not do; it does not wait, as this is a demo."""
    base = urllib.parse.urlsplit(os.environ["OPENAI_BASE_URL"])
    body = json.dumps(
        {"model": os.environ.get("LEDGER_MODEL", "frugal"), "messages": messages, "tools": list(map(offered, TOOLS))}
    )
    for _ in range(MAX_TRIES):
        connection = http.client.HTTPConnection(base.hostname or "", base.port, timeout=30)
        connection.request("POST", f"{base.path}/chat/completions", body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        text = reply.read()
        connection.close()
        if reply.status == 200:
            message: dict[str, Any] = json.loads(text)["choices"][0]["message"]
            return message
        if reply.status < 500:
            break
    raise SystemExit(f"the model answered {reply.status}: {text.decode('utf-8', 'replace')[:300]}")


def offered(name: str) -> dict[str, Any]:
    description, properties = TOOLS[name]
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Add up ledgers.")
    parser.add_argument("--task", choices=TASKS, required=True)
    sys.stdout.write(run(parser.parse_args().task) + "\n")
