from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import encode_header_value, mcp_param_headers, x_mcp_header_map

from proxy.wire.mcp import META_VERSION, read_message
from proxy.wire.mcp_headers import HeaderMismatchError, check_headers, decoded, mirrors_of

NEW = "2026-07-28"
SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "Count"}}},
        "other": {"type": "string"},
        "list": {"type": "array", "items": {"type": "string", "x-mcp-header": "Item"}},
    },
}


def call(arguments: Any = None, *, version: str = NEW, method: str = "tools/call", **params: Any) -> Any:
    inside = {"name": "t", "arguments": arguments or {}, **params}
    if version:
        inside["_meta"] = {META_VERSION: version}
    return read_message(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": inside}).encode())


def headers(**changed: str | None) -> tuple[tuple[str, str], ...]:
    given: dict[str, str | None] = {"MCP-Protocol-Version": NEW, "Mcp-Method": "tools/call", "Mcp-Name": "t"}
    return tuple((k.replace("_", "-"), v) for k, v in {**given, **changed}.items() if v is not None)


def test_headers_that_say_what_the_body_says_pass() -> None:
    check_headers(headers(), call(), None)
    check_headers(headers(**{"Mcp-Name": encode_header_value("naïve")}), call(name="naïve"), None)
    check_headers(headers(**{"Mcp-Method": "resources/read", "Mcp-Name": "file:///x"}),
                  call(method="resources/read", uri="file:///x"), None)  # fmt: skip
    check_headers((), call(version=""), None)  # up to 2025-11-25 there are none
    check_headers((("mcp-protocol-version", "2025-11-25"),), call(version=""), None)


@pytest.mark.parametrize(
    "changed",
    [
        {"Mcp-Method": "tools/list"},
        {"Mcp-Method": "TOOLS/CALL"},
        {"Mcp-Method": None},
        {"Mcp-Name": "other"},
        {"Mcp-Name": "T"},
        {"Mcp-Name": None},
        {"Mcp-Name": "=?base64?dA=?="},
        {"Mcp-Name": "=?base64?b3RoZXI=?="},
        {"MCP-Protocol-Version": "2025-11-25"},
        {"MCP-Protocol-Version": None},
        {"mcp-name": "t"},
        {"Mcp_Param_Region": "eu"},
    ],
)
def test_headers_that_say_something_else_are_refused(changed: dict[str, str | None]) -> None:
    with pytest.raises(HeaderMismatchError):
        check_headers(headers(**changed), call({"region": "us"}), None)


def test_older_versions_are_held_to_the_headers_that_they_send() -> None:
    with pytest.raises(HeaderMismatchError):
        check_headers((("mcp-method", "tools/list"),), call(version=""), None)


def test_a_marked_argument_is_compared_with_its_own_header() -> None:
    mirrors = mirrors_of(SCHEMA)
    assert mirrors == {"region": ("region",), "count": ("deep", "n")}
    arguments = {"region": "eu", "deep": {"n": 42}, "other": "us"}
    check_headers(headers(Mcp_Param_Region="eu", Mcp_Param_Count="42"), call(arguments), mirrors)
    check_headers(headers(Mcp_Param_Region="us"), call(arguments), None)  # never listed: some argument says it
    for wrong in ({"Mcp_Param_Region": "us"}, {"Mcp_Param_Count": "43"}, {"Mcp_Param_Count": "=?base64?*?="}):
        with pytest.raises(HeaderMismatchError):
            check_headers(headers(**wrong), call(arguments), mirrors)


@given(
    st.one_of(st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=20)),
    st.booleans(),
)
def test_what_the_official_client_sends_passes_and_anything_else_does_not(value: Any, known: bool) -> None:
    kind = {bool: "boolean", int: "integer", str: "string"}[type(value)]
    schema = {"properties": {"v": {"type": kind, "x-mcp-header": "V"}}}
    arguments = {"v": value, "w": None}
    sent = mcp_param_headers(x_mcp_header_map(schema), arguments)
    mirrors = mirrors_of(schema) if known else None
    check_headers((*headers(), *sent.items()), call(arguments), mirrors)
    with pytest.raises(HeaderMismatchError):
        check_headers((*headers(), ("Mcp-Param-V", f"{decoded(sent['Mcp-Param-V'])}x")), call(arguments), mirrors)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_what_the_official_client_encodes_is_decoded(text: str) -> None:
    assert decoded(encode_header_value(text)) == text
