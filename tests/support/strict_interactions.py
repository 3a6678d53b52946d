"""An Interactions server that takes only steps that Gemini would, and keeps the interactions that it has had."""

from __future__ import annotations

import json
from typing import Any

from tests.support import genai_sdk
from tests.support.strict import Ids, Item, Piece, Strict, seal

_USAGE = {"total_input_tokens": 4, "total_output_tokens": 2, "total_tokens": 6}


class StrictInteractions(Strict):
    path = "/v1/interactions"
    list_key = "input"

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, list[Item]] = {}
        self.interaction = ""
        """The id of the latest interaction."""

    def problem(self, request: dict[str, Any]) -> str | None:
        steps = self._conversation(request)
        waiting: list[str] = []
        for at, step in enumerate(steps):
            match step["type"]:
                case "function_call":
                    waiting.append(step["id"])
                case "function_result":
                    if step["call_id"] not in waiting:
                        return f"no call {step['call_id']} waits for a result"
                    waiting.remove(step["call_id"])
                case "user_input" if waiting:
                    return f"these calls have no result: {waiting}"
                case "thought" if step["signature"] != seal(_bound(steps[:at])):
                    return f"the thought of step {at} is signed for something else"
                case "text" | "image":
                    return "steps and contents stand in one list"
        return f"these calls have no result: {waiting}" if waiting else None

    def said(self, request: dict[str, Any], pieces: list[Piece]) -> list[Item]:
        before = self._conversation(request)
        steps: list[Item] = []
        for piece in pieces:
            steps.append({"type": "thought", "signature": seal(_bound([*before, *steps]))})
            if piece.name:
                made = {"id": self.call_id(piece), "name": piece.name, "arguments": json.loads(piece.arguments)}
                steps.append({"type": "function_call", **made})
            else:
                steps.append({"type": "model_output", "content": [{"type": "text", "text": piece.text}]})
        self.interaction = f"int_{self.call_id(Piece())}"
        self.kept[self.interaction] = [*before, *steps]
        return steps

    def whole(self, said: list[Item]) -> bytes:
        head = {"id": self.interaction, "status": _status(said), "model": "m-1", "usage": _USAGE}
        return json.dumps(
            {**head, "created": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z", "steps": said}
        ).encode()

    def stream(self, said: list[Item]) -> bytes:
        head = {"id": self.interaction, "model": "m-1", "object": "interaction"}
        out = _told("interaction.created", interaction={**head, "status": "in_progress"})
        for index, step in enumerate(said):
            begun = {**step, **({"arguments": {}} if "arguments" in step else {})}
            begun.pop("content", None)
            out += _told("step.start", index=index, step=begun)
            for piece in json.dumps(step["arguments"]) if "arguments" in step else ():
                out += _told("step.delta", index=index, delta={"type": "arguments_delta", "arguments": piece})
            for piece in step["content"][0]["text"] if "content" in step else ():
                out += _told("step.delta", index=index, delta={"type": "text", "text": piece})
            out += _told("step.stop", index=index)
        out += _told("interaction.completed", interaction={**head, "status": _status(said), "usage": _USAGE})
        return out + b"event: done\ndata: [DONE]\n\n"

    def got(self, reply: bytes, *, streamed: bool) -> list[Item]:
        if not streamed:
            steps = genai_sdk.interaction(reply).steps
            return [step.model_dump(mode="json", exclude_none=True) for step in steps]
        steps_by_index: dict[int, Item] = {}
        pieces: dict[int, str] = {}
        for frame in reply.split(b"\n\n"):
            told = json.loads(frame.split(b"data: ")[1]) if b"{" in frame else {}
            if told.get("event_type") == "step.start":
                steps_by_index[told["index"]] = told["step"]
            if told.get("event_type") == "step.delta":
                delta = told["delta"]
                pieces[told["index"]] = pieces.get(told["index"], "") + (
                    delta.get("text") or delta.get("arguments") or ""
                )
        for index, text in pieces.items():
            step = steps_by_index[index]
            if step["type"] == "function_call":
                step["arguments"] = json.loads(text)
            else:
                step["content"] = [{"type": "text", "text": text}]
        return [steps_by_index[index] for index in sorted(steps_by_index)]

    def calls(self, got: list[Item]) -> Ids:
        return [(step["id"], step["name"]) for step in got if step["type"] == "function_call"]

    def results(self, calls: Ids) -> list[Item]:
        return [
            {"type": "function_result", "call_id": call_id, "name": name, "result": "done"} for call_id, name in calls
        ]

    def user(self, text: str) -> Item:
        return {"type": "user_input", "content": [{"type": "text", "text": text}]}

    def _conversation(self, request: dict[str, Any]) -> list[Item]:
        given = request["input"]
        listed = [self.user(given)] if isinstance(given, str) else given
        return [*self.kept.get(request.get("previous_interaction_id", ""), ()), *listed]


def _status(said: list[Item]) -> str:
    return "requires_action" if any(step["type"] == "function_call" for step in said) else "completed"


def _told(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'event_type': kind, **more})}\n\n".encode()


def _bound(steps: list[Item]) -> Any:
    return [{k: v for k, v in step.items() if v is not None} for step in steps]
