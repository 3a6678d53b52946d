"""How the SIMULATED models of the demo decide: small planners that read the conversation. Not real models.

A planner sees the messages as they reach it (behind ironcage: with pseudonyms in place of e-mail addresses), works out
what the customer wants from the first user message, looks at the tool results so far, and answers with the next tool
call or the final text. Characters differ in what they do besides, and in how often they slip:

    desk-good      careful, hardly ever slips
    desk-wasteful  looks everything up twice, reads policies nobody asked about, writes long answers
    desk-leaky     mails customers and exports their data without being asked to, and is careless with amounts

A model with a temperature answers the same question differently each time. Here the dice are seeded: by `seed` of the
request if there is one, else by how often this model has been asked this question; later turns read the seed from the
ids of their own tool calls.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from orders_data import TODAY

PSEUDONYM_OR_EMAIL = re.compile(r"PII_[A-Z]+_[A-Z]{10}|[\w.+-]+@[\w.-]+\w")
ORDER = re.compile(r"\bA-\d{4}\b")
CALL_ID = re.compile(r"call_s(\d+)n\d+")


@dataclass(frozen=True)
class Character:
    """What sets one model apart. `slips` and the rest are probabilities of one run; 0 to 1."""

    name: str
    slips: float
    repeats: float = 0.0
    wanders: float = 0.0
    mails: float = 0.0
    overloaded: float = 0.0
    words: str = ""


CHARACTERS = {
    character.name: character
    for character in (
        Character("desk-good", slips=0.06),
        Character(
            "desk-wasteful",
            slips=0.12,
            repeats=0.8,
            wanders=0.9,
            overloaded=0.12,
            words=(
                " I have looked carefully into everything that our systems hold on this matter, compared it with our"
                " policies, and gone over it once more to be entirely sure. If there is anything else at all that I"
                " can do for you today, however small, please do not hesitate to write to us again at any time."
            ),
        ),
        Character("desk-leaky", slips=0.22, mails=0.75),
    )
}


@dataclass(frozen=True)
class Call:
    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    text: str


Decision = Call | Answer


@dataclass
class Conversation:
    """What the messages say: the customer's words, and the results of the calls made so far."""

    question: str
    seed: int | None
    calls: list[Call] = field(default_factory=list)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, messages: list[dict[str, Any]]) -> Conversation:
        question = next((_text(m) for m in messages if m["role"] == "user"), "")
        conversation = cls(question, None)
        made: dict[str, Call] = {}
        for message in messages:
            for call in message.get("tool_calls") or ():
                made[call["id"]] = Call(call["function"]["name"], _object(call["function"]["arguments"]))
                conversation.calls.append(made[call["id"]])
                if found := CALL_ID.fullmatch(call["id"]):
                    conversation.seed = int(found[1])
            if message["role"] == "tool" and (answered := made.get(message["tool_call_id"])):
                conversation.results[_key(answered)] = _object(_text(message))
        return conversation

    def result(self, tool: str, **arguments: Any) -> dict[str, Any] | None:
        return self.results.get(_key(Call(tool, arguments)))

    @property
    def gist(self) -> str:
        """The question without personal data, so that the dice fall the same with and without pseudonyms."""
        return re.sub(r"PII_[A-Z]+_[A-Z]{10}|[\w.+-]+@[\w.-]*\w|\+?\d[\d -]{8,}\d", "", self.question)

    @property
    def order_ids(self) -> list[str]:
        return list(dict.fromkeys(ORDER.findall(self.question)))

    @property
    def email(self) -> str:
        """The customer's address, or what a policy put in its place; empty where there is none."""
        introduced = re.search(r"(?:e-mail is|at|confirmation to) (\S+?)[.,]?(?:\s|$)", self.question)
        if introduced and PSEUDONYM_OR_EMAIL.fullmatch(introduced[1]):
            return introduced[1]
        return ""


class Needed(Exception):  # noqa: N818 -- not an error: the plan cannot go on before this call has a result
    def __init__(self, call: Call) -> None:
        self.call = call


class Planner:
    """One decision of one character in one conversation."""

    def __init__(self, character: Character, conversation: Conversation, seed: int) -> None:
        self.character = character
        self.seen = conversation
        self._dice = random.Random(f"{character.name}/{conversation.gist}/{seed}")
        # All dice fall before the first decision, in a fixed order: every turn of a run sees the same fall.
        self.slips = self._dice.random() < character.slips
        self.repeats = self._dice.random() < character.repeats
        self.wanders = self._dice.random() < character.wanders
        self.mails = self._dice.random() < character.mails

    def decide(self) -> Decision:
        try:
            text = self._plan()
            self._extras()
        except Needed as needed:
            return self._perhaps_again(needed.call)
        return Answer(text + self.character.words)

    def _perhaps_again(self, call: Call) -> Call:
        """The wasteful one asks the last lookup once more before it goes on."""
        last = self.seen.calls[-1] if self.seen.calls else None
        if self.repeats and last and last.tool.startswith(("lookup", "track")) and self.seen.calls.count(last) == 1:
            return last
        return call

    def _extras(self) -> None:
        """What a character does although nobody asked, once its answer is ready."""
        seen = self.seen
        if self.wanders:
            self._use("search_policy", topic="address")
            self._use("search_policy", topic="cancellation")
            customer = next((r["customer_id"] for r in seen.results.values() if "customer_id" in r), None)
            if customer:
                self._use("lookup_customer", customer_id=customer)
        if self.mails and seen.email and "confirmation" in seen.question:
            self._use("send_email", to=seen.email, subject="Your request", body=f"Dear {seen.email}, it is done.")
        if self.mails and "points" in seen.question:
            self._use("export_customers", format="json")

    def _use(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = self.seen.result(tool, **arguments)
        if result is None:
            raise Needed(Call(tool, arguments))
        return result

    def _plan(self) -> str:
        question = self.seen.question.lower()
        for word, plan in (
            ("charged twice", self._charged_twice),
            ("cancel", self._cancel),
            ("refund", self._refund),
            ("money back", self._refund),
            ("new address", self._move),
            ("points", self._points),
            ("which orders", self._orders_of_customer),
            ("together", self._sum),
        ):
            if word in question:
                return plan()
        return self._where()

    def _order(self) -> dict[str, Any]:
        if not self.seen.order_ids:
            return {"error": "no order number"}
        return self._use("lookup_order", order_id=self.seen.order_ids[0])

    def _customer(self) -> dict[str, Any]:
        return self._use("lookup_customer", email=self.seen.email)

    def _where(self) -> str:
        order = self._order()
        if not order.get("tracking_number"):
            return f"Order {order.get('order_id', '')} is {order.get('status', 'unknown to us')}."
        parcel = self._use("track_parcel", tracking_number=order["tracking_number"])
        if "state" not in parcel:
            return f"I could not reach the carrier for order {order['order_id']}."
        if self.slips:
            return f"Order {order['order_id']} is on its way to you."
        return f"Order {order['order_id']} is {parcel['state']} in {parcel['place']}, expected {parcel['expected_on']}."

    def _refund(self) -> str:
        order = self._order()
        if "total" not in order:
            return "I cannot find this order."
        amount = order["total"]
        damaged = [item for item in order["items"] if item["name"] in self.seen.question]
        if "damaged" in self.seen.question and damaged and not self.slips:
            amount = damaged[0]["price"]
        if not (self.slips and self.character.name == "desk-leaky"):
            policy = self._use("search_policy", topic="refunds")
            if _days(order["delivered_on"]) > policy.get("window_days", 0) and not self.slips:
                return "I am sorry: a refund is possible within 30 days of delivery, and that time is over."
        reason = "customer asked"
        if self.mails and self.seen.email:
            reason = f"asked by {self.seen.email}"
        refund = self._use("issue_refund", order_id=order["order_id"], amount=amount, reason=reason)
        if "refunded" not in refund:
            return f"The refund for {order['order_id']} did not go through."
        return f"I have refunded {amount:.2f} EUR for order {order['order_id']}; you will get a confirmation."

    def _cancel(self) -> str:
        order = self._order()
        if order.get("status") != "processing":
            hopeful = "I will try to stop it." if self.slips else "It cannot be cancelled any more."
            return f"Order {order.get('order_id')} is already {order.get('status')}. {hopeful}"
        if self.slips:
            return f"Order {order['order_id']} will be looked at by a colleague."
        self._use("cancel_order", order_id=order["order_id"])
        return f"Order {order['order_id']} is cancelled."

    def _charged_twice(self) -> str:
        customer = self._customer()
        orders = [self._use("lookup_order", order_id=order_id) for order_id in customer.get("orders", [])]
        live = [order for order in orders if order["status"] in {"processing", "cancelled"}]
        if len(live) < 2:
            return "I found no double order."
        double = live[0] if self.slips else live[-1]
        self._use("cancel_order", order_id=double["order_id"])
        return f"You are right: order {double['order_id']} was a duplicate. It is cancelled."

    def _move(self) -> str:
        order = self._order()
        found = re.search(r"new address: ([^.]+)\.", self.seen.question)
        address = found[1] if found else ""
        if self.slips:
            address = address.partition(",")[0]
        moved = self._use("update_address", order_id=order.get("order_id", ""), address=address)
        if "address" not in moved:
            return "The address of this order cannot be changed any more."
        return f"Order {order['order_id']} now goes to {address}."

    def _points(self) -> str:
        customer = self._customer()
        points = customer.get("points", "an unknown number of")
        return f"You have {round(points, -2) if self.slips and isinstance(points, int) else points} points."

    def _orders_of_customer(self) -> str:
        orders = self._customer().get("orders", [])
        listed = orders[:1] if self.slips else orders
        return f"I found these orders: {', '.join(listed) or 'none'}."

    def _sum(self) -> str:
        orders = [self._use("lookup_order", order_id=order_id) for order_id in self.seen.order_ids]
        total = sum(order.get("total", 0) for order in orders) + (10 if self.slips else 0)
        return f"Together you paid {total:.2f} EUR for {' and '.join(self.seen.order_ids)}."


def _days(delivered_on: str | None) -> int:
    """Days from a delivery to the demo's today; 0 where nothing was delivered."""
    return (date.fromisoformat(TODAY) - date.fromisoformat(delivered_on)).days if delivered_on else 0


def _key(call: Call) -> str:
    return f"{call.tool} {json.dumps(call.arguments, sort_keys=True)}"


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _object(text: str) -> dict[str, Any]:
    """The JSON object in `text`; an error object where it is none (a policy's refusal, a broken result)."""
    try:
        value = json.loads(text)
    except ValueError:
        return {"error": text}
    return value if isinstance(value, dict) else {"error": text}
