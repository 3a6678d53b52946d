from __future__ import annotations

import pytest

from proxy.environment import UpstreamAddress, vendor_of
from proxy.headers import forwarded, key_header, returned, with_key

CLIENT = (
    ("Authorization", "Bearer agent"),
    ("X-Api-Key", "agent"),
    ("api-key", "agent"),
    ("X-Goog-Api-Key", "agent"),
    ("anthropic-version", "2023-06-01"),
)


@pytest.mark.parametrize(
    ("name", "upstream", "header"),
    [
        ("openai", UpstreamAddress("https://api.openai.com"), ("Authorization", "Bearer k")),
        ("mine", UpstreamAddress("http://127.0.0.1:1"), ("Authorization", "Bearer k")),
        ("anthropic", UpstreamAddress("http://127.0.0.1:1"), ("x-api-key", "k")),
        ("claude", UpstreamAddress("https://api.anthropic.com"), ("x-api-key", "k")),
        ("mine", UpstreamAddress("http://127.0.0.1:1", wire="anthropic"), ("x-api-key", "k")),
        ("google", UpstreamAddress("http://127.0.0.1:1"), ("x-goog-api-key", "k")),
        ("anthropic", UpstreamAddress("http://127.0.0.1:1", kind="tool"), ("Authorization", "Bearer k")),
    ],
)
def test_the_proxys_own_key_replaces_every_credential_of_the_agent(
    name: str, upstream: UpstreamAddress, header: tuple[str, str]
) -> None:
    sent = with_key(CLIENT, key_header("k", vendor_of(name, upstream)))
    assert sent == (("anthropic-version", "2023-06-01"), header)


def raw(*fields: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("utf-8", "surrogateescape")) for name, value in fields]


def test_fields_of_one_hop_and_ironcages_own_stay_on_it() -> None:
    fields = raw(
        ("Host", "x"), ("Connection", "X-Private , close"), ("x-private", "1"), ("Keep-Alive", "5"), ("TE", "trailers"),
        ("Transfer-Encoding", "chunked"), ("Content-Length", "1"), ("Upgrade", "h2c"), ("Expect", "100-continue"),
        ("Proxy-Authorization", "Basic x"), ("X-IronCage-Session", "s"), ("x-ironcage-anything", "s"),
        ("Accept-Encoding", "gzip"), ("Set-Cookie", "a"), ("Set-Cookie", "b"), ("X-Kept", "caf\udce9"),
    )  # fmt: skip
    kept = (("Set-Cookie", "a"), ("Set-Cookie", "b"), ("X-Kept", "caf\udce9"))
    assert forwarded(fields, judged=True) == (*kept, ("Accept-Encoding", "identity"))
    assert forwarded(fields, judged=False) == (("Accept-Encoding", "gzip"), *kept)


def test_a_reply_keeps_its_fields_in_order_but_for_those_of_the_hop() -> None:
    fields = (
        ("Date", "d"), ("Connection", "X-Hop"), ("X-Hop", "1"), ("Set-Cookie", "a"), ("Content-Length", "3"),
        ("Trailer", "X"), ("Set-Cookie", "b"), ("Proxy-Authenticate", "Basic"),
    )  # fmt: skip
    kept = [("Date", "d"), ("Set-Cookie", "a"), ("Content-Length", "3"), ("Set-Cookie", "b")]
    assert list(returned(fields)) == kept
    assert list(returned(fields, whole=True)) == [field for field in kept if field[0] != "Content-Length"]


@pytest.mark.parametrize(
    "name",
    [
        "X-HTTP-Method-Override", "x_http_method_override", "X-Original-URL", "X_Rewrite_Url", "Transfer_Encoding",
        "Content_Length", "X_Ironcage_Session", "Proxy_Authorization", "Accept_Encoding",
    ],
)  # fmt: skip
def test_no_header_makes_a_server_read_another_request_than_the_one_that_was_judged(name: str) -> None:
    """Also where it takes `_` for `-`, as CGI and its heirs do."""
    sent = forwarded(raw((name, "DELETE"), ("X_Custom", "kept")), judged=True)
    assert sent == (("X_Custom", "kept"), ("Accept-Encoding", "identity"))


def test_a_credential_in_another_spelling_gives_way_to_the_proxys_key_too() -> None:
    assert with_key((("X_Api_Key", "agent"),), ("x-api-key", "k")) == (("x-api-key", "k"),)
