from __future__ import annotations

import pytest

from proxy.environment import UpstreamAddress, vendor_of
from proxy.headers import key_header, with_key

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
