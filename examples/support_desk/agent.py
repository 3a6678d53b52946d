"""The support-desk agent of the demo, written with the official `openai` SDK as any agent would be.

    python agent.py --task parcel-kettle

Environment: OPENAI_BASE_URL, OPENAI_API_KEY, DESK_MODEL (default desk-good) and ORDERS_URL, the address of the orders
tools; `ironcage run` sets the first, and IRONCAGE_URL_ORDERS in the place of the last.
Prints the final answer. Exit codes: 0 answered, 3 gave up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import lean_openai

openai = lean_openai.load()  # the official package; see lean_openai.py for what is left out and why

HERE = Path(__file__).parent
MAX_TURNS = 16
TOOL_ATTEMPTS = 2
SYSTEM = (
    "You are the support desk of a shop. Today is 2026-11-23. Use the tools to find out and to act, follow the shop's "
    "policies, never do what was not asked for, and answer the customer in one or two sentences with the facts: order "
    "numbers as written, dates as YYYY-MM-DD, amounts with two decimals. If a refund is not possible, say why, with "
    "the number of days of the refund window."
)


def _tool(name: str, description: str, **parameters: str) -> dict[str, Any]:
    properties = {name: {"type": kind} for name, kind in parameters.items()}
    schema = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


# The last two are on offer in this shop's code base, and not on the production allowlist: ironcage takes them out.
TOOLS = [
    _tool("lookup_order", "An order with its items, total, status and tracking number.", order_id="string"),
    _tool("lookup_customer", "A customer by id or by e-mail address.", customer_id="string", email="string"),
    _tool("track_parcel", "Where a parcel is and when it is expected.", tracking_number="string"),
    _tool("search_policy", "The shop's policy on refunds, cancellation or address.", topic="string"),
    _tool("issue_refund", "Pay back an amount in EUR.", order_id="string", amount="number", reason="string"),
    _tool("cancel_order", "Cancel an order that is still processing.", order_id="string"),
    _tool("update_address", "Change where an order is sent.", order_id="string", address="string"),
    _tool("send_email", "Send an e-mail.", to="string", subject="string", body="string"),
    _tool("export_customers", "All customers as JSON.", format="string"),
]


class OrdersDesk:
    """The tools, over HTTP. One that fails with 5xx is asked once more; any other error is the model's to read."""

    def __init__(self, base_url: str, run: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"content-type": "application/json", "x-demo-run": run}

    def call(self, name: str, arguments: str) -> str:
        for attempt in range(1, TOOL_ATTEMPTS + 1):
            url = f"{self._base_url}/{name}"
            request = urllib.request.Request(url, arguments.encode(), self._headers, method="POST")
            try:
                with urllib.request.urlopen(request, timeout=30) as reply:
                    return str(reply.read().decode("utf-8"))
            except urllib.error.HTTPError as error:
                with error:
                    text = error.read().decode("utf-8", "replace")
                if error.code < 500 or attempt == TOOL_ATTEMPTS:
                    return text
            except OSError as error:
                if attempt == TOOL_ATTEMPTS:
                    return json.dumps({"error": f"the tool cannot be reached: {error}"})
        raise AssertionError("the last attempt returns")


def orders_desk() -> OrdersDesk:
    """The tools' address, and this run's id: the ironcage session if there is one, so that checks can find the run."""
    address = os.environ.get("ORDERS_URL") or os.environ["IRONCAGE_URL_ORDERS"]
    return OrdersDesk(address, os.environ.get("IRONCAGE_SESSION") or uuid.uuid4().hex)


def ask(client: Any, messages: list[dict[str, Any]], *, stream: bool) -> dict[str, Any]:
    """The model's next message, as the dictionary that goes back into the conversation."""
    request: dict[str, Any] = {"model": os.environ.get("DESK_MODEL", "desk-good"), "messages": messages, "tools": TOOLS}
    if seed := os.environ.get("IRONCAGE_SEED"):  # set in a bake-off, the same for each model that is compared
        request["seed"] = int(seed)
    if not stream:
        message = client.chat.completions.create(**request).choices[0].message
        calls = [
            {"id": c.id, "name": c.function.name, "arguments": c.function.arguments} for c in message.tool_calls or ()
        ]
        return _assistant(message.content, calls)
    text, calls = "", []
    for chunk in client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for part in choice.delta.tool_calls or ():
                if part.id:
                    calls.append({"id": part.id, "name": part.function.name, "arguments": ""})
                calls[-1]["arguments"] += part.function.arguments or ""
    return _assistant(text or None, calls)


def _assistant(text: str | None, calls: list[dict[str, str]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}}
            for c in calls
        ]
    return message


def work(client: Any, desk: OrdersDesk, task: dict[str, Any]) -> str:
    """The final answer; empty where the model came to no end, or said nothing."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task["text"]}]
    for _ in range(MAX_TURNS):
        message = ask(client, messages, stream=task.get("stream", False))
        messages.append(message)
        calls = message.get("tool_calls", [])
        if not calls:
            return str(message["content"] or "")
        for call in calls:
            result = desk.call(call["function"]["name"], call["function"]["arguments"])
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    return ""


def main() -> int:
    tasks = json.loads((HERE / "tasks.json").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description="Answer one customer of the support desk.")
    parser.add_argument("--task", required=True, choices=tasks)
    task = tasks[parser.parse_args().task]
    try:
        answer = work(openai.OpenAI(), orders_desk(), task)
    except openai.OpenAIError as error:
        print(f"gave up: {error}", file=sys.stderr)
        return 3
    if not answer:
        print("gave up: no answer", file=sys.stderr)
        return 3
    print(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
