"""An airline's service desk over JSON tables: the tools of tau-bench's airline tasks, told from their recorded results.

    ironcage bakeoff run --world 'airline:Airline?data=FOLDER' --world tape …

FOLDER holds flights, reservations and users as *.json.gz. `address=province` names the state in a user's address as
the recordings of 2024 do; the tables say `state`. Where the recorded desk is odd it is followed: a change of cabin
changes prices but not the cabin, seats are never used up, and a connection on the next day is shown with the seats and
prices of the day that was searched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from replay.world.arithmetic import Scratchpad
from replay.world.rows import Row, thaw
from replay.world.simulator import Start, ToolError
from replay.world.tables import TableSimulator, tool

NOW = "2024-05-15T15:00:00"
BAG_PRICE, INSURANCE_PRICE = 50, 30
NEW_RESERVATIONS = ("HATHAT", "HATHAU", "HATHAV")
NEW_CERTIFICATES = (3221322, 3221323, 3221324)
AIRPORTS = {
    "SFO": "San Francisco", "JFK": "New York", "LAX": "Los Angeles", "ORD": "Chicago", "DFW": "Dallas",
    "DEN": "Denver", "SEA": "Seattle", "ATL": "Atlanta", "MIA": "Miami", "BOS": "Boston", "PHX": "Phoenix",
    "IAH": "Houston", "LAS": "Las Vegas", "MCO": "Orlando", "EWR": "Newark", "CLT": "Charlotte",
    "MSP": "Minneapolis", "DTW": "Detroit", "PHL": "Philadelphia", "LGA": "LaGuardia",
}  # fmt: skip


class Airline(Scratchpad, TableSimulator):
    files: ClassVar[Mapping[str, str]] = {table: f"{table}.json.gz" for table in ("flights", "reservations", "users")}

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self._address_key = start.options.get("address", "state")

    # --- reading

    @tool
    def get_user_details(self, user_id: str) -> Row:
        user: dict[str, Any] = thaw(self.row("users", user_id, "Error: user not found"))
        user["address"] = {self._address_key if key == "state" else key: v for key, v in user["address"].items()}
        return user

    @tool
    def get_reservation_details(self, reservation_id: str) -> Row:
        return self._reservation(reservation_id)

    @tool
    def list_all_airports(self) -> Mapping[str, str]:
        return AIRPORTS

    @tool
    def search_direct_flight(self, origin: str, destination: str, date: str) -> list[Row]:
        return [_offer(one, date) for one in self._flights(origin, date) if one["destination"] == destination]

    @tool
    def search_onestop_flight(self, origin: str, destination: str, date: str) -> list[list[Row]]:
        found: list[list[Row]] = []
        for first in self._flights(origin, date):
            later = f"2024-05-{int(date[-2:]) + 1:02d}" if "+1" in first["scheduled_arrival_time_est"] else date
            for second in self._flights(first["destination"], later):
                arrival, departure = first["scheduled_arrival_time_est"], second["scheduled_departure_time_est"]
                if second["destination"] == destination and departure >= arrival:
                    shown = date if "available_seats" in second["dates"].get(date, {}) else later
                    found.append([{**_offer(first, date), "date": date}, {**_offer(second, shown), "date": later}])
        return found

    # --- writing

    @tool
    def book_reservation(  # the arguments are the tool's
        self, user_id: str, origin: str, destination: str, flight_type: str, cabin: str, flights: list[Any],
        passengers: list[Any], payment_methods: list[Any], total_baggages: int, nonfree_baggages: int, insurance: str,
    ) -> Row:  # fmt: skip
        user = self.row("users", user_id, "Error: user not found")
        booked = [self._leg(leg, cabin, len(passengers)) for leg in flights]
        price = sum(leg["price"] for leg in booked) * len(passengers) + BAG_PRICE * nonfree_baggages
        price += INSURANCE_PRICE * len(passengers) if insurance == "yes" else 0
        for payment in payment_methods:
            self._check_payment(user, payment["payment_id"], payment["amount"])
        paid = sum(payment["amount"] for payment in payment_methods)
        if paid != price:
            raise ToolError(f"Error: payment amount does not add up, total price is {price}, but paid {paid}")
        for payment in payment_methods:
            self._pay(user_id, payment["payment_id"], payment["amount"])
        number = next(one for one in NEW_RESERVATIONS if self.state.get("reservations", one) is None)
        self.state.edit("users", user_id)["reservations"].append(number)
        reservation = {
            "reservation_id": number, "user_id": user_id, "origin": origin, "destination": destination,
            "flight_type": flight_type, "cabin": cabin, "flights": booked, "passengers": passengers,
            "payment_history": payment_methods, "created_at": NOW, "total_baggages": total_baggages,
            "nonfree_baggages": nonfree_baggages, "insurance": insurance,
        }  # fmt: skip
        return self.state.put("reservations", number, reservation)

    @tool
    def update_reservation_flights(self, reservation_id: str, cabin: str, flights: list[Any], payment_id: str) -> Row:
        reservation = self._reservation(reservation_id)
        people = len(reservation["passengers"])
        legs = [self._kept(reservation, leg, cabin) or self._leg(leg, cabin, people) for leg in flights]
        price = sum(leg["price"] for leg in legs) - sum(leg["price"] for leg in reservation["flights"])
        changed = self._charged(reservation, payment_id, price * people)
        changed["flights"] = legs
        return changed

    @tool
    def update_reservation_baggages(
        self, reservation_id: str, total_baggages: int, nonfree_baggages: int, payment_id: str
    ) -> Row:
        reservation = self._reservation(reservation_id)
        more = max(0, nonfree_baggages - reservation["nonfree_baggages"])
        changed = self._charged(reservation, payment_id, BAG_PRICE * more)
        changed.update(total_baggages=total_baggages, nonfree_baggages=nonfree_baggages)
        return changed

    @tool
    def update_reservation_passengers(self, reservation_id: str, passengers: list[Any]) -> Row:
        reservation = self._reservation(reservation_id)
        if len(passengers) != len(reservation["passengers"]):
            raise ToolError("Error: number of passengers does not match")
        changed = self.state.edit("reservations", reservation_id)
        changed["passengers"] = passengers
        return changed

    @tool
    def cancel_reservation(self, reservation_id: str) -> Row:
        self._reservation(reservation_id)
        changed = self.state.edit("reservations", reservation_id)
        refunds = [{**one, "amount": -one["amount"]} for one in changed["payment_history"]]
        changed["payment_history"].extend(refunds)
        changed["status"] = "cancelled"
        return changed

    @tool
    def send_certificate(self, user_id: str, amount: int) -> str:
        methods = self.row("users", user_id, "Error: user not found")["payment_methods"]
        name = next(one for one in (f"certificate_{n}" for n in NEW_CERTIFICATES) if one not in methods)
        certificate = {"source": "certificate", "amount": amount, "id": name}
        self.state.edit("users", user_id)["payment_methods"][name] = certificate
        return f"Certificate {name} added to user {user_id} with amount {amount}."

    @tool
    def transfer_to_human_agents(self, summary: str) -> str:
        return "Transfer successful"

    # --- what they share

    def _reservation(self, reservation_id: str) -> Row:
        return self.row("reservations", reservation_id, "Error: reservation not found")

    def _flights(self, origin: str, date: str) -> list[Row]:
        return [
            one
            for _, one in self.state.rows("flights")
            if one["origin"] == origin and one["dates"].get(date, {}).get("status") == "available"
        ]

    def _leg(self, leg: Mapping[str, Any], cabin: str, seats: int) -> dict[str, Any]:
        """A flight as it stands in a reservation, at today's price."""
        number, date = leg["flight_number"], leg["date"]
        flight = self.row("flights", number, f"Error: flight {number} not found")
        day = flight["dates"].get(date)
        if day is None:
            raise ToolError(f"Error: flight {number} not found on date {date}")
        if day["status"] != "available":
            raise ToolError(f"Error: flight {number} not available on date {date}")
        if day["available_seats"][cabin] < seats:
            raise ToolError(f"Error: not enough seats on flight {number}")
        return {**leg, "price": day["prices"][cabin], "origin": flight["origin"], "destination": flight["destination"]}

    def _kept(self, reservation: Row, leg: Mapping[str, Any], cabin: str) -> dict[str, Any] | None:
        """The leg as it was paid for, where number, date and cabin stay."""
        for one in reservation["flights"] if cabin == reservation["cabin"] else ():
            if (one["flight_number"], one["date"]) == (leg["flight_number"], leg["date"]):
                flight = self.row("flights", one["flight_number"], "Error: flight not found")
                return {**leg, "price": one["price"], **{key: flight[key] for key in ("origin", "destination")}}
        return None

    def _check_payment(self, user: Row, payment_id: str, amount: float) -> None:
        method = user["payment_methods"].get(payment_id)
        if method is None:
            raise ToolError(f"Error: payment method {payment_id} not found")
        if method["source"] in ("gift_card", "certificate") and method["amount"] < amount:
            raise ToolError(f"Error: not enough balance in payment method {payment_id}")

    def _pay(self, user_id: str, payment_id: str, amount: float) -> None:
        """A gift card keeps what is left, a certificate is spent whole."""
        methods = self.state.edit("users", user_id)["payment_methods"]
        if methods[payment_id]["source"] == "gift_card":
            methods[payment_id]["amount"] -= amount
        elif methods[payment_id]["source"] == "certificate":
            del methods[payment_id]

    def _charged(self, reservation: Row, payment_id: str, price: float) -> dict[str, Any]:
        """The run's own copy of the reservation, with `price` paid, or refunded if it is negative."""
        user_id, number = reservation["user_id"], reservation["reservation_id"]
        method = self.row("users", user_id, "Error: user not found")["payment_methods"].get(payment_id)
        if method is None:
            raise ToolError("Error: payment method not found")
        if method["source"] == "certificate":
            raise ToolError("Error: certificate cannot be used to update reservation")
        if method["source"] == "gift_card" and method["amount"] < price:
            raise ToolError("Error: gift card balance is not enough")
        self._pay(user_id, payment_id, price)
        changed = self.state.edit("reservations", number)
        if price:
            changed["payment_history"].append({"payment_id": payment_id, "amount": price})
        return changed


def _offer(flight: Row, date: str) -> dict[str, Any]:
    """A flight of one day, as a search shows it."""
    return {**{key: value for key, value in flight.items() if key != "dates"}, **flight["dates"][date]}
