from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.intercept.credentials import ProxyCredentials
from proxy.intercept.hop import Arrival, DoorRefusal, Fields, Hop, Target, admit, hand_over

HOP = Hop("127.0.0.1", 9, "real")
TARGET = Target("https", "api.example.com", 443)

_names = st.from_regex(rb"[A-Za-z][A-Za-z-]{0,11}", fullmatch=True)
_values = st.binary(max_size=12).filter(lambda v: not set(v) & set(b"\r\n\0"))


def arrival(*fields: tuple[bytes, bytes], target: Target | None = TARGET, in_tunnel: bool = True) -> Arrival:
    return Arrival(b"HTTP/1.1", target, in_tunnel, fields)


def handed(*fields: tuple[bytes, bytes], in_tunnel: bool = True, session: str | None = None) -> Fields:
    result = hand_over(arrival(*fields, in_tunnel=in_tunnel), HOP, ProxyCredentials(session))
    assert not isinstance(result, DoorRefusal), result
    return result


def refused(result: Fields | DoorRefusal | ProxyCredentials) -> DoorRefusal:
    assert isinstance(result, DoorRefusal)
    return result


@given(
    st.lists(st.tuples(_names, _values), max_size=6),
    st.lists(st.sampled_from([b"x-ironcage-hop", b"X-IronCage-Hop", b"X-IRONCAGE-TARGET"]), max_size=3),
)
def test_only_the_door_speaks_for_the_hop(fields: list[tuple[bytes, bytes]], forged: list[bytes]) -> None:
    fields = [f for f in fields if f[0].lower() not in (b"host", b"upgrade")]
    result = handed(*fields, *((name, b"forged") for name in forged))
    by_name = [(name.lower(), value) for name, value in result]
    assert [v for n, v in by_name if n == b"x-ironcage-hop"] == [b"real"]
    assert [v for n, v in by_name if n == b"x-ironcage-target"] == [b"https://api.example.com:443"]


@given(st.lists(st.tuples(_names, _values), max_size=8))
def test_other_fields_keep_their_bytes_and_their_order(fields: list[tuple[bytes, bytes]]) -> None:
    hop_by_hop = (b"host", b"upgrade", b"connection", b"proxy-connection")
    fields = [f for f in fields if f[0].lower() not in hop_by_hop]
    result = handed((b"Host", b"api.example.com"), *fields)
    assert result[1 : len(fields) + 1] == tuple(fields)


def test_credentials_and_hop_by_hop_fields_go_no_further() -> None:
    dropped = [b"Proxy-Authorization", b"Proxy-Connection", b"HTTP2-Settings", b"Upgrade"]
    names = {name.lower() for name, _ in handed(*((name, b"h2c") for name in dropped))}
    assert names == {b"host", b"x-ironcage-hop", b"x-ironcage-target"}


def test_connection_header_cannot_name_the_hops_headers_for_removal() -> None:
    result = handed((b"Connection", b"close, X-Ironcage-Target"), (b"Connection", b"x-ironcage-hop"))
    assert [v for n, v in result if n.lower() == b"connection"] == [b"close"]


def test_session_of_the_request_wins_over_that_of_the_credentials() -> None:
    name = b"x-ironcage-session"
    assert (name, b"FROM-PROXY") in handed(session="FROM-PROXY")
    assert [v for n, v in handed((name, b"OWN"), session="FROM-PROXY") if n == name] == [b"OWN"]
    assert name not in dict(handed())


@pytest.mark.parametrize("host", [b"api.example.com", b"API.Example.com", b"api.example.com:443"])
def test_host_header_that_names_the_tunnels_target_is_left_alone(host: bytes) -> None:
    assert (b"HOST", host) in handed((b"HOST", host))


@pytest.mark.parametrize("host", [b"evil.com", b"api.example.com:444", b"", b"api.example.com.evil.com"])
def test_host_header_that_names_another_host_than_the_tunnel_is_refused(host: bytes) -> None:
    assert refused(hand_over(arrival((b"Host", host)), HOP, ProxyCredentials())).status == 421


def test_host_header_of_an_absolute_form_request_is_replaced_by_its_target() -> None:
    result = handed((b"Host", b"evil.com"), (b"Accept", b"*/*"), in_tunnel=False)
    assert [v for n, v in result if n.lower() == b"host"] == [b"api.example.com"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (((b"Upgrade", b"WebSocket"),), 426),
        (((b"X", b"a\r\n b"),), 400),
        (((b"X", b"a\0"),), 400),
        (((b"Host", b"api.example.com"), (b"Host", b"api.example.com")), 400),
    ],
)
def test_what_the_door_refuses(fields: Fields, status: int) -> None:
    assert refused(hand_over(arrival(*fields), HOP, ProxyCredentials())).status == status


def test_request_that_names_no_host_is_refused() -> None:
    assert refused(hand_over(arrival(target=None), HOP, ProxyCredentials())).status == 400


def test_http_2_is_refused() -> None:
    assert refused(hand_over(Arrival(b"HTTP/2.0", TARGET, True, ()), HOP, ProxyCredentials())).status == 505


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        (Target("http", "::1", 8080), "http://[::1]:8080"),
        (Target("https", "b\u00fccher.example", 443), "https://xn--bcher-kva.example:443"),
    ],
)
def test_origin_is_ascii_with_port_and_brackets(target: Target, origin: str) -> None:
    assert target.origin == origin


def test_access_token_opens_the_door_and_its_lack_asks_for_it() -> None:
    hop = Hop("127.0.0.1", 9, "real", access_token="T0KEN")

    def basic(text: str) -> tuple[bytes, bytes]:
        return b"Proxy-Authorization", b"Basic " + base64.b64encode(text.encode())

    assert admit((basic("RUN:T0KEN"),), hop) == ProxyCredentials("RUN", "T0KEN")
    for fields in ((), (basic("RUN:wrong"),), (basic("T0KEN"),)):
        refusal = refused(admit(fields, hop))
        assert refusal.status == 407
        assert (b"proxy-authenticate", b'Basic realm="ironcage"') in refusal.fields
