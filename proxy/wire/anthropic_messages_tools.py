"""Every door by which a tool enters a Messages request, and how it is kept shut (November 2026).

1. A tool that the client runs goes by its name. One that the provider runs (web search, code execution), and a
   toolset, goes by its type, `web_search_20250305`: an allowlist that names the client's own `web_search` does not
   let it in.
2. A tool of an MCP server that the provider connects to is `mcp.SERVER.TOOL`; all that a server has, `mcp.SERVER.*`.
   A server is taken out whole, with its toolset, if one of the tools that it would bring is.
3. Tools also come in the middle of a conversation: a `tool_addition` block defines one or refers to one.
4. What is taken out of a list leaves nothing; what is taken out of a message leaves a text at its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from proxy.wire.anthropic_messages_types import text_block
from proxy.wire.layout import Layout, Section
from proxy.wire.spans import Edit, apply_edits, elements, removal, span_at
from trajectory.conversation import ToolDefinition
from trajectory.errors import FormatError

# Tools whose schema the provider fixes and the client runs: they are called by their name, like the client's own.
_CLIENT_RUN = re.compile(r"custom|(?:bash|text_editor|memory|computer)_\d{8}")
_CHANGES = frozenset({"tool_addition", "tool_removal"})
_MARKS = _CHANGES | {"tool_reference"}
_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Mention:
    """A block of a message that defines a tool or refers to one. `tool` is the definition or the reference."""

    path: _Path
    tool: dict[str, Any]
    is_definition: bool
    is_offer: bool = False


def offered(layout: Layout) -> tuple[ToolDefinition, ...]:
    """Every tool that the request brings. Raises FormatError for one that has neither name nor type."""
    tools = _listed(layout, "tools")
    found = [definition for tool in tools for definition in _definitions(tool)]
    for server in _listed(layout, "mcp_servers"):
        found += [ToolDefinition(name) for name in _server_tools(server, tools)]
    for item in layout.items:
        for mention in _mentions(item.section):
            if mention.is_offer:
                found += _definitions(mention.tool)
    return tuple(found)


def drop(layout: Layout, names: frozenset[str]) -> None:
    tools = _listed(layout, "tools")
    if _drop_listed(layout, "tools", lambda tool: any(d.name in names for d in _definitions(tool))):
        layout.dropped.update({"tool_choice"} & layout.fields.keys())
    _drop_listed(layout, "mcp_servers", lambda server: any(n in names for n in _server_tools(server, tools)))
    # what the previous request brought was judged then, and is sent as it was then
    for index in range(layout.kept, len(layout.items)):
        placed = layout.items[index].section
        section = Section.of(placed.sent) if placed.original is not None else placed  # what was put back stays
        edits = list(_mention_edits(section, names))
        if edits:
            layout.replace_item(index, apply_edits(section.raw, edits))


def _drop_listed(layout: Layout, key: str, is_dropped: Callable[[Any], bool]) -> bool:
    """Whether nothing is left of the list: then the key itself is gone."""
    drop = {i for i, one in enumerate(_listed(layout, key)) if is_dropped(one)}
    section = layout.section(key)
    if section is None or not drop:
        return False
    spans = elements(section.raw)
    if len(drop) == len(spans):
        layout.dropped.add(key)
        return True
    layout.replace(key, apply_edits(section.raw, removal(section.raw, spans, drop)))
    return False


def _mention_edits(section: Section, names: frozenset[str]) -> Iterator[Edit]:
    for mention in _mentions(section):
        if not _is_beyond(mention, names):
            continue
        at = span_at(section.raw, mention.path)
        if at is None:  # pragma: no cover - it has just been found there
            raise FormatError("a change of tools could not be found again")
        yield Edit(at.start, at.end, text_block("A tool that is not on the allowlist was not offered here."))


def _is_beyond(mention: _Mention, names: frozenset[str]) -> bool:
    if mention.is_definition:
        return any(definition.name in names for definition in _definitions(mention.tool))
    server = mention.tool.get("server_name")
    if server is not None:
        return any(name.startswith(f"mcp.{server}.") for name in names)
    name = mention.tool.get("name", mention.tool.get("tool_name"))
    return isinstance(name, str) and name in names


# --- names ---


def _definitions(tool: Any) -> list[ToolDefinition]:
    """What one entry of `tools` brings: one tool, or those of an MCP server."""
    if not isinstance(tool, dict):
        raise FormatError("a tool must be an object")
    kind, name = tool.get("type"), tool.get("name")
    if kind == "mcp_toolset":
        return [ToolDefinition(name) for name in _toolset_tools(tool)]
    if kind is None or (isinstance(kind, str) and _CLIENT_RUN.fullmatch(kind)):
        kind = name
    if not isinstance(kind, str) or not kind:
        raise FormatError("a tool has neither a name nor a type")
    schema = msgspec.json.encode(tool.get("input_schema") or {}).decode()
    return [ToolDefinition(kind, str(tool.get("description") or ""), schema)]


def _toolset_tools(toolset: dict[str, Any]) -> list[str]:
    server = _server_name(toolset.get("mcp_server_name"))
    default, configs, pinned = (toolset.get(key) for key in ("default_config", "configs", "tools"))
    if isinstance(pinned, list):
        return [f"mcp.{server}.{one.get('name') if isinstance(one, dict) else '*'}" for one in pinned]
    if isinstance(default, dict) and default.get("enabled") is False and isinstance(configs, dict):
        return [f"mcp.{server}.{n}" for n, c in configs.items() if isinstance(c, dict) and c.get("enabled") is True]
    return [f"mcp.{server}.*"]


def _server_tools(server: Any, tools: tuple[Any, ...]) -> list[str]:
    """What an MCP server brings: what its toolset says, else (an older beta) what the server's own entry says."""
    if not isinstance(server, dict):
        raise FormatError("an MCP server must be an object")
    name = _server_name(server.get("name"))
    toolsets = [t for t in tools if t.get("type") == "mcp_toolset" and t.get("mcp_server_name") == name]
    config = server.get("tool_configuration")
    allowed = config.get("allowed_tools") if isinstance(config, dict) else None
    if toolsets:
        return [tool for toolset in toolsets for tool in _toolset_tools(toolset)]
    if isinstance(allowed, list):
        return [f"mcp.{name}.{tool}" for tool in allowed] or [f"mcp.{name}.*"]
    return [f"mcp.{name}.*"]


def _server_name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise FormatError("an MCP server must have a name")
    return name


# --- places ---


def _listed(layout: Layout, key: str) -> tuple[Any, ...]:
    section = layout.section(key)
    if section is None:
        return ()

    def read(section: Section) -> tuple[Any, ...]:
        value = section.value()
        if value is not None and not isinstance(value, list):
            raise FormatError(f"'{key}' must be an array")
        return tuple(value or ())

    return section.read_as("anthropic.messages list", read)


def _mentions(section: Section) -> tuple[_Mention, ...]:
    """The tools that one message defines or refers to, as the client sent it."""
    return (section.original or section).read_as("anthropic.messages mentions", _mentioned)


def _mentioned(section: Section) -> tuple[_Mention, ...]:
    has_any = any(key == "type" and text in _MARKS for key, text in section.texts)
    value = section.value() if has_any else None
    content = value.get("content") if isinstance(value, dict) else None
    return tuple(_found(content, ("content",)))


def _found(blocks: Any, path: _Path) -> Iterator[_Mention]:
    for index, block in enumerate(blocks if isinstance(blocks, list) else ()):
        if not isinstance(block, dict):
            continue
        here = (*path, index)
        kind = block.get("type")
        if isinstance(kind, str) and kind in _CHANGES:
            yield _change(block, here)
        elif kind == "tool_reference":
            yield _Mention(here, block, is_definition=False)
        elif kind == "tool_result":
            yield from _found(block.get("content"), (*here, "content"))
        elif kind == "compaction":
            # what is taken out here breaks the provider's check of the block: it then refuses the request
            yield from _found(block.get("tool_changes"), (*here, "tool_changes"))


def _change(block: dict[str, Any], path: _Path) -> _Mention:
    tool = block.get("tool")
    if not isinstance(tool, dict):
        raise FormatError("a change of tools names no tool")
    definition = tool.get("definition")
    if isinstance(definition, dict):
        # a removal that defines its tool offers nothing, but names it
        return _Mention(path, definition, is_definition=True, is_offer=block["type"] == "tool_addition")
    if tool.get("type") == "tool_definition":
        raise FormatError("a tool is added without its definition")
    return _Mention(path, tool, is_definition=False)
