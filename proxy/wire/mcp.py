"""MCP messages: JSON-RPC 2.0 over streamable HTTP, versions up to 2025-11-25 and 2026-07-28, read without I/O.

1. What is judged is what the other side parses: one object, no key twice, no batch (they existed in 2025-03-26
   only), no key that differs from a judged one only in case, and never a message that is a request to one reader
   and a response to another.
2. A list of tools is judged wherever a message can bring one: `result.tools` of any response (a resumed stream
   brings answers to requests that were made elsewhere), and `params.tools` of sampling, whether the server asks
   in a request of its own (up to 2025-11-25) or in an input_required result.
3. Calls that a client brings are judged too: `tools/call` itself, and each `tool_use` that it sampled for the server.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from proxy.wire.case import check_case, check_cases
from proxy.wire.spans import Edit, apply_edits, elements, members, read_value, removal, span_at
from trajectory.errors import FormatError

STATELESS_SINCE = "2026-07-28"
META_VERSION = "io.modelcontextprotocol/protocolVersion"
SAMPLING = "sampling/createMessage"

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
REFUSED = -32000
"""Of the range that JSON-RPC leaves to implementations; the reason's own code stands in `data.code`."""

Path = tuple[str | int, ...]

# Servers and clients written in Go may take keys in any case; only what is judged here must be unmistakable.
_ENVELOPE = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_PARAMS = frozenset({"name", "arguments", "tools", "uri", "inputResponses", "_meta"})
_RESULT = frozenset({"tools", "content", "isError", "inputRequests"})
_TOOL = frozenset({"name"})


@dataclass(frozen=True, slots=True)
class Message:
    """One JSON-RPC message; `value` is `raw` parsed."""

    raw: bytes
    value: dict[str, Any]

    @property
    def method(self) -> str:
        """Empty for a response."""
        method = self.value.get("method")
        return method if isinstance(method, str) else ""

    @property
    def params(self) -> dict[str, Any]:
        return _object(self.value.get("params"))

    @property
    def result(self) -> dict[str, Any]:
        return _object(self.value.get("result"))

    @property
    def is_request(self) -> bool:
        return bool(self.method) and "id" in self.value

    @property
    def is_response(self) -> bool:
        return "result" in self.value or "error" in self.value

    @property
    def id(self) -> bytes:
        """As it was written; `null` where there is none."""
        at = members(self.raw).get("id")
        return self.raw[at.start : at.end] if at is not None else b"null"

    @property
    def version(self) -> str:
        """The version that a request says of itself, from 2026-07-28 on; empty if it does not."""
        version = _object(self.params.get("_meta")).get(META_VERSION)
        return version if isinstance(version, str) else ""

    @property
    def tool(self) -> str:
        """The tool that a `tools/call` names; empty for anything else."""
        name = self.params.get("name")
        return name if self.method == "tools/call" and isinstance(name, str) else ""

    @property
    def arguments(self) -> str:
        """The raw text of the arguments of a `tools/call`; empty if it has none. Raises FormatError."""
        try:
            return bytes(_call.decode(self.raw).params.arguments).decode()
        except msgspec.DecodeError as e:  # half of a surrogate pair, which only the slower reader takes
            raise FormatError(f"not valid JSON: {e}") from None

    @property
    def failed(self) -> bool:
        """A response that says so: an error, or the result of a tool that failed."""
        return "error" in self.value or self.result.get("isError") is True

    def answers(self, request: Message) -> bool:
        """A null id answers too: the server could not read the request's own."""
        mine, asked = self.value.get("id"), request.value.get("id")
        return self.is_response and (mine is None or (type(mine) is type(asked) and mine == asked))

    def digest(self, *context: str) -> str:
        """Equal for the same request again: ids, progress tokens and trace contexts differ each time."""
        params = {key: value for key, value in self.params.items() if key != "_meta"}
        canonical = json.dumps([*context, self.method, params], sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


class _Params(msgspec.Struct):
    arguments: msgspec.Raw = msgspec.Raw(b"")


class _Call(msgspec.Struct):
    params: _Params


_call = msgspec.json.Decoder(_Call)


def full_name(upstream: str, tool: str) -> str:
    """How agents name a tool among those of several servers; an allowlist knows it by this and by its own name."""
    return f"mcp__{upstream}__{tool}"


def read_message(raw: bytes) -> Message:
    """Raises FormatError where two readers could take the message for different things."""
    value = read_value(raw)
    if isinstance(value, list):
        raise FormatError("JSON-RPC batches are not part of MCP since 2025-06-18; send one message")
    if not isinstance(value, dict):
        raise FormatError("not a JSON-RPC message")
    kinds = [key for key in ("method", "result", "error") if key in value]
    if len(kinds) != 1:
        raise FormatError("a JSON-RPC message has one of method, result and error")
    check_case(value, _ENVELOPE, "the message")
    check_case(_object(value.get("params")), _PARAMS, "'params'")
    check_case(_object(value.get("result")), _RESULT, "'result'")
    if kinds == ["method"] and not (isinstance(value["method"], str) and value["method"]):
        raise FormatError("'method' must be a string")
    if "id" in value and not _is_id(value["id"], is_error="error" in value):
        raise FormatError("'id' must be a string or an integer")
    if value.get("method") == "tools/call" and not isinstance(_object(value.get("params")).get("name"), str):
        raise FormatError("tools/call must name a tool")
    return Message(raw, value)


def is_stateless(version: str) -> bool:
    """Versions are dates, so later ones compare greater; other texts are no known version."""
    return len(version) == len(STATELESS_SINCE) and version[:2] == "20" and version >= STATELESS_SINCE


@dataclass(frozen=True, slots=True)
class ToolList:
    """Tools offered in a message: where the list stands, and each element's name (empty if it has none)."""

    path: Path
    names: tuple[str, ...]
    choice: Path | None = None
    """Where the choice among them stands, if the message has one."""


def tool_lists(message: Message) -> list[ToolList]:
    found: list[ToolList] = []
    tools = message.result.get("tools")
    if isinstance(tools, list):
        found.append(ToolList(("result", "tools"), _names(tools)))
    if message.method == SAMPLING:
        found += _sampled(("params",), message.params)
    for key, asked in _object(message.result.get("inputRequests")).items():
        if _object(asked).get("method") == SAMPLING:
            found += _sampled(("result", "inputRequests", key, "params"), _object(_object(asked).get("params")))
    return found


def without_tools(message: Message, names: frozenset[str]) -> bytes:
    """`message` without the offered tools of these names; all else keeps its bytes and order.

    A result that others could share is then this caller's alone. Where nothing is left to choose from, the choice
    is none.
    """
    edits: list[Edit] = []
    for listed in tool_lists(message):
        drop = {place for place, name in enumerate(listed.names) if name in names}
        at = span_at(message.raw, listed.path)
        if not drop or at is None:
            continue
        edits += removal(message.raw, elements(message.raw, at.start, at.end), drop)
        if listed.choice is not None and len(drop) == len(listed.names):
            edits += _replaced(message.raw, listed.choice, b'{"mode":"none"}')
        if listed.path[0] == "result" and message.result.get("cacheScope") == "public":
            edits += _replaced(message.raw, ("result", "cacheScope"), b'"private"')
    return apply_edits(message.raw, list(dict.fromkeys(edits)))


def sampled_calls(message: Message) -> tuple[tuple[str, str], ...]:
    """Names and arguments (JSON) of the tools that a client's model calls on behalf of the server: it posts them as
    an answer to sampling, or with `inputResponses`.
    """
    answers: list[Any] = [message.result, *_object(message.params.get("inputResponses")).values()]
    return tuple(call for answer in answers for call in _tool_uses(_object(answer).get("content")))


def task_of(message: Message) -> str:
    """The id of the task that a response announces or a request asks about; empty if there is none."""
    if message.method:
        found = message.params.get("taskId") if message.method.startswith("tasks/") else None
    else:
        found = _object(message.result.get("task")).get("taskId") or message.result.get("taskId")
    return found if isinstance(found, str) else ""


def state_of(message: Message) -> str:
    """What an input_required result gives and its continuation sends back, unchanged; empty if there is none."""
    state = (message.params if message.method else message.result).get("requestState")
    return state if isinstance(state, str) else ""


def tool_refusal(message: Message, text: str, *, stateless: bool) -> bytes:
    """A refused call as the result of a tool that failed: models read it and go on, and no client retries it."""
    kind = b'"resultType":"complete",' if stateless else b""
    said = json.dumps([{"type": "text", "text": text}], ensure_ascii=False).encode("utf-8", "replace")
    return b'{"jsonrpc":"2.0","id":' + message.id + b',"result":{' + kind + b'"content":' + said + b',"isError":true}}'


def rpc_error(message: Message | None, number: int, text: str, code: str) -> bytes:
    id_ = message.id if message is not None and message.is_request else b"null"
    error = json.dumps({"code": number, "message": text, "data": {"code": code}}, ensure_ascii=False)
    return b'{"jsonrpc":"2.0","id":' + id_ + b',"error":' + error.encode("utf-8", "replace") + b"}"


def _is_id(value: object, *, is_error: bool) -> bool:
    return isinstance(value, str) or type(value) is int or (value is None and is_error)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(tools: list[Any]) -> tuple[str, ...]:
    check_cases(tools, _TOOL, "a tool")
    names = (_object(tool).get("name") for tool in tools)
    return tuple(name if isinstance(name, str) else "" for name in names)


def _sampled(path: Path, params: dict[str, Any]) -> Iterator[ToolList]:
    tools = params.get("tools")
    if isinstance(tools, list):
        choice = (*path, "toolChoice") if "toolChoice" in params else None
        yield ToolList((*path, "tools"), _names(tools), choice)


def _tool_uses(content: object) -> Iterator[tuple[str, str]]:
    for block in content if isinstance(content, list) else [content]:
        if isinstance(block, dict) and block.get("type") == "tool_use":
            yield str(block.get("name") or ""), json.dumps(block["input"]) if "input" in block else ""


def _replaced(raw: bytes, path: Path, value: bytes) -> list[Edit]:
    at = span_at(raw, path)
    return [Edit(at.start, at.end, value)] if at is not None else []
