from __future__ import annotations

import pytest

from proxy.routing import Destination, Router, target_of
from proxy.settings import Upstream
from trajectory.errors import ClientError

UPSTREAMS = {
    "openai": Upstream(base_url="https://api.openai.com"),
    "versioned": Upstream(base_url="https://llm.example/v1", allow_paths=("POST /embeddings",)),
    "orders": Upstream(
        base_url="http://127.0.0.1:9000",
        kind="tool",
        tools={"GET /orders": "read_order", "POST /orders": "place_order"},
    ),
    "both_model": Upstream(base_url="http://127.0.0.1:9100"),
    "both_tool": Upstream(base_url="http://127.0.0.1:9100", kind="tool"),
    "below": Upstream(base_url="http://tools.example/api", kind="tool"),
    "idn": Upstream(base_url="https://bücher.example/v1"),
}
ROUTER = Router(UPSTREAMS)


def direct(path: str, method: str = "POST", session: str | None = None) -> Destination:
    return ROUTER.base_url(method, path, session)


def proxied(url: str, method: str = "POST") -> Destination:
    origin, slash, path = url.partition("://")[2].partition("/")
    return ROUTER.through_proxy(method, slash + path, target_of(url.partition("://")[0] + "://" + origin), None)


def test_a_base_url_leads_to_its_upstream_with_the_raw_path_and_query() -> None:
    found = direct("/openai/v1/chat/completions?api-version=2%2F1&x=")
    assert found.refused is None
    assert (found.base_url, found.route.path) == ("https://api.openai.com", "/v1/chat/completions?api-version=2%2F1&x=")
    assert (found.route.kind, found.route.wire, found.route.upstream) == ("model", "openai.chat", "openai")
    assert found.session is None and found.known_as == ""


def test_the_path_of_an_upstream_goes_before_that_of_the_request() -> None:
    found = direct("/versioned/chat/completions")
    assert found.base_url + found.route.path == "https://llm.example/v1/chat/completions"


def test_a_session_in_the_prefix_wins_over_one_in_a_header() -> None:
    assert direct("/openai/v1/models", "GET", "H").session == "H"
    found = direct("/s/RUN-42/openai/v1/models", "GET", "H")
    assert (found.session, found.known_as, found.route.path) == ("RUN-42", "prefix", "/v1/models")
    with pytest.raises(ClientError):
        direct("/s/..%2Fx/openai/v1/models")


@pytest.mark.parametrize(
    "path",
    ["/", "", "*", "/nowhere/v1/chat/completions", "/openai", "/openai/v1/x/../y", "//openai/v1/models"],
)  # fmt: skip
def test_what_names_no_served_place_is_refused_and_says_what_is_served(path: str) -> None:
    found = direct(path)
    assert found.refused is not None and found.refused.code == "route_refused"


@pytest.mark.parametrize("door", ["base_url", "proxy"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/files/../chat/completions", "/v1/files/./chat/completions", "/v1/%2e%2e/chat/completions",
        "/v1/.%2E/chat/completions", "/v1/..%2Fchat/completions", "/v1%2F..%2Fchat/completions",
        "/..;/chat/completions",
        "/v1\\..\\chat/completions", "/v1%5Cchat/completions", "/v1%00/chat/completions",
        "/v1/files#/chat/completions", "/v1/files%20 /chat/completions", "/v1/ü/chat/completions",
    ],
)  # fmt: skip
def test_a_path_that_a_server_may_resolve_to_another_place_is_refused(door: str, path: str) -> None:
    found = direct("/openai" + path) if door == "base_url" else proxied("https://api.openai.com" + path)
    assert found.refused is not None and found.refused.code == "route_refused"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/files"), ("POST", "/v1/batches"), ("GET", "/v1/chat/completions"),
        ("PUT", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions/"), ("POST", "/v1/chat/%63ompletions"), ("POST", "/V1/CHAT/COMPLETIONS"),
        ("DELETE", "/v1/models/x"), ("POST", "/v1/models"), ("OPTIONS", "/v1/chat/completions"),
    ],
)  # fmt: skip
def test_an_unknown_path_on_a_models_host_is_refused(method: str, path: str) -> None:
    assert direct("/openai" + path, method).refused is not None
    assert proxied("https://api.openai.com" + path, method).refused is not None


def test_a_path_that_the_operator_allows_passes_unjudged() -> None:
    assert direct("/versioned/embeddings").route.kind == "web"
    assert direct("/versioned/embeddings", "PUT").refused is not None


@pytest.mark.parametrize(
    ("method", "path", "tool"),
    [
        ("GET", "/orders", "read_order"), ("GET", "/orders/7?x=1", "read_order"), ("POST", "/orders", "place_order"),
        ("DELETE", "/orders", "orders"), ("GET", "/orders2", "orders2"), ("GET", "/refund/all", "refund/all"),
        ("GET", "/", "orders"), ("GET", "/refund/a%20b%2Fc", "refund/a%20b%2Fc"),
    ],
)  # fmt: skip
def test_a_tool_is_named_by_method_and_path(method: str, path: str, tool: str) -> None:
    assert direct("/orders" + path, method).route.tool == tool
    assert proxied("http://127.0.0.1:9000" + path, method).route.tool == tool


@pytest.mark.parametrize(
    "path",
    ["/%6frders", "/order%73/7", "/orders;v=1", "/orders%3Bv=1", "/orders//7", "//orders", "/%70%61y", "/%7euser"],
)
def test_a_tool_has_no_other_spelling(path: str) -> None:
    """A server reads them as one path; rules on the tool's arguments would know only one of them."""
    for found in (direct("/orders" + path), proxied("http://127.0.0.1:9000" + path)):
        assert found.refused is not None and found.refused.code == "route_refused"


def test_through_the_proxy_door_a_configured_place_is_the_same_upstream() -> None:
    found = proxied("https://api.openai.com/v1/chat/completions")
    assert (found.route.kind, found.route.upstream, found.route.named) == ("model", "openai", True)
    assert found.base_url + found.route.path == "https://api.openai.com/v1/chat/completions"


@pytest.mark.parametrize(
    "origin",
    [
        "https://API.OpenAI.com", "https://api.openai.com.", "https://api.openai.com:443", "http://api.openai.com",
        "http://api.openai.com:443", "https://api.openai.com:80",
    ],
)  # fmt: skip
def test_no_other_spelling_of_a_models_host_leads_past_its_rules(origin: str) -> None:
    for path in ("/v1/chat/completions", "/v1//chat/completions", "/v1/responses2"):
        found = proxied(origin + path)
        assert found.refused is not None or found.route.kind == "model"


@pytest.mark.parametrize(
    "path", ["/v2/chat/completions", "//v1/chat/completions", "/%761/chat/completions", "/V1/x", "/v1x"]
)
def test_what_lies_beside_the_path_of_a_models_upstream_is_refused(path: str) -> None:
    assert proxied("https://llm.example" + path).refused is not None


def test_a_tools_host_is_no_way_around_the_names_of_its_tools() -> None:
    assert proxied("http://tools.example/api/list", "GET").route.tool == "list"
    for url in ("http://tools.example/%61pi/list", "http://tools.example./apix/list", "https://tools.example/api/list"):
        assert proxied(url, "GET").refused is not None


def test_an_international_name_is_one_host_in_any_spelling() -> None:
    for host in ("bücher.example", "BÜCHER.example.", "xn--bcher-kva.example"):
        assert proxied(f"https://{host}/v1/chat/completions").route.upstream == "idn"


def test_of_two_upstreams_at_one_place_the_one_that_serves_the_path_wins() -> None:
    assert proxied("http://127.0.0.1:9100/v1/chat/completions").route.upstream == "both_model"
    assert proxied("http://127.0.0.1:9100/refund").route.tool == "refund"
    assert proxied("http://127.0.0.1:9100/../refund").refused is not None


def test_any_other_destination_is_web_and_left_to_egress() -> None:
    found = proxied("http://[2001:DB8::1]:8080/a?b=1", "GET")
    assert (found.route.kind, found.route.named, found.route.host) == ("web", False, "[2001:db8::1]:8080")
    assert found.base_url == "http://[2001:db8::1]:8080"
    assert proxied("http://127.0.0.1:9001/x").route.kind == "web"
    assert proxied("https://example.com/").route.host == "example.com"


@pytest.mark.parametrize("path", ["@evil.example/", "*", "http://evil.example/", ""])
def test_a_path_without_its_slash_cannot_become_part_of_the_host(path: str) -> None:
    found = ROUTER.through_proxy("GET", path, target_of("http://127.0.0.1:9001"), None)
    assert found.refused is not None


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "http://", "http://x:99999", "http://a b/", "http://x%2fy", "https://[::1%25eth0]"]
)
def test_what_is_no_destination_is_the_clients_error(url: str) -> None:
    with pytest.raises(ClientError):
        target_of(url)


@pytest.mark.parametrize(
    ("path", "is_served"),
    [
        ("/stored/v1/responses/resp_1", True), ("/stored/v1/responses/resp_1/input_items?limit=1", True),
        ("/stored/v1/responses/", False), ("/stored/v1/responses", False), ("/stored/v1/responses/a%2F..%2Fb", False),
        ("/stored/v1/responses/a:cancel", True), ("/stored/v1/responses/a:b/", False),
        ("/stored/v1/responses/a:", False), ("/stored/v1/responses/%72", False),
        ("/stored/v1/responsesx", False), ("/stored/v1/files/f1", False),
    ],
)  # fmt: skip
def test_an_allowed_path_may_stand_for_all_plain_paths_below_it(path: str, is_served: bool) -> None:
    stored = Upstream(base_url="https://api.openai.com", allow_paths=("GET /v1/responses/*",))
    found = Router({"stored": stored}).base_url("GET", path, None)
    assert (found.refused is None) is is_served
