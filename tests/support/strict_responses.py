"""A Responses server that takes only conversations that OpenAI's API would, and keeps those it is asked to keep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support import responses as r
from tests.support.strict import Ids, Item, Piece, Strict, seal


class StrictResponses(Strict):
    path = "/v1/responses"
    list_key = "input"

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, list[Item]] = {}
        """What the server holds, by the id of the response that ends it."""
        self._latest: list[Item] = []
        self._response = ""

    def problem(self, request: dict[str, Any]) -> str | None:
        items = self._conversation(request)
        calls: set[str] = set()
        answered: set[str] = set()
        for at, item in enumerate(items):
            kind = item.get("type", "message")
            if kind == "reasoning" and item["encrypted_content"] != seal(_bound(items[:at])):
                return f"the reasoning item {at} stands behind something else than it was made for"
            if kind.endswith("_call"):
                calls.add(item["call_id"])
            if kind.endswith("_output"):
                if item["call_id"] not in calls - answered:
                    return f"no call {item['call_id']} waits for an output"
                answered.add(item["call_id"])
            elif kind == "message" and item["role"] == "user" and calls != answered:
                return f"No tool output found for function calls {sorted(calls - answered)}."
        return None if calls == answered else f"No tool output found for function calls {sorted(calls - answered)}."

    def said(self, request: dict[str, Any], pieces: list[Piece]) -> list[Item]:
        before = self._conversation(request)
        items: list[Item] = []
        for piece in pieces:
            number = self.call_id(piece)
            thought = {"id": f"rs_{number}", "type": "reasoning", "summary": []}
            items.append({**thought, "encrypted_content": seal(_bound([*before, *items]))})
            if piece.name:
                items.append(r.function(piece.name, piece.arguments, id=f"fc_{number}", call_id=number))
            else:
                items.append(r.message(piece.text, f"msg_{number}"))
        self._response = f"resp_{self.call_id(Piece())}"
        self.kept[self._response] = [*before, *items]
        return items

    def whole(self, said: list[Item]) -> bytes:
        return r.body(*said, id=self._response)

    def stream(self, said: list[Item]) -> bytes:
        return r.stream(*said, id=self._response)

    def got(self, reply: bytes, *, streamed: bool) -> list[Item]:
        final = r.accumulated(reply) if streamed else r.parsed(reply)
        return [plain(item.to_dict()) for item in final.output]

    def calls(self, got: list[Item]) -> Ids:
        return [(item["call_id"], item["name"]) for item in got if item["type"] == "function_call"]

    def results(self, calls: Ids) -> list[Item]:
        return [{"type": "function_call_output", "call_id": call_id, "output": "done"} for call_id, _ in calls]

    def user(self, text: str) -> Item:
        return {"role": "user", "content": text}

    @property
    def response(self) -> str:
        """The id of the latest response."""
        return self._response

    def _conversation(self, request: dict[str, Any]) -> list[Item]:
        given = request["input"]
        listed = [self.user(given)] if isinstance(given, str) else given
        before = self.kept[request["previous_response_id"]] if "previous_response_id" in request else []
        return [*before, *self._resolved(listed)]

    def _resolved(self, items: list[Item]) -> Iterator[Item]:
        known = {item["id"]: item for kept in self.kept.values() for item in kept if "id" in item}
        for item in items:
            yield known[item["id"]] if item.get("type") == "item_reference" else item


def plain(item: Item) -> Item:
    item.pop("parsed_arguments", None)
    for part in item.get("content") or ():
        part.pop("parsed", None)
    return item


def _bound(items: list[Item]) -> Any:
    return json.loads(json.dumps([{k: v for k, v in item.items() if v is not None} for item in items]))
