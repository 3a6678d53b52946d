"""A shop's service desk over JSON tables: the tools of tau-bench's retail tasks, told from their recorded results.

    ironcage bakeoff run --world 'retail:Retail?data=FOLDER' --world tape …

FOLDER holds orders, products and users as *.json.gz.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from replay.world.arithmetic import Scratchpad
from replay.world.rows import Row, thaw
from replay.world.simulator import ToolError
from replay.world.tables import TableSimulator, tool

CANCEL_REASONS = ("no longer needed", "ordered by mistake")


class Retail(Scratchpad, TableSimulator):
    files: ClassVar[Mapping[str, str]] = {table: f"{table}.json.gz" for table in ("orders", "products", "users")}

    # --- reading

    @tool
    def find_user_id_by_email(self, email: str) -> str:
        found = (key for key, user in self.state.rows("users") if user["email"].lower() == email.lower())
        return _found(next(found, None))

    @tool
    def find_user_id_by_name_zip(self, first_name: str, last_name: str, zip: str) -> str:  # noqa: A002 (the tool's)
        wanted = (first_name.lower(), last_name.lower(), zip)
        for key, user in self.state.rows("users"):
            name = user["name"]
            if (name["first_name"].lower(), name["last_name"].lower(), user["address"]["zip"]) == wanted:
                return key
        return _found(None)

    @tool
    def get_user_details(self, user_id: str) -> Row:
        return self._user(user_id)

    @tool
    def get_order_details(self, order_id: str) -> Row:
        return self._order(order_id)

    @tool
    def get_product_details(self, product_id: str) -> Row:
        return self.row("products", product_id, "Error: product not found")

    @tool
    def list_all_product_types(self) -> dict[str, str]:
        return dict(sorted((one["name"], one["product_id"]) for _, one in self.state.rows("products")))

    # --- writing

    @tool
    def cancel_pending_order(self, order_id: str, reason: str) -> Row:
        order = self._order(order_id)
        if order["status"] != "pending":
            raise ToolError("Error: non-pending order cannot be cancelled")
        if reason not in CANCEL_REASONS:
            raise ToolError("Error: invalid reason")
        changed = self.state.edit("orders", order_id)
        refunds = [{**one, "transaction_type": "refund"} for one in changed["payment_history"]]
        for refund in refunds:
            self._credit(order["user_id"], refund["payment_method_id"], refund["amount"])
        changed["payment_history"].extend(refunds)
        changed.update(status="cancelled", cancel_reason=reason)
        return changed

    @tool
    def modify_pending_order_address(  # the arguments are the tool's
        self, order_id: str, address1: str, address2: str, city: str, state: str, country: str, zip: str,  # noqa: A002
    ) -> Row:  # fmt: skip
        self._pending(order_id)
        changed = self.state.edit("orders", order_id)
        changed["address"] = _address(address1, address2, city, state, country, zip)
        return changed

    @tool
    def modify_pending_order_items(
        self, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
    ) -> Row:
        order = self._pending(order_id)
        pairs = self._exchanged(order, item_ids, new_item_ids)
        difference = sum(new["price"] - old["price"] for old, new in pairs)
        self._check_method(order, payment_method_id, difference)
        changed = self.state.edit("orders", order_id)
        payment = {
            "transaction_type": "payment" if difference > 0 else "refund",
            "amount": abs(difference),
            "payment_method_id": payment_method_id,
        }
        changed["payment_history"].append(payment)
        self._credit(order["user_id"], payment_method_id, -difference)
        for item_id, (_, new) in zip(item_ids, pairs, strict=True):
            item = next(one for one in changed["items"] if one["item_id"] == item_id)
            item.update(item_id=new["item_id"], price=new["price"], options=thaw(new["options"]))
        changed["status"] = "pending (item modified)"
        return changed

    @tool
    def modify_pending_order_payment(self, order_id: str, payment_method_id: str) -> Row:
        order = self._pending(order_id)
        method = self._method(order, payment_method_id)
        paid = order["payment_history"]
        if len(paid) != 1 or paid[0]["transaction_type"] != "payment":
            raise ToolError("Error: there should be exactly one payment for a pending order")
        if paid[0]["payment_method_id"] == payment_method_id:
            raise ToolError("Error: the new payment method should be different from the current one")
        amount, before = paid[0]["amount"], paid[0]["payment_method_id"]
        if method["source"] == "gift_card" and method["balance"] < amount:
            raise ToolError("Error: insufficient gift card balance to pay for the order")
        changed = self.state.edit("orders", order_id)
        for kind, which in (("payment", payment_method_id), ("refund", before)):
            changed["payment_history"].append({"transaction_type": kind, "amount": amount, "payment_method_id": which})
            self._credit(order["user_id"], which, amount if kind == "refund" else -amount)
        return changed

    @tool
    def modify_user_address(  # the arguments are the tool's
        self, user_id: str, address1: str, address2: str, city: str, state: str, country: str, zip: str,  # noqa: A002
    ) -> Row:  # fmt: skip
        self._user(user_id)
        changed = self.state.edit("users", user_id)
        changed["address"] = _address(address1, address2, city, state, country, zip)
        return changed

    @tool
    def exchange_delivered_order_items(
        self, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
    ) -> Row:
        order = self._order(order_id)
        if order["status"] != "delivered":
            raise ToolError("Error: non-delivered order cannot be exchanged")
        pairs = self._exchanged(order, item_ids, new_item_ids)
        difference = round(sum(new["price"] - old["price"] for old, new in pairs), 2)
        self._check_method(order, payment_method_id, difference)
        changed = self.state.edit("orders", order_id)
        changed.update(
            status="exchange requested",
            exchange_items=sorted(item_ids),
            exchange_new_items=sorted(new_item_ids),
            exchange_payment_method_id=payment_method_id,
            exchange_price_difference=difference,
        )
        return changed

    @tool
    def return_delivered_order_items(self, order_id: str, item_ids: list[str], payment_method_id: str) -> Row:
        order = self._order(order_id)
        if order["status"] != "delivered":
            raise ToolError("Error: non-delivered order cannot be returned")
        method = self._method(order, payment_method_id)
        original = order["payment_history"][0]["payment_method_id"]
        if method["source"] != "gift_card" and payment_method_id != original:
            raise ToolError("Error: payment method should be either the original payment method or a gift card")
        self._check_items(order, item_ids)
        changed = self.state.edit("orders", order_id)
        changed.update(
            status="return requested", return_items=sorted(item_ids), return_payment_method_id=payment_method_id
        )
        return changed

    @tool
    def transfer_to_human_agents(self, summary: str) -> str:
        return "Transfer successful"

    # --- what they share

    def _user(self, user_id: str) -> Row:
        return self.row("users", user_id, "Error: user not found")

    def _order(self, order_id: str) -> Row:
        return self.row("orders", order_id, "Error: order not found")

    def _pending(self, order_id: str) -> Row:
        """The order, if its items were not modified yet: that is another status."""
        order = self._order(order_id)
        if order["status"] != "pending":
            raise ToolError("Error: non-pending order cannot be modified")
        return order

    def _method(self, order: Row, payment_method_id: str) -> Row:
        found: Row | None = self._user(order["user_id"])["payment_methods"].get(payment_method_id)
        if found is None:
            raise ToolError("Error: payment method not found")
        return found

    def _check_method(self, order: Row, payment_method_id: str, price: float) -> None:
        method = self._method(order, payment_method_id)
        if method["source"] == "gift_card" and method["balance"] < price:
            raise ToolError("Error: insufficient gift card balance to pay for the price difference")

    def _credit(self, user_id: str, payment_method_id: str, amount: float) -> None:
        """Gift cards carry a balance, in cents' precision; other methods are paid elsewhere."""
        methods = self.state.edit("users", user_id)["payment_methods"]
        if methods.get(payment_method_id, {}).get("source") == "gift_card":
            methods[payment_method_id]["balance"] = round(methods[payment_method_id]["balance"] + amount, 2)

    def _check_items(self, order: Row, item_ids: Sequence[str]) -> None:
        held = [one["item_id"] for one in order["items"]]
        for item_id in item_ids:
            if item_ids.count(item_id) > held.count(item_id):
                raise ToolError(f"Error: {item_id} not found")

    def _exchanged(self, order: Row, item_ids: Sequence[str], new_item_ids: Sequence[str]) -> list[tuple[Row, Row]]:
        """The items as ordered, each with the variant of the same product that takes its place."""
        self._check_items(order, item_ids)
        if len(item_ids) != len(new_item_ids):
            raise ToolError("Error: the number of items to be exchanged should match")
        pairs = []
        for item_id, new_id in zip(item_ids, new_item_ids, strict=True):
            old = next(one for one in order["items"] if one["item_id"] == item_id)
            new = self.row("products", old["product_id"], "Error: product not found")["variants"].get(new_id)
            if new is None or not new["available"]:
                raise ToolError(f"Error: new item {new_id} not found or available")
            pairs.append((old, new))
        return pairs


def _found(user_id: str | None) -> str:
    if user_id is None:
        raise ToolError("Error: user not found")
    return user_id


def _address(address1: str, address2: str, city: str, state: str, country: str, zip_code: str) -> dict[str, str]:
    return {
        "address1": address1, "address2": address2, "city": city, "state": state, "country": country, "zip": zip_code,
    }  # fmt: skip
