from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.intercept.protocols import first_protocol


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (b"", "undecided"),
        (b"\x16", "undecided"),
        (b"\x16\x03\x01\x02", "tls"),
        (b"\x16\x02", "other"),
        (b"GE", "undecided"),
        (b"GET /", "http"),
        (b"\r\nPOST http://a/", "http"),
        (b"VERSION-CONTROL /", "http"),
        (b"PRI * HTTP/2.0", "other"),
        (b" GET /", "other"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "other"),
        (b"EHLO\r\n", "other"),
        (b"\x00\x01\x02", "other"),
        (b"A" * 33, "other"),
    ],
)
def test_first_bytes_tell_the_protocol(data: bytes, protocol: str) -> None:
    assert first_protocol(data) == protocol


@given(st.binary(min_size=1, max_size=60))
def test_more_bytes_never_take_a_decision_back(data: bytes) -> None:
    decided = [p for n in range(len(data) + 1) if (p := first_protocol(data[:n])) != "undecided"]
    assert len(set(decided)) <= 1


@given(st.binary(min_size=34, max_size=60).filter(lambda d: d[:1] not in b"\r\n"))
def test_thirty_four_bytes_are_enough_to_decide(data: bytes) -> None:
    assert first_protocol(data) != "undecided"
