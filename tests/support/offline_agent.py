"""An agent for tests of offline replays: it asks `look` of a folder of its own until the model has an answer.

VARIANT in its arguments is what somebody changed in it: none, wording (of the question), or stops (after a call).
Retries on 429 like any client. Runs as a script with nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any


def ask(messages: list[dict[str, Any]], stream: bool) -> dict[str, Any]:
    seed = {"seed": int(os.environ["IRONCAGE_SEED"])} if "IRONCAGE_SEED" in os.environ else {}
    body = {"model": "prod-1", "messages": messages, **({"stream": True} if stream else {}), **seed}
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    while True:
        try:
            with urllib.request.urlopen(request) as reply:
                return read_stream(reply.read()) if stream else json.load(reply)["choices"][0]["message"]
        except urllib.error.HTTPError as error:
            if error.code != 429:
                raise


def read_stream(data: bytes) -> dict[str, Any]:
    text, calls = "", []
    for line in data.decode().splitlines():
        if not line.startswith("data: {"):
            continue
        for choice in json.loads(line[6:])["choices"]:
            text += choice["delta"].get("content") or ""
            calls += choice["delta"].get("tool_calls") or []
    return {"role": "assistant", "content": text} | ({"tool_calls": calls} if calls else {})


def main(variant: str, name: str, stream: bool) -> None:
    question = "Where is the order?" if variant == "wording" else "where is the order?"
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"{question} I am {name}"}]
    while True:
        message = ask(messages, stream)
        messages.append(message)
        if not message.get("tool_calls") or variant == "stops":
            sys.stdout.write(str(message.get("content")))
            return
        for call in message["tool_calls"]:
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": f"in transit to {name}"})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] == "stream")
