"""Gemini's Interactions, `POST /v1/interactions` (ai.google.dev, November 2026).

What would go on where no rule can follow is refused: `background`, and a webhook for the reply. Stored interactions
are read by other routes, which are not served unless the configuration allows them.
"""

from __future__ import annotations

import json

from proxy.wire.format import Asked, HeldTurn, Rendered, ReplyJudge, ReplyRead, TurnCalls
from proxy.wire.gemini_interactions_reply import Interaction
from proxy.wire.gemini_interactions_stream import InteractionStream
from proxy.wire.gemini_interactions_tools import choice_of, without_found_tools, without_tools
from proxy.wire.gemini_interactions_types import definitions_of, found_tools, message_of
from proxy.wire.gemini_interactions_views import put_back
from proxy.wire.gemini_types import list_of
from proxy.wire.layout import Layout, Section
from proxy.wire.spans import apply_edits, read_json
from proxy.wire.spelling import Fields, fields_of, folded
from proxy.wire.sse import event
from trajectory.conversation import Message, ToolDefinition, ToolResult
from trajectory.errors import FormatError

_CONFIG = "generationconfig"
ENVIRONMENT = "environment"
"""The name on an allowlist of the machine that the provider lends a model or an agent."""
CACHED = "cached_content"
"""The name on an allowlist of cached content: it may hold tools that nobody here sees."""


class GeminiInteractions:
    name = "gemini.interactions"
    list_key = "input"
    refusal_status = 400

    def read_request(self, layout: Layout, path: str) -> Asked:
        request = _request(layout)
        for name in ("background", "webhookconfig"):
            if request.get(name) not in (None, False):
                raise FormatError(f"{request.key(name)!r} would bring the reply past ironcage")
        model, agent = request.get("model"), request.get("agent")
        if (model is None) == (agent is None) or not isinstance(model or agent, str):
            raise FormatError("either 'model' or 'agent' must be a string")
        choice = choice_of(request.get(_CONFIG))
        tools = definitions_of(request.get("tools")) + self._found(layout)
        if request.get(ENVIRONMENT) is not None:
            tools += (ToolDefinition(ENVIRONMENT),)
        declared = {tool.name for tool in tools}
        tools += tuple(ToolDefinition(name) for name in choice.names if name not in declared)
        return Asked(
            model=str(model or agent),
            streamed=request.get("stream") is True,
            tools=tools,
            forced_tool=_unseen(request) or choice.forced,
            max_tokens=choice.max_tokens,
        )

    def read_message(self, section: Section) -> Message:
        return section.read_as(GeminiInteractions.name, lambda one: message_of(one.value()))

    def put_back(self, layout: Layout, at: int | None, turn: TurnCalls) -> int | None:
        return put_back(layout, at, turn)

    def held_turn(self, layout: Layout) -> HeldTurn | None:
        key = next((key for key in layout.fields if folded(key) == "previousinteractionid"), "")
        previous = layout.value(key)
        return HeldTurn(previous) if isinstance(previous, str) and previous else None

    def links(self, layout: Layout) -> list[str]:
        messages = [self.read_message(item.section) for item in layout.items[layout.kept :]]
        ids = [part.call_id for m in messages for part in m.parts if isinstance(part, ToolResult) and part.call_id]
        previous = _request(layout).get("previousinteractionid")
        return [*ids, previous] if isinstance(previous, str) and previous else ids

    def drop_tools(self, layout: Layout, names: frozenset[str]) -> None:
        keys = {folded(key): key for key in layout.fields}
        if ENVIRONMENT in names and ENVIRONMENT in keys:
            layout.dropped.add(keys[ENVIRONMENT])
        for item in layout.items:
            if b"tool_search_result" not in item.section.raw:
                continue
            kept = without_found_tools(item.section.sent, item.section.value(), names)
            if kept != item.section.sent:
                item.section.rewrite(kept, item.section.issued)
        here = {name: keys[name] for name in ("tools", _CONFIG) if name in keys}
        was = {name: layout.fields[key].section.raw for name, key in here.items()}
        left = without_tools(was.get("tools", b""), was.get(_CONFIG, b""), names)
        for name, sent in zip(("tools", _CONFIG), left, strict=True):
            if name in here and not sent:
                layout.dropped.add(here[name])
            elif name in here:
                layout.replace(here[name], sent)

    def set_model(self, layout: Layout, model: str, parameters: dict[str, float | int | str | bool]) -> None:
        layout.put("model", model)
        layout.dropped.update({"agent", "agent_config"} & layout.fields.keys())
        if parameters:
            key = next((key for key in layout.fields if folded(key) == _CONFIG), "generation_config")
            known = layout.value(key)
            layout.put(key, {**(known if isinstance(known, dict) else {}), **parameters})

    def path_with_model(self, path: str, model: str) -> str:
        return path

    def read_reply(self, body: bytes, judge: ReplyJudge) -> ReplyRead:
        value, texts = read_json(body)
        read = Interaction(judge)
        edits = read.take(body, (0, len(body)), value)
        client = apply_edits(body, edits) if edits else body
        shown = read.client_reply() if edits else None
        turn = tuple(read.turn) if read.refused else ()
        refused, failed = tuple(read.refused), read.finish in ("error", "cancelled")
        return ReplyRead(read.reply(), client, texts, shown, refused, read.restored, turn, failed)

    def stream(self, judge: ReplyJudge) -> InteractionStream:
        return InteractionStream(judge)

    def error(self, status: int, code: str, message: str) -> Rendered:
        error = {"code": code, "message": message}
        return Rendered(status, json.dumps({"error": error}, ensure_ascii=False).encode())

    def error_event(self, code: str, message: str) -> bytes:
        return _event("error", error={"code": code, "message": message})

    def final_message(self, text: str, model: str, streamed: bool) -> Rendered:
        usage = {"total_input_tokens": 0, "total_output_tokens": 0, "total_tokens": 0}
        head: dict[str, object] = {"id": "ironcage", "object": "interaction", "model": model}
        if not streamed:
            step = {"type": "model_output", "content": [{"type": "text", "text": text}]}
            whole = {**head, "status": "completed", "steps": [step], "usage": usage}
            return Rendered(200, json.dumps(whole, ensure_ascii=False).encode())
        frames = (
            _event("interaction.created", interaction={**head, "status": "in_progress"})
            + _event("step.start", index=0, step={"type": "model_output"})
            + _event("step.delta", index=0, delta={"type": "text", "text": text})
            + _event("step.stop", index=0)
            + _event("interaction.completed", interaction={**head, "status": "completed", "usage": usage})
        )
        return Rendered(200, frames + event(b"[DONE]", "done"), "text/event-stream")

    def _found(self, layout: Layout) -> tuple[ToolDefinition, ...]:
        """Tools that came in by the input, in earlier turns too. Reads what is new."""
        for item in layout.items[layout.kept :]:
            self.read_message(item.section)
        listed = [item.section for item in layout.items if b"tool_search_result" in item.section.raw]
        return tuple(tool for section in listed for tool in found_tools(section.value()))


def _request(layout: Layout) -> Fields:
    """The request's fields but a listed `input`."""
    keys = fields_of(dict.fromkeys(layout.fields), "the request").keys_as_written
    if keys.get("input", "input") != "input":
        raise FormatError("'input' must be spelled so")
    given = {key: layout.value(key) for key in layout.fields if key != "input" or not layout.is_listed}
    request = Fields(given, {name: key for name, key in keys.items() if key in given})
    if not layout.is_listed and not isinstance(request.get("input"), str):
        for content in list_of(request.get("input"), "'input'"):
            message_of(content)
    return request


def _unseen(request: Fields) -> str | None:
    """What may bring tools that nobody here sees, under the name that an allowlist knows it by."""
    if request.get("agent") is not None:
        return f"agent:{request['agent']}"
    return CACHED if request.get("cachedcontent") is not None else None


def _event(name: str, **members: object) -> bytes:
    return event(json.dumps({"event_type": name, **members}, ensure_ascii=False).encode(), name)
