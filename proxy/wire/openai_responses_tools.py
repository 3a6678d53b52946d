"""Tools on OpenAI Responses: every place where a request brings some, and taking them out of it.

They stand in `tools`, and in the conversation: `additional_tools` items and `tool_search_output` items. One element
of such a list is one tool, or a namespace of several.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from proxy.wire.openai_responses_types import qualified
from proxy.wire.spans import Edit, Member, apply_edits, elements, removal, span_at
from trajectory.conversation import ToolDefinition
from trajectory.errors import FormatError

_BRINGS_TOOLS = frozenset({"additional_tools", "tool_search_output"})


class Offer(Struct, frozen=True):
    """One element of a list of tools. `inner` is the key of the list whose elements are the tools one by one,
    `label` what the request calls an MCP server.
    """

    tools: tuple[ToolDefinition, ...]
    inner: str = ""
    label: str | None = None


def offers_of(listed: object) -> tuple[Offer, ...]:
    """Raises FormatError where a tool has no name that an allowlist could know it by."""
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise FormatError("'tools' must be an array")
    return tuple(_offer(tool) for tool in listed)


def item_offers(item: object) -> tuple[Offer, ...]:
    """What an item of the conversation brings."""
    kind = item.get("type") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(kind, str) or kind not in _BRINGS_TOOLS:
        return ()
    return offers_of(item.get("tools"))


def _offer(tool: object) -> Offer:
    if not isinstance(tool, dict):
        raise FormatError("a tool must be an object")
    kind = tool.get("type")
    if kind == "namespace":
        return _namespace(tool)
    if kind == "mcp":
        return _mcp_server(tool)
    return Offer((_definition(tool),))


def _definition(tool: object, namespace: str | None = None) -> ToolDefinition:
    if not isinstance(tool, dict):
        raise FormatError("a tool must be an object")
    kind = tool.get("type")
    if kind not in ("function", "custom", None):
        # built in: its type is its name, whatever other name it was given
        if not isinstance(kind, str) or kind in ("namespace", "mcp"):
            raise FormatError("a tool's type must be a string, and no list of tools within another")
        return ToolDefinition(qualified(namespace, kind))
    inner = tool.get(kind or "function")
    nested = inner if isinstance(inner, dict) else {}
    names = [name for name in (tool.get("name"), nested.get("name")) if name is not None]
    if not names or any(not isinstance(name, str) or name != names[0] for name in names):
        raise FormatError("a function must have one name")
    schema = msgspec.json.encode(tool.get("parameters") or nested.get("parameters") or {}).decode()
    return ToolDefinition(qualified(namespace, names[0]), str(tool.get("description") or ""), schema)


def _namespace(tool: dict[str, Any]) -> Offer:
    name, listed = tool.get("name"), tool.get("tools")
    if not isinstance(name, str) or not name:
        raise FormatError("a namespace must have a name")
    if not isinstance(listed, list) or not listed:
        return Offer((ToolDefinition(f"{name}.*"),))
    return Offer(tuple(_definition(inner, name) for inner in listed), "tools")


def _mcp_server(tool: dict[str, Any]) -> Offer:
    places = [tool[key] for key in ("server_url", "connector_id", "tunnel_id") if tool.get(key) is not None]
    if len(places) != 1 or not isinstance(places[0], str):
        raise FormatError("an MCP server must stand in one place: a URL, a connector or a tunnel")
    name = places[0]
    if tool.get("server_url") is not None:
        try:
            name = urlsplit(name).netloc.rpartition("@")[2].lower()
        except ValueError:
            name = ""
    if not name:
        raise FormatError("an MCP server's URL names no host")
    return Offer((ToolDefinition(f"mcp:{name}"),), label=str(tool.get("server_label")))


def definitions(offers: Iterable[Offer]) -> tuple[ToolDefinition, ...]:
    return tuple(tool for offer in offers for tool in offer.tools)


def without(raw: bytes, at: Member, offers: tuple[Offer, ...], names: frozenset[str]) -> tuple[bytes, bool]:
    """`raw` without these tools in the list at `at`, and whether any are left. What remains keeps its bytes."""
    spans = elements(raw, at.start, at.end)
    gone: set[int] = set()
    edits: list[Edit] = []
    for place, offer in enumerate(offers):
        drop = {i for i, tool in enumerate(offer.tools) if tool.name in names}
        if len(drop) == len(offer.tools):
            gone.add(place)
        elif drop:
            inner = span_at(raw, [offer.inner], *spans[place])
            if inner is None:  # pragma: no cover - the decoder has just seen it
                raise FormatError("a list of tools could not be found again")
            edits += removal(raw, elements(raw, inner.start, inner.end), drop)
    edits += removal(raw, spans, gone)
    return apply_edits(raw, edits), len(gone) < len(spans)


def forced_name(choice: object, offers: tuple[Offer, ...]) -> str | None:
    """The tool that a `tool_choice` forces. None where it leaves a choice among tools that are judged as offered."""
    if not isinstance(choice, dict) or choice.get("type") == "allowed_tools":
        return None
    found = chosen(choice, offers)
    return next(iter(found)) if len(found) == 1 else _spelled(choice)


def chosen(choice: object, offers: tuple[Offer, ...]) -> frozenset[str]:
    """The names of the offered tools that an entry of `tool_choice` may mean: it names no namespace, and a server
    by its label.
    """
    name = _spelled(choice)
    if name is None:
        return frozenset()
    if isinstance(choice, dict) and choice.get("type") == "mcp":
        return frozenset(tool.name for offer in offers if offer.label == name for tool in offer.tools)
    offered = {tool.name for tool in definitions(offers)}
    return frozenset({name} & offered) or frozenset(o for o in offered if o.endswith("." + name))


def _spelled(choice: object) -> str | None:
    if not isinstance(choice, dict):
        return None
    kind, name = choice.get("type"), choice.get("name")
    if kind == "mcp":
        return str(choice.get("server_label"))
    if kind in ("function", "custom", None):
        inner = choice.get(str(kind))
        name = inner.get("name") if name is None and isinstance(inner, dict) else name
        return qualified(choice.get("namespace"), name) if isinstance(name, str) else None
    return kind if isinstance(kind, str) else None


def narrowed(choice: object, offers: tuple[Offer, ...], names: frozenset[str]) -> object:
    """`tool_choice` without the tools of these names; None where nothing of it is left."""
    if not isinstance(choice, dict):
        return choice
    if choice.get("type") != "allowed_tools":
        meant = chosen(choice, offers)
        return None if meant and meant <= names else choice
    listed = choice.get("tools")
    if not isinstance(listed, list):
        return choice
    kept = [t for t in listed if not (meant := chosen(t, offers)) or not meant <= names]
    if len(kept) == len(listed):
        return choice
    return {**choice, "tools": kept} if kept else None
