from __future__ import annotations

import base64

import pytest

from proxy.intercept.credentials import ProxyCredentials, read_proxy_authorization
from trajectory.errors import ClientError


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, ProxyCredentials()),
        (basic("RUN-42:x"), ProxyCredentials("RUN-42", "x")),
        (basic("RUN-42"), ProxyCredentials("RUN-42")),
        (basic(":token"), ProxyCredentials(None, "token")),
        (basic("a%3Ab%40c:to:ken"), ProxyCredentials("a:b@c", "to:ken")),
        (basic("a+b:x").replace("Basic", "bASIC "), ProxyCredentials("a+b", "x")),
    ],
)
def test_user_name_is_the_session_and_password_the_token(value: str | None, read: ProxyCredentials) -> None:
    assert read_proxy_authorization(value) == read


@pytest.mark.parametrize("value", ["Bearer x", "Basic ?", "Basic " + base64.b64encode(b"\xff:x").decode()])
def test_unreadable_credentials_are_the_clients_fault(value: str) -> None:
    with pytest.raises(ClientError):
        read_proxy_authorization(value)


@pytest.mark.parametrize("session", ["../../etc", "a%2Fb", "%00", "x" * 129, "a b"])
def test_session_that_is_no_valid_name_is_the_clients_fault(session: str) -> None:
    with pytest.raises(ClientError):
        read_proxy_authorization(basic(f"{session}:x"))


def test_without_an_access_token_every_password_opens() -> None:
    assert ProxyCredentials(None, "").opens(None)
    assert not ProxyCredentials(None, "").opens("T")
    assert ProxyCredentials(None, "T\u00f6ken").opens("T\u00f6ken")
