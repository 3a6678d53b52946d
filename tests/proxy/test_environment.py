from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.environment import UpstreamAddress, child_environment, without_approvals_token
from proxy.intercept.credentials import read_proxy_authorization
from trajectory.errors import OperatorError

CA, BUNDLE = Path("/ca/ca.pem"), Path("/ca/ca-bundle.pem")
DATA, PROXY = "http://127.0.0.1:8800", "http://127.0.0.1:8802"
OPENAI = UpstreamAddress("https://api.openai.com")


def environment(
    upstreams: dict[str, UpstreamAddress] | None = None,
    *,
    session: str = "RUN-42",
    proxy_url: str | None = PROXY,
    inherited: dict[str, str] | None = None,
) -> dict[str, str]:
    return child_environment(
        data_url=DATA,
        session=session,
        upstreams=upstreams or {},
        proxy_url=proxy_url,
        ca_file=CA,
        ca_bundle=BUNDLE,
        inherited=inherited,
    )


def test_each_vendors_sdk_finds_its_upstream_in_the_session() -> None:
    found = environment(
        {
            "openai": OPENAI,
            "anthropic": UpstreamAddress("https://api.anthropic.com"),
            "gemini": UpstreamAddress("https://generativelanguage.googleapis.com"),
            "mistral": UpstreamAddress("https://api.mistral.ai"),
        }
    )
    root = "http://127.0.0.1:8800/s/RUN-42"
    assert found["OPENAI_BASE_URL"] == found["OPENAI_API_BASE"] == f"{root}/openai/v1"
    assert found["ANTHROPIC_BASE_URL"] == f"{root}/anthropic"
    assert found["GOOGLE_GEMINI_BASE_URL"] == f"{root}/gemini"
    assert found["MISTRAL_API_BASE"] == f"{root}/mistral/v1"


def test_tools_get_a_generic_variable_and_no_vendors() -> None:
    found = environment({"orders-db": UpstreamAddress("https://api.openai.com", kind="tool")})
    assert found["IRONCAGE_URL_ORDERS_DB"] == "http://127.0.0.1:8800/s/RUN-42/orders-db"
    assert "OPENAI_BASE_URL" not in found


@pytest.mark.parametrize(
    ("upstreams", "chosen"),
    [
        ({"mine": OPENAI}, "mine/v1"),
        ({"openai": UpstreamAddress("http://127.0.0.1:9")}, "openai/v1"),
        ({"mine": UpstreamAddress("http://127.0.0.1:9", wire="openai_chat")}, "mine/v1"),
        ({"other": OPENAI, "openai": UpstreamAddress("http://127.0.0.1:9")}, "openai/v1"),
        ({"first": OPENAI, "second": OPENAI}, "first/v1"),
        ({"router": UpstreamAddress("https://router.example/api/v1", wire="openai")}, "router"),
        ({"router": UpstreamAddress("https://router.example/v1beta/", wire="openai")}, "router"),
    ],
)
def test_upstream_of_a_vendor_is_known_by_wire_name_or_host(upstreams: dict[str, UpstreamAddress], chosen: str) -> None:
    assert environment(upstreams)["OPENAI_BASE_URL"] == f"http://127.0.0.1:8800/s/RUN-42/{chosen}"


def test_unknown_model_upstream_gets_no_vendors_variable() -> None:
    found = environment({"local": UpstreamAddress("http://127.0.0.1:9")})
    assert not [name for name in found if name.endswith(("_BASE_URL", "_API_BASE"))]


def test_upstreams_that_would_share_a_variable_are_refused() -> None:
    with pytest.raises(OperatorError, match="IRONCAGE_URL_A_B"):
        environment({"a-b": OPENAI, "a_b": OPENAI})


def test_proxy_and_trust_are_set_for_every_kind_of_client() -> None:
    found = environment()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        assert found[name] == found[name.lower()] == "http://RUN-42:x@127.0.0.1:8802"
    assert found["NODE_USE_ENV_PROXY"] == "1"
    replacing = {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT"}
    assert {found[name] for name in replacing | {"CODEX_CA_CERTIFICATE"}} == {str(BUNDLE)}
    assert found["NODE_EXTRA_CA_CERTS"] == str(CA)


def test_only_the_data_port_is_exempt_from_the_proxy() -> None:
    found = environment(inherited={"NO_PROXY": "localhost,127.0.0.1"})
    assert found["NO_PROXY"] == found["no_proxy"] == "127.0.0.1:8800"


def test_without_a_door_no_proxy_is_set_and_base_urls_stay_direct() -> None:
    found = environment(proxy_url=None, inherited={"HTTP_PROXY": "http://corp:3128", "NO_PROXY": "intra.example"})
    assert "HTTP_PROXY" not in found
    assert "SSL_CERT_FILE" not in found
    assert found["NO_PROXY"] == found["no_proxy"] == "intra.example,127.0.0.1:8800,127.0.0.1"


_sessions = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,20}", fullmatch=True)


@given(_sessions)
def test_every_session_survives_the_way_through_a_clients_credentials(session: str) -> None:
    url = urlsplit(environment(session=session)["HTTPS_PROXY"])
    assert (url.hostname, url.port) == ("127.0.0.1", 8802)
    # What clients do: decode user and password once, join them, encode as Basic.
    sent = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
    read = read_proxy_authorization("Basic " + base64.b64encode(sent.encode()).decode())
    assert (read.session, read.token) == (session, "x")


CLIENTS = {
    "urllib": "import urllib.request; get = lambda u: urllib.request.urlopen(u).read()",
    "httpx2": "import httpx2; get = lambda u: httpx2.get(u).content",
    "requests": "import requests; get = lambda u: requests.get(u).content",
}


@pytest.mark.parametrize("client", CLIENTS)
async def test_tools_beside_the_gateway_on_loopback_go_through_the_door(client: str) -> None:
    hits: list[str] = []

    async def listen(name: str) -> asyncio.Server:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            hits.append(name)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()

        return await asyncio.start_server(answer, "127.0.0.1", 0)

    servers = {name: await listen(name) for name in ("data", "tool", "door")}
    urls = {name: f"http://127.0.0.1:{s.sockets[0].getsockname()[1]}" for name, s in servers.items()}
    variables = child_environment(
        data_url=urls["data"], session="S", upstreams={}, proxy_url=urls["door"], ca_file=CA, ca_bundle=BUNDLE
    )
    variables = {name: value for name, value in variables.items() if "proxy" in name.lower()}
    code = f"import json, sys\n{CLIENTS[client]}\nfor u in json.loads(sys.argv[1]): get(u)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, json.dumps([urls["tool"], urls["data"]]), env={**os.environ, **variables}
    )
    assert await process.wait() == 0
    assert hits[0] == "door"  # the tool
    assert hits[1] in ("data", "door")  # base-URL traffic: either way is the gateway's
    for server in servers.values():
        server.close()


def test_the_approvals_token_is_left_out_and_nothing_else() -> None:
    assert without_approvals_token({"A": "1", "IRONCAGE_APPROVALS_TOKEN": "t", "B": ""}) == {"A": "1", "B": ""}
