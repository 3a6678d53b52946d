"""Bad configurations, bad requests, bad upstreams: a clear error, the right record, and the proxy serves on."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import openai
import pytest
from yarl import URL

from tests.support.command_line import CommandLine
from tests.support.house import free_ports, ironcage
from tests.support.medagent_world import client_of
from tests.support.unruly import Unruly

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.house import House, StartHouse

pytestmark = pytest.mark.acceptance

BAD_FILES: dict[str, tuple[str | bytes, tuple[str, str]]] = {
    "unknown key": (
        "listen: 127.0.0.1:8800\nupstream:\n  openai: {base_url: https://api.openai.com}\n",
        ("ironcage.yaml:2:1: upstream: unknown key", 'did you mean "upstreams"?'),
    ),
    "key in the wrong place": (
        "upstreams:\n  openai: {base_url: https://api.openai.com}\nmax_retries: 3\n",
        ("ironcage.yaml:3:1: max_retries: unknown key", "belongs under"),
    ),
    "key twice": ("store: sqlite:///a.db\nstore: sqlite:///b.db\n", ("ironcage.yaml:2:1: store", "")),
    "wrong value": (
        "constraints:\n  constraints:\n    max_retries: many\n",
        ("ironcage.yaml:3:18: constraints.constraints.max_retries", ""),
    ),
    "no YAML": ("listen: [\n", ("ironcage.yaml:2", "")),
    "no UTF-8": (b"# \xff\n", ("ironcage.yaml:1:3: not UTF-8", "save the file in UTF-8")),
    "a number for text": ("listen: 8800\n", ("ironcage.yaml:1:9: listen: should be text", "")),
    "no such constraints": ("constraints: missing.json\n", ("missing.json: cannot be read", "check the path")),
}


@pytest.fixture
def serve_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """`ironcage serve` in this process: what it does before it serves."""
    monkeypatch.chdir(tmp_path)
    return CommandLine(tmp_path, capsys)


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_configuration_is_told_with_line_key_and_hint(serve_here: CommandLine, name: str) -> None:
    text, (said, hint) = BAD_FILES[name]
    serve_here.file.write_bytes(text if isinstance(text, bytes) else text.encode())
    printed = serve_here("serve")
    assert (printed.code, printed.out) == (2, "")
    assert said in printed.err
    assert hint in printed.err
    assert printed.err.startswith("ironcage: ")
    assert "Traceback" not in printed.err


async def test_a_configuration_that_is_not_there_is_told(tmp_path: Path) -> None:
    finished = await ironcage("-c", "other.yaml", "serve", cwd=tmp_path)
    assert (finished.code, finished.out) == (2, "")
    assert finished.err == "ironcage: other.yaml: no such file\n  write one with: ironcage init\n"


async def test_an_address_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "ironcage.yaml").write_text("listen: '8800'\n", encoding="utf-8")
    finished = await ironcage("serve", cwd=tmp_path)
    assert (finished.code, finished.out) == (2, "")
    assert finished.err == "ironcage: listen: '8800' is not host:port\n  for example 127.0.0.1:8800\n"


@pytest.mark.parametrize("key", ["listen", "admin_listen", "forward_listen"])
async def test_a_port_in_use_is_told(tmp_path: Path, key: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        free = dict(zip(("listen", "admin_listen", "forward_listen"), free_ports(3), strict=True))
        settings = {name: f"127.0.0.1:{number}" for name, number in (free | {key: port}).items()}
        (tmp_path / "ironcage.yaml").write_text(json.dumps(settings), encoding="utf-8")
        finished = await ironcage("serve", cwd=tmp_path)
    assert finished.code == 2
    what, hint = finished.err.strip().splitlines()[-2:]
    assert f"127.0.0.1:{port}" in what
    assert "address already in use" in what.lower()
    assert "choose another" in hint


@dataclass(frozen=True)
class Case:
    """What an upstream does; what the client is told; what is recorded."""

    upstream: str
    model: str
    streams: tuple[bool, ...]
    status: int | None
    """None: the reply was under way and fails with an error event."""
    code: str
    end: str
    error: str


BOTH = (False, True)
CASES = (
    Case("closed", "good", BOTH, 502, "upstream_unreachable", "failed", "unreachable: "),
    Case("unruly", "stalls", BOTH, 504, "upstream_timeout", "failed", "timeout: "),
    Case("unruly", "stalls-within", (False,), 504, "upstream_timeout", "failed", "timeout: "),
    Case("unruly", "stalls-within", (True,), None, "upstream_timeout", "cut", "timeout: "),
    Case("unruly", "resets", BOTH, 502, "upstream_reset", "failed", "reset: "),
    Case("unruly", "resets-within", (False,), 502, "upstream_reset", "failed", "reset: "),
    Case("unruly", "resets-within", (True,), None, "upstream_reset", "cut", "reset: "),
    Case("unruly", "ends-early", (False,), 502, "upstream_reset", "failed", "reset: "),
    Case("unruly", "stalls-within-chunk", (True,), None, "upstream_timeout", "cut", "timeout: "),
    Case("unruly", "ends-within-chunk", (True,), None, "upstream_reset", "cut", "reset: "),
    Case("unruly", "broken-events", (True,), None, "upstream_unreadable", "cut", "upstream_unreadable: "),
    Case("unruly", "html", BOTH, 502, "upstream_unreadable", "failed", "upstream_unreadable: "),
    Case("unruly", "no-http", BOTH, 502, "upstream_reset", "failed", "reset: "),
    Case("unruly", "no-completion", BOTH, 502, "upstream_unreadable", "failed", "upstream_unreadable: "),
)


async def test_an_upstream_that_misbehaves_is_a_native_error_and_a_recorded_attempt(start_house: StartHouse) -> None:
    async with Unruly() as unruly:
        house = await start_house(upstreams=upstreams(unruly), forward_listen=None)
        for case in CASES:
            for stream in case.streams:
                name = f"{case.upstream}-{case.model}-{'stream' if stream else 'whole'}"
                error = await asyncio.to_thread(fail, house, case, stream, name)
                assert error.code == case.code, name
                assert getattr(error, "status_code", None) == case.status, name
                (attempt,) = attempts(await house.kept(name))
                assert (attempt["end"], attempt["streamed"]) == (case.end, stream), name
                assert attempt["error"].startswith(case.error), name
                assert not attempt["verdicts"], "nobody refused it"
        for stream in BOTH:
            assert await asyncio.to_thread(ask, house, "unruly", "good", f"after-{stream}", stream) == "fine"
            (attempt,) = attempts(await house.kept(f"after-{stream}"))
            assert (attempt["end"], attempt["status"], attempt["error"]) == ("complete", 200, None)


async def test_a_stream_that_ends_without_saying_so_is_recorded_as_cut(start_house: StartHouse) -> None:
    """The client sees what it would have seen without a proxy; the record says that the reply was not whole."""
    async with Unruly() as unruly:
        house = await start_house(upstreams=upstreams(unruly), forward_listen=None)
        assert await asyncio.to_thread(ask, house, "unruly", "ends-early", "early", True) == "fi"
        (attempt,) = attempts(await house.kept("early"))
        assert (attempt["end"], attempt["status"]) == ("cut", 200)


async def test_a_tool_that_misbehaves_is_an_error_and_a_recorded_attempt(start_house: StartHouse) -> None:
    async with Unruly() as unruly, aiohttp.ClientSession() as http:
        house = await start_house(upstreams=upstreams(unruly), forward_listen=None)
        for upstream, path, status, code in (
            ("closed-tool", "good", 502, "upstream_unreachable"),
            ("tool", "stalls", 504, "upstream_timeout"),
            ("tool", "resets", 502, "upstream_reset"),
            ("tool", "ends-early", 502, "upstream_reset"),
            ("tool", "no-http", 502, "upstream_reset"),
        ):
            session = f"{upstream}-{path}"
            async with http.post(f"{house.base(upstream, session)}/{path}", json={}) as reply:
                assert reply.status == status, session
                assert (await reply.json())["error"]["code"] == code, session
            (attempt,) = attempts(await house.kept(session))
            assert (attempt["end"], attempt["tool"]["name"]) == ("failed", path)
        async with http.post(f"{house.base('tool', 'html')}/html", json={}) as reply:
            assert (reply.status, await reply.text()) == (200, "<html><body>Please sign in</body></html>")


REQUESTS: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"model=good&messages=hello", "not a JSON object"),
    "no object": (b'["model", "good"]', "not a JSON object"),
    "half an object": (b'{"model": "good", "messages": [', "not a JSON object"),
    "no UTF-8": (b'{"model": "good", "messages": [{"role": "user", "content": "\xff"}]}', ""),
    "a key twice": (b'{"model": "good", "messages": [], "model": "other"}', "twice"),
    "a key twice within": (b'{"model": "good", "messages": [{"role": "user", "role": "system", "content": ""}]}', ""),
    "no messages": (b'{"model": "good"}', ""),
}


async def test_a_request_that_cannot_be_judged_never_reaches_the_upstream(start_house: StartHouse) -> None:
    async with Unruly() as unruly, aiohttp.ClientSession() as http:
        house = await start_house(upstreams=upstreams(unruly), forward_listen=None, max_body_bytes=4096)
        for name, (body, said) in REQUESTS.items():
            session = name.replace(" ", "-")
            url = f"{house.base('unruly', session)}/v1/chat/completions"
            async with http.post(url, data=body, headers={"content-type": "application/json"}) as reply:
                error = (await reply.json())["error"]
                assert (reply.status, error["code"]) == (400, "unreadable_body"), name
                assert reply.headers["x-ironcage-refusal"] == "unreadable_body"
                assert said in error["message"], name
            (attempt,) = attempts(await house.kept(session))
            assert (attempt["end"], attempt["status"]) == ("refused", 400)
            assert [verdict["code"] for verdict in attempt["verdicts"]] == ["unreadable_body"]
        large = {"model": "good", "messages": [{"role": "user", "content": "x" * 5000}]}
        async with http.post(f"{house.base('unruly', 'large')}/v1/chat/completions", json=large) as reply:
            assert reply.status == 413
            assert "4096" in (await reply.json())["error"]["message"]
        assert unruly.asked == 0
        assert await asyncio.to_thread(ask, house, "unruly", "good", "after", False) == "fine"


async def test_places_that_are_not_served_are_refused_and_recorded(start_house: StartHouse) -> None:
    async with Unruly() as unruly, aiohttp.ClientSession() as http:
        house = await start_house(upstreams=upstreams(unruly), forward_listen=None)
        for session, path, said in (
            ("unknown", "nowhere/v1/chat/completions", "/unruly"),
            ("files", "unruly/v1/files", "allow_paths"),
            ("dots", "unruly/v1/chat/%2e%2e/files", "segments"),
        ):
            url = f"{house.url}/s/{session}/{path}"
            async with http.post(URL(url, encoded=True), json={"model": "good"}) as reply:
                error = (await reply.json())["error"]
                assert (reply.status, error["code"]) == (400, "route_refused"), session
                assert said in error["message"], session
                assert reply.headers["x-should-retry"] == "false"
        async with http.get(
            f"{house.base('unruly', 'socket')}/v1/realtime",
            headers={"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"},
        ) as reply:
            assert reply.status == 426
            assert "HTTP" in (await reply.json())["error"]["message"]
        assert unruly.asked == 0
        for session in ("unknown", "files", "dots"):
            (attempt,) = attempts(await house.kept(session))
            assert (attempt["end"], [v["code"] for v in attempt["verdicts"]]) == ("refused", ["route_refused"])
        assert await asyncio.to_thread(ask, house, "unruly", "good", "after", True) == "fine"


def upstreams(unruly: Unruly) -> dict[str, Any]:
    closed = f"http://127.0.0.1:{free_ports(1)[0]}"
    return {
        "unruly": {"base_url": unruly.origin, "idle_timeout_s": 0.3},
        "tool": {"base_url": unruly.origin, "kind": "tool", "idle_timeout_s": 0.3},
        "closed": {"base_url": closed},
        "closed-tool": {"base_url": closed, "kind": "tool"},
    }


def attempts(shown: dict[str, Any]) -> list[dict[str, Any]]:
    return [attempt for step in shown["steps"] for attempt in step["attempts"]]


def ask(house: House, upstream: str, model: str, session: str, stream: bool) -> str:
    """What the model said, by the official client without retries."""
    request: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    with client_of(house, session, max_retries=0).with_options(
        base_url=f"{house.base(upstream, session)}/v1"
    ) as client:
        if not stream:
            return client.chat.completions.create(**request).choices[0].message.content or ""
        chunks = client.chat.completions.create(**request, stream=True)
        return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def fail(house: House, case: Case, stream: bool, session: str) -> openai.APIError:
    try:
        said = ask(house, case.upstream, case.model, session, stream)
    except openai.APIError as error:
        return error
    pytest.fail(f"{session} was answered {said!r}")
