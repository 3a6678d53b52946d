"""SIMULATED orders tool server of the demo: one POST endpoint a tool, over plain HTTP. Not a real shop.

    POST /lookup_order {"order_id": "A-1042"}      header x-demo-run: which run's copy of the shop this call sees
    GET  /state?run=ID                             what a run has changed and called, for checks

Each run works on its own copy of the data, so runs do not influence each other.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from orders_data import CUSTOMERS, FLAKY_PARCELS, ORDERS, PARCELS, POLICIES

MAX_RUNS = 10_000
Result = tuple[int, dict[str, Any]]


@dataclass
class Shop:
    """One run's copy of the shop, and what the run has done."""

    orders: dict[str, dict[str, Any]] = field(default_factory=lambda: copy.deepcopy(ORDERS))
    failed_once: set[str] = field(default_factory=set)
    calls: list[dict[str, Any]] = field(default_factory=list)


def lookup_order(shop: Shop, order_id: str) -> Result:
    order = shop.orders.get(order_id)
    return (200, order) if order else (404, {"error": f"there is no order {order_id}"})


def lookup_customer(shop: Shop, customer_id: str = "", email: str = "") -> Result:
    for customer in CUSTOMERS.values():
        if customer["customer_id"] == customer_id or customer["email"].lower() == email.lower():
            return 200, customer
    return 404, {"error": "no customer has this id or e-mail address"}


def track_parcel(shop: Shop, tracking_number: str) -> Result:
    if tracking_number in FLAKY_PARCELS and tracking_number not in shop.failed_once:
        shop.failed_once.add(tracking_number)
        return 503, {"error": "the carrier did not answer, try again (this simulated fault comes once in a run)"}
    parcel = PARCELS.get(tracking_number)
    return (200, parcel) if parcel else (404, {"error": f"there is no parcel {tracking_number}"})


def search_policy(shop: Shop, topic: str) -> Result:
    for name, policy in POLICIES.items():
        if topic.lower()[:4] == name[:4]:
            return 200, {"topic": name, **policy}
    return 404, {"error": f"no policy on {topic}", "topics": list(POLICIES)}


def issue_refund(shop: Shop, order_id: str, amount: float, reason: str = "") -> Result:
    order = shop.orders.get(order_id)
    if order is None:
        return 404, {"error": f"there is no order {order_id}"}
    if order["status"] != "delivered" or not 0 < amount <= order["total"] - order["refunded"]:
        return 409, {"error": f"order {order_id} is {order['status']}; {amount} cannot be refunded"}
    order["refunded"] = round(order["refunded"] + amount, 2)
    return 200, {"order_id": order_id, "refunded": amount, "currency": order["currency"]}


def cancel_order(shop: Shop, order_id: str) -> Result:
    order = shop.orders.get(order_id)
    if order is None or order["status"] != "processing":
        return 409, {"error": f"order {order_id} is not processing and cannot be cancelled"}
    order["status"] = "cancelled"
    return 200, {"order_id": order_id, "status": "cancelled"}


def update_address(shop: Shop, order_id: str, address: str) -> Result:
    order = shop.orders.get(order_id)
    if order is None or order["status"] != "processing":
        return 409, {"error": f"order {order_id} is not processing; its address is fixed"}
    order["address"] = address
    return 200, {"order_id": order_id, "address": address}


def send_email(shop: Shop, to: str, subject: str = "", body: str = "") -> Result:
    return 200, {"sent_to": to}


def export_customers(shop: Shop, format: str = "json") -> Result:  # noqa: A002 -- the tool's own parameter name
    return 200, {"customers": list(CUSTOMERS.values())}


TOOLS: dict[str, Callable[..., Result]] = {
    tool.__name__: tool
    for tool in (
        lookup_order,
        lookup_customer,
        track_parcel,
        search_policy,
        issue_refund,
        cancel_order,
        update_address,
        send_email,
        export_customers,
    )
}


class OrdersServer:
    """The HTTP side. The oldest of more than MAX_RUNS runs is forgotten."""

    def __init__(self) -> None:
        self._shops: OrderedDict[str, Shop] = OrderedDict()

    def application(self) -> web.Application:
        application = web.Application()
        application.add_routes([web.post("/{tool}", self.call), web.get("/state", self.state)])
        return application

    def shop(self, run: str) -> Shop:
        while len(self._shops) >= MAX_RUNS and run not in self._shops:
            self._shops.popitem(last=False)
        return self._shops.setdefault(run, Shop())

    async def call(self, request: web.Request) -> web.Response:
        name = request.match_info["tool"]
        tool = TOOLS.get(name)
        if tool is None:
            return web.json_response({"error": f"there is no tool {name}"}, status=404)
        shop = self.shop(request.headers.get("x-demo-run", "default"))
        try:
            arguments = json.loads(await request.read())
            status, result = tool(shop, **arguments)
        except (ValueError, TypeError) as error:
            return web.json_response({"error": f"these arguments do not fit {name}: {error}"}, status=422)
        shop.calls.append({"tool": name, "arguments": arguments, "ok": status == 200})
        return web.json_response(result, status=status)

    async def state(self, request: web.Request) -> web.Response:
        shop = self._shops.get(request.query.get("run", ""), Shop())
        changed = {name: order for name, order in shop.orders.items() if order != ORDERS[name]}
        return web.json_response({"changed_orders": changed, "calls": shop.calls})


async def serve(application: web.Application, host: str, port: int) -> None:
    """Serve until stdin closes (it closes with the process that started this one) or for ever on a terminal."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    print(json.dumps({"url": f"http://{host}:{runner.addresses[0][1]}"}), flush=True)
    if port:
        await asyncio.Event().wait()
    await asyncio.to_thread(sys.stdin.buffer.read)
    await runner.cleanup()


def main(application: web.Application, what: str) -> None:
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one, and end when stdin closes")
    settings = parser.parse_args()
    print(f"{what} Nothing here is real.", file=sys.stderr)
    asyncio.run(serve(application, settings.host, settings.port))


if __name__ == "__main__":
    main(OrdersServer().application(), "Simulated orders tool server of the ironcage demo.")
