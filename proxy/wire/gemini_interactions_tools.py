"""Taking tools out of an Interactions request, span by span.

They are taken out of `tools` whatever `tool_choice` says, so that the prefix that signatures and caches are bound to is
the same in each turn (decision 0003); the list of `tool_choice.allowed_tools` follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from proxy.wire.counts import stated
from proxy.wire.gemini_interactions_types import definition_of
from proxy.wire.gemini_tools import without_members
from proxy.wire.layout import decoded
from proxy.wire.spans import Edit, apply_edits, elements, members, removal, span_at
from proxy.wire.spelling import Fields, fields_of

_ALLOWED = "allowedtools"


@dataclass(frozen=True, slots=True)
class Choice:
    """What `generation_config` says of tools, and of the length of the reply."""

    names: tuple[str, ...] = ()
    forced: str | None = None
    max_tokens: int | None = None
    path: tuple[str | int, ...] = ()
    """From the config to `tool_choice`; empty where there is none."""


def choice_of(config: object) -> Choice:
    if config is None:
        return Choice()
    fields = fields_of(config, "'generation_config'")
    max_tokens = stated(fields.get("maxoutputtokens"))
    if fields.get("toolchoice") is None:
        return Choice(max_tokens=max_tokens)
    path = (fields.key("toolchoice"),)
    allowed = _allowed(fields["toolchoice"])
    listed = allowed.get("tools") if allowed is not None else None
    names = tuple(name for name in listed if isinstance(name, str)) if isinstance(listed, list) else ()
    mode = allowed.get("mode") if allowed is not None else None
    forced = names[0] if len(names) == 1 and mode in ("any", "ANY") else None
    return Choice(names, forced, max_tokens, path)


def without_tools(tools: bytes, config: bytes, names: frozenset[str]) -> tuple[bytes, bytes]:
    """`tools` and `generation_config` (empty where absent) without the tools in `names`; empty: nothing is left."""
    choice = choice_of(decoded(config)) if config else Choice()
    left = tuple(name for name in choice.names if name not in names)
    kept = _without(tools, names)
    if not choice.path:
        return kept, config
    if choice.names and (left or kept):
        return kept, config if left == choice.names else _with_names(config, choice, left)
    return kept, _without_choice(config, choice) if tools and not kept else config


def without_found_tools(raw: bytes, step: object, names: frozenset[str]) -> bytes:
    """A step of the input without the tools that its search found, where they are in `names`."""
    fields = fields_of(step, "an input step")
    if fields.get("type") != "tool_search_result" or fields.get("result") is None:
        return raw
    at = members(raw)[fields.key("result")]
    kept = _without(raw[at.start : at.end], names) or b"[]"
    return apply_edits(raw, [Edit(at.start, at.end, kept)])


def _allowed(choice: object) -> Fields | None:
    inner = fields_of(choice, "'tool_choice'").get(_ALLOWED) if isinstance(choice, dict) else None
    return fields_of(inner, "'allowed_tools'") if inner is not None else None


def _without(tools: bytes, names: frozenset[str]) -> bytes:
    def goes(raw: bytes) -> bool:
        return definition_of(decoded(raw)).name in names

    if not tools.startswith(b"["):
        return b"" if tools.startswith(b"{") and goes(tools) else tools
    spans = elements(tools)
    drop = {place for place, (start, end) in enumerate(spans) if goes(tools[start:end])}
    if drop and len(drop) == len(spans):
        return b""
    return apply_edits(tools, removal(tools, spans, drop))


def _with_names(config: bytes, choice: Choice, names: tuple[str, ...]) -> bytes:
    at = span_at(config, choice.path)
    if at is None:  # pragma: no cover - it has just been read
        return config
    if not names:
        return apply_edits(config, [Edit(at.start, at.end, b'"none"')])
    outer = fields_of(decoded(config[at.start : at.end]), "'tool_choice'")
    inner = fields_of(outer[_ALLOWED], "'allowed_tools'")
    listed = span_at(config, (outer.key(_ALLOWED), inner.key("tools")), at.start, at.end)
    if listed is None:  # pragma: no cover - it has just been read
        return config
    return apply_edits(config, [Edit(listed.start, listed.end, msgspec.json.encode(names))])


def _without_choice(config: bytes, choice: Choice) -> bytes:
    """The API refuses a choice where there are no tools."""
    found = members(config)
    key = str(choice.path[0])
    return apply_edits(config, without_members(config, found, {key})) if len(found) > 1 else b""
