"""Where a name leads is looked at when the connection stands: a name server may say one thing and then another."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from proxy.upstream import Patience, UpstreamBroke, UpstreamClient
from tests.support.scripted import Scripted, answering, whole


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that knows one name, of this machine."""
    loop = asyncio.get_running_loop()

    async def looked_up(host: str, port: int, **_: Any) -> list[Any]:
        assert host == "rebound.example"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(loop, "getaddrinfo", looked_up)


@pytest.mark.usefixtures("names")
async def test_a_name_that_nobody_configured_does_not_lead_to_this_machine() -> None:
    async with Scripted(answering(whole(b"{}"))) as service, UpstreamClient() as client:
        url = service.origin.replace("127.0.0.1", "rebound.example") + "/latest/meta-data"
        with pytest.raises(UpstreamBroke, match="leads to this machine"):
            await client.ask("GET", url, (), b"", patience=Patience(), is_named=False)
        assert service.seen == []
        reply = await client.ask("GET", url, (), b"", patience=Patience())
        reply.close()
        with pytest.raises(UpstreamBroke, match="leads to this machine"):  # not on a connection of others, either
            await client.ask("GET", url, (), b"", patience=Patience(), is_named=False)
        assert (reply.status, len(service.seen)) == (200, 1)


async def test_an_address_that_was_judged_as_what_it_is_is_asked() -> None:
    async with Scripted(answering(whole(b"{}"))) as service, UpstreamClient() as client:
        reply = await client.ask("GET", service.origin + "/", (), b"", patience=Patience(), is_named=False)
        reply.close()
    assert reply.status == 200
