"""OpenAI Responses, request and whole reply (openai-python 3.54, November 2026), and its token counts.

State that the server keeps (`previous_response_id`, `conversation`, stored prompts, items by reference) is not in the
request: what it says was judged when it passed, and what it may call is judged when it is called.
"""

from __future__ import annotations

import json
import re

from proxy.wire.case import check_case
from proxy.wire.counts import stated
from proxy.wire.format import Asked, HeldTurn, Rendered, ReplyJudge, ReplyRead, TurnCalls
from proxy.wire.layout import Layout, Section, read_layout
from proxy.wire.openai_error import rendered_error
from proxy.wire.openai_responses_events import empty_response, failure, own_event, text_part
from proxy.wire.openai_responses_input import drop_from_items, message_of, read_item
from proxy.wire.openai_responses_reply import read_whole
from proxy.wire.openai_responses_stream import ResponsesStream
from proxy.wire.openai_responses_tools import Offer, definitions, forced_name, narrowed, offers_of, without
from proxy.wire.openai_responses_views import held_turn, put_back
from proxy.wire.spans import Member
from trajectory.conversation import Message, Text
from trajectory.errors import FormatError

# Ids of state that the server keeps: masked, they would name nothing.
_STORED = re.compile(rb'"(?:conv|resp)_\w{1,100}"')
_COUNT = "/responses/input_tokens"
# Compatible servers in Go take keys in any case.
_JUDGED = frozenset(
    {"model", "input", "stream", "tools", "tool_choice", "prompt", "background", "conversation", "previous_response_id"}
)
# How a candidate's parameters are called here, where other formats of the same vendor call them otherwise.
_PARAMETERS = {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"}


class OpenAIResponses:
    name = "openai.responses"
    list_key = "input"
    refusal_status = 400

    def read_request(self, layout: Layout, path: str) -> Asked:
        check_case(layout.fields, _JUDGED, "the request")
        counts = path.partition("?")[0].endswith(_COUNT)
        model = layout.value("model")
        if not isinstance(model, str) and not (counts and model is None):
            raise FormatError("'model' must be a string")
        if not layout.is_listed and not isinstance(layout.value("input"), str | None):
            raise FormatError("'input' must be a string or an array")
        if layout.value("background") not in (None, False):
            raise FormatError("'background' is not supported: its result would come by another way, unjudged")
        offers = self._offers(layout)
        return Asked(
            model=model if isinstance(model, str) else "",
            streamed=layout.value("stream") is True,
            tools=definitions(offers),
            forced_tool=_prompt(layout) or forced_name(layout.value("tool_choice"), offers),
            max_tokens=stated(layout.value("max_output_tokens")),
            counts=counts,
        )

    def _offers(self, layout: Layout) -> tuple[Offer, ...]:
        """All that the request offers, in `tools` and in items. What must not be masked is marked as searched."""
        offers = list(_listed(layout))
        for key in ("conversation", "previous_response_id"):
            section = layout.section(key)
            if section is not None and _STORED.fullmatch(section.raw):
                section.searched = True
        for placed in layout.items:
            item = read_item(placed.section)
            offers += item.offers
            if item.is_bound:
                placed.section.searched = True
        return tuple(offers)

    def read_message(self, section: Section) -> Message:
        return message_of(section.value())

    def put_back(self, layout: Layout, at: int | None, turn: TurnCalls) -> int | None:
        return put_back(layout, at, turn)

    def held_turn(self, layout: Layout) -> HeldTurn | None:
        return held_turn(layout)

    def links(self, layout: Layout) -> list[str]:
        conversation = layout.value("conversation")
        if isinstance(conversation, dict):
            conversation = conversation.get("id")
        answers = (read_item(placed.section).answers for placed in layout.items[layout.kept :])
        found = [conversation, layout.value("previous_response_id"), *answers]
        return [link for link in found if isinstance(link, str)]

    def drop_tools(self, layout: Layout, names: frozenset[str]) -> None:
        offered = self._offers(layout)
        left = drop_from_items(layout, names)
        section = layout.section("tools")
        if section is not None and (offers := _listed(layout)):
            sent, some = without(section.raw, Member(0, 0, len(section.raw)), offers, names)
            if some:
                layout.replace("tools", sent)
                left = True
            else:
                layout.dropped.add("tools")
        choice = layout.value("tool_choice")
        kept = narrowed(choice, offered, names) if left else None
        if choice is not None and kept is None:
            layout.dropped.add("tool_choice")
        elif kept != choice:
            layout.put("tool_choice", kept)

    def set_model(self, layout: Layout, model: str, parameters: dict[str, float | int | str | bool]) -> None:
        layout.put("model", model)
        for key, value in parameters.items():
            if key == "reasoning_effort":
                asked = layout.value("reasoning")
                layout.put("reasoning", {**(asked if isinstance(asked, dict) else {}), "effort": value})
            elif key != "seed":  # an unknown parameter, here
                layout.put(_PARAMETERS.get(key, key), value)

    def path_with_model(self, path: str, model: str) -> str:
        return path

    def read_reply(self, body: bytes, judge: ReplyJudge) -> ReplyRead:
        return read_whole(body, judge)

    def stream(self, judge: ReplyJudge) -> ResponsesStream:
        return ResponsesStream(judge)

    def error(self, status: int, code: str, message: str) -> Rendered:
        return rendered_error(status, code, message)

    def error_event(self, code: str, message: str) -> bytes:
        return failure(code, message, empty_response("", status="in_progress"), 0)

    def final_message(self, text: str, model: str, streamed: bool) -> Rendered:
        message = {"id": "msg_ironcage", "type": "message", "role": "assistant"}
        whole = {**message, "status": "completed", "content": [text_part(text)]}
        usage = {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        }
        response = {**empty_response(model, status="completed"), "output": [whole], "usage": usage}
        if not streamed:
            return Rendered(200, json.dumps(response, ensure_ascii=False).encode())
        place: dict[str, object] = {"item_id": message["id"], "output_index": 0, "content_index": 0}
        begun = {**message, "status": "in_progress", "content": []}
        events: list[tuple[str, dict[str, object]]] = [
            ("response.created", {"response": empty_response(model, status="in_progress")}),
            ("response.output_item.added", {"output_index": 0, "item": begun}),
            ("response.content_part.added", {**place, "part": text_part("")}),
            ("response.output_text.delta", {**place, "delta": text, "logprobs": []}),
            ("response.output_text.done", {**place, "text": text, "logprobs": []}),
            ("response.content_part.done", {**place, "part": text_part(text)}),
            ("response.output_item.done", {"output_index": 0, "item": whole}),
            ("response.completed", {"response": response}),
        ]
        frames = (own_event(name, n, fields) for n, (name, fields) in enumerate(events))
        return Rendered(200, b"".join(frames), "text/event-stream")


def read_messages(body: bytes) -> tuple[Message, ...]:
    """All messages of a recorded request body, its instructions first. Raises FormatError."""
    layout = read_layout(body, OpenAIResponses.list_key)
    instructions = layout.value("instructions")
    asked = None if layout.is_listed else layout.value("input")
    said: tuple[Message, ...] = (Message("system", (Text(instructions),)),) if isinstance(instructions, str) else ()
    if isinstance(asked, str):
        said += (Message("user", (Text(asked),)),)
    return said + tuple(message_of(item.section.value()) for item in layout.items)


def _listed(layout: Layout) -> tuple[Offer, ...]:
    section = layout.section("tools")
    if section is None:
        return ()
    return (section.original or section).read_as(OpenAIResponses.name, lambda one: offers_of(one.value()))


def _prompt(layout: Layout) -> str | None:
    """A stored prompt may bring tools that only the server knows: it counts as one that must be used."""
    prompt = layout.value("prompt")
    if prompt is None:
        return None
    prompt_id = prompt.get("id") if isinstance(prompt, dict) else None
    if not isinstance(prompt_id, str):
        raise FormatError("a stored prompt must have an id")
    return f"prompt.{prompt_id}"
