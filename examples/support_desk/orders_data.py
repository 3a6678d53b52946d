"""The invented shop behind the demo: customers, orders, parcels and rules. Every person and number here is made up.

Cards are the test numbers that payment providers publish (they pass the Luhn check and belong to nobody), telephone
numbers come from ranges reserved for fiction, e-mail addresses from domains reserved for examples.
"""

from __future__ import annotations

from typing import Any

TODAY = "2026-11-23"

CUSTOMERS: dict[str, dict[str, Any]] = {
    str(customer["customer_id"]): customer
    for customer in (
        {"customer_id": "C-11", "name": "Ana Pereira", "email": "ana.pereira@example.com", "phone": "+1 202-555-0143",
         "card": "4242 4242 4242 4242", "points": 1240, "orders": ["A-1042", "A-1043"]},
        {"customer_id": "C-12", "name": "Bela Toth", "email": "bela.toth@example.org", "phone": "+1 202-555-0178",
         "card": "5555 5555 5555 4444", "points": 80, "orders": ["A-1050"]},
        {"customer_id": "C-13", "name": "Chidi Okoro", "email": "chidi@okoro.example.net", "phone": "+1 202-555-0119",
         "card": "4000 0566 5566 5556", "points": 410, "orders": ["A-1061", "A-1062"]},
        {"customer_id": "C-14", "name": "Dora Lindqvist", "email": "dora.l@example.com", "phone": "+1 202-555-0186",
         "card": "3782 822463 10005", "points": 0, "orders": ["A-1070"]},
        {"customer_id": "C-15", "name": "Emil Novak", "email": "emil.novak@example.org", "phone": "+1 202-555-0102",
         "card": "6011 1111 1111 1117", "points": 955, "orders": ["A-1081", "A-1082", "A-1083"]},
        {"customer_id": "C-16", "name": "Farah Aziz", "email": "farah.aziz@example.com", "phone": "+1 202-555-0155",
         "card": "4111 1111 1111 1111", "points": 2300, "orders": ["A-1090"]},
        {"customer_id": "C-17", "name": "Goran Petrov", "email": "g.petrov@example.net", "phone": "+1 202-555-0131",
         "card": "5105 1051 0510 5100", "points": 15, "orders": ["A-1101"]},
        {"customer_id": "C-18", "name": "Hanna Weiss", "email": "hanna@weiss.example.org", "phone": "+1 202-555-0164",
         "card": "4012 8888 8888 1881", "points": 620, "orders": ["A-1110"]},
        {"customer_id": "C-19", "name": "Ivo Marini", "email": "ivo.marini@example.com", "phone": "+1 202-555-0197",
         "card": "4222 2222 2222 2220", "points": 77, "orders": ["A-1121"]},
        {"customer_id": "C-20", "name": "Jun Tanaka", "email": "jun.tanaka@example.org", "phone": "+1 202-555-0126",
         "card": "3566 0020 2036 0505", "points": 300, "orders": ["A-1130", "A-1131"]},
        {"customer_id": "C-21", "name": "Kofi Mensah", "email": "kofi@mensah.example.net", "phone": "+1 202-555-0109",
         "card": "4000 0027 6000 3184", "points": 140, "orders": ["A-1140"]},
        {"customer_id": "C-22", "name": "Lea Fontaine", "email": "lea.fontaine@example.com", "phone": "+1 202-555-0188",
         "card": "5200 8282 8282 8210", "points": 505, "orders": ["A-1150"]},
    )
}  # fmt: skip


def _order(
    order_id: str,
    customer_id: str,
    status: str,
    items: list[tuple[str, float]],
    *,
    delivered: str | None = None,
    tracking: str | None = None,
) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "customer_id": customer_id,
        "status": status,
        "items": [{"name": name, "price": price} for name, price in items],
        "total": round(sum(price for _, price in items), 2),
        "currency": "EUR",
        "delivered_on": delivered,
        "tracking_number": tracking,
        "address": "as on the invoice",
        "refunded": 0.0,
    }


ORDERS: dict[str, dict[str, Any]] = {
    order["order_id"]: order
    for order in (
        _order("A-1042", "C-11", "shipped", [("kettle", 49.90)], tracking="TRK-QZ-KETTLE"),
        _order("A-1043", "C-11", "delivered", [("mug", 12.50), ("tray", 17.40)], delivered="2026-11-12"),
        _order("A-1050", "C-12", "delivered", [("headphones", 89.00)], delivered="2026-11-15"),
        _order("A-1061", "C-13", "delivered", [("lamp", 39.00)], delivered="2026-08-02"),
        _order("A-1062", "C-13", "processing", [("shelf", 120.00)]),
        _order("A-1070", "C-14", "processing", [("rug", 210.00)]),
        _order("A-1081", "C-15", "delivered", [("book", 24.00)], delivered="2026-11-02"),
        _order("A-1082", "C-15", "processing", [("printer", 149.00)]),
        _order("A-1083", "C-15", "processing", [("printer", 149.00)]),
        _order("A-1090", "C-16", "shipped", [("jacket", 99.00)], tracking="TRK-QZ-JACKET"),
        _order("A-1101", "C-17", "shipped", [("bicycle pump", 27.30)], tracking="TRK-QZ-PUMP"),
        _order("A-1110", "C-18", "delivered", [("bowl", 18.00), ("vase", 46.00)], delivered="2026-11-17"),
        _order("A-1121", "C-19", "processing", [("desk", 310.00)]),
        _order("A-1130", "C-20", "delivered", [("tea set", 64.20)], delivered="2026-11-09"),
        _order("A-1131", "C-20", "delivered", [("teapot", 35.80)], delivered="2026-11-10"),
        _order("A-1140", "C-21", "shipped", [("radio", 58.00)], tracking="TRK-QZ-RADIO"),
        _order("A-1150", "C-22", "delivered", [("boots", 134.00)], delivered="2026-09-30"),
    )
}

PARCELS: dict[str, dict[str, Any]] = {
    "TRK-QZ-KETTLE": {"state": "in transit", "expected_on": "2026-11-25", "place": "Lyon"},
    "TRK-QZ-JACKET": {"state": "out for delivery", "expected_on": "2026-11-23", "place": "Porto"},
    "TRK-QZ-PUMP": {"state": "held at customs", "expected_on": "2026-12-01", "place": "Zagreb"},
    "TRK-QZ-RADIO": {"state": "in transit", "expected_on": "2026-11-27", "place": "Accra"},
}

FLAKY_PARCELS = frozenset({"TRK-QZ-PUMP", "TRK-QZ-JACKET"})
"""The carrier's interface fails once in each run for these, then answers: 503, and the agent has to ask again."""

POLICIES: dict[str, dict[str, Any]] = {
    "refunds": {"window_days": 30, "text": "Refunds within 30 days of delivery; damaged items at their own price."},
    "cancellation": {"text": "Orders can be cancelled while they are processing, not once they are shipped."},
    "address": {"text": "The address can be changed while an order is processing, not once it is shipped."},
}
