"""Servers that re-enact the recorded MedAgentBench sweep: the seven models and the FHIR server, on loopback.

The model server is stateless: the row is chosen by the request's `model` and first user message, the turn by the number
of assistant messages. It answers only if the history it is sent is the recorded one, byte for byte (`strict`), so a run
that reaches its end has walked the recorded path. The id of each completion names row and turn; the agent sends it
along to the FHIR server as `x-replay-row`, which is how that server knows the row without knowing the model.

    python tests/support/medagent_servers.py        prints one line of JSON with the addresses; ends when stdin closes
"""

# ruff: noqa: T201  a command: printing is its output
from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
import tempfile
import urllib.parse
from collections import deque
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if __name__ == "__main__":  # run as a script: the repository's root is not on the path yet
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from policies.redaction.tokens import TOKEN
from tests.support import medagentbench as bench
from tests.support.medagent_agent import FINISH_HINT, GET_PREFIX, RECORDED_BASE, UNQUOTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

CHUNK_CHARACTERS = 24


class Exchange(NamedTuple):
    """One request and its reply as this server saw and sent them, bodies byte for byte."""

    method: str
    path: str
    request: bytes
    status: int
    reply: bytes


class LoopbackServer:
    """An aiohttp server on a free loopback port for the length of an `async with`. It remembers its `exchanges`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.exchanges: list[Exchange] = []
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self.port = 0

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    @property
    def origin(self) -> str:
        # over TLS by name: clients leave 127.0.0.1 out of proxying more often than localhost
        return f"https://localhost:{self.port}" if self._tls else f"http://127.0.0.1:{self.port}"

    def remember(self, request: web.Request, body: bytes, response: web.Response) -> web.Response:
        reply = response.body or b""
        assert isinstance(reply, bytes)
        self.exchanges.append(Exchange(request.method, request.raw_path, body, response.status, reply))
        return response

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.add_routes(self.routes())
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()


class ScriptedModels(LoopbackServer):
    """The seven models over OpenAI chat completions.

    `faults`: for a (task, turn), statuses answered before the recorded reply, each once. `empty_finish`: the finish
    reason of the empty completions; the recording says only "200 with no text and no tool calls". `hidden` are values
    that must not arrive: a pseudonym has to stand in place of each, the same for the same value, and replies speak
    of them by it. `requests` counts what arrived, `mismatches` says how a history was not the recorded one.
    """

    def __init__(
        self,
        *,
        strict: bool = True,
        empty_finish: str = "stop",
        faults: Mapping[tuple[str, int], Sequence[int]] | None = None,
        hidden: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._strict = strict
        self._empty_finish = empty_finish
        self._faults = {place: deque(statuses) for place, statuses in (faults or {}).items()}
        self._hidden = re.compile("|".join(map(re.escape, sorted(hidden, key=len, reverse=True)))) if hidden else None
        self.requests = 0
        self.mismatches: list[str] = []

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/chat/completions", self._complete)]

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        raw = await request.read()
        answer = self._answered(json.loads(raw))
        if isinstance(answer, web.Response):
            return self.remember(request, raw, answer)
        whole = b"".join(answer)
        self.exchanges.append(Exchange(request.method, request.raw_path, raw, 200, whole))
        return await _stream(request, answer)

    def _task_of(self, prompt: str) -> str | None:
        if self._hidden is not None:
            tasks = bench.task_of_prompt().items()
            return next((task for recorded, task in tasks if _is_masked(prompt, recorded, self._hidden, {})), None)
        found = bench.task_of_prompt().get(prompt)
        return found if found or self._strict else closest_task(prompt)

    def _answered(self, body: dict[str, Any]) -> web.Response | list[bytes]:
        """A whole reply, or the events of a stream."""
        messages = body["messages"]
        key = bench.model_key(body["model"])
        task = self._task_of(messages[0]["content"])
        if key is None or task is None:
            return _model_error(404, f"nothing recorded for model {body['model']!r} and this prompt")
        row = bench.row(key, task)
        turn = sum(message["role"] == "assistant" for message in messages)
        if faults := self._faults.get((task, turn)):
            return _model_error(faults.popleft(), "scripted fault")
        names: dict[str, str] = {}
        recorded = row.messages[: 2 * turn + 1]
        if self._strict and (difference := _difference(messages, recorded, self._hidden, names)):
            self.mismatches.append(f"{key} {task} turn {turn}: {difference}")
            return _model_error(409, f"not the recorded path: {difference}")
        if turn > len(row.turns) or (turn == len(row.turns) and not row.ends_empty):
            return _model_error(409, f"not the recorded path: it has {len(row.turns)} turns")
        text = row.turns[turn].reply if turn < len(row.turns) else ""
        for value, name in names.items():
            text = text.replace(value, name)
        completion = {
            "id": f"chatcmpl-{key}-{task}-{turn}",
            "created": 1786214400 + turn,
            "model": body["model"],
        }
        finish = "stop" if text else self._empty_finish
        usage = _usage(messages, text)
        if body.get("stream"):
            with_usage = (body.get("stream_options") or {}).get("include_usage", False)
            return _events(completion, text, finish, usage if with_usage else None)
        message = {"role": "assistant", "content": text or None, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return web.json_response({**completion, "object": "chat.completion", "choices": [choice], "usage": usage})


class ScriptedFhir(LoopbackServer):
    """The FHIR server: the recorded response of the row and turn that `x-replay-row` names.

    A request that is not the recorded one (method, raw path and query, JSON payload) is answered 409, which the agent
    cannot mistake for a recorded observation. `requests` lists (method, raw path, row) as they arrived.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls)
        self.requests: list[tuple[str, str, str]] = []

    @property
    def base_url(self) -> str:
        return f"{self.origin}/fhir"

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/fhir{resource:.*}", self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        return self.remember(request, body, self._answered(request, body))

    def _answered(self, request: web.Request, body: bytes) -> web.Response:
        place = request.headers.get("x-replay-row", "")
        self.requests.append((request.method, request.raw_path, place))
        try:
            _, key, task, number = place.split("-")
            turn = bench.row(key, task).turns[int(number)]
        except (ValueError, KeyError, IndexError, FileNotFoundError):
            return web.json_response({"error": f"no recorded row {place!r}"}, status=409)
        recorded = urllib.parse.quote((turn.url or "").replace(RECORDED_BASE, "/fhir", 1), safe=UNQUOTED)
        if request.method.lower() != turn.kind or request.raw_path != recorded:
            sent = f"{request.method} {request.raw_path}"
            return web.json_response({"error": f"recorded is {turn.kind} {recorded}, not {sent}"}, status=409)
        if turn.kind == "post":
            return _created(turn, body)
        return _found(turn)


def closest_task(prompt: str) -> str | None:
    """The task whose prompt shares the longest beginning and end with one that a policy has rewritten."""
    return max(bench.task_of_prompt().items(), key=lambda item: _shared(item[0], prompt))[1]


def make_certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server context for localhost and 127.0.0.1, and the self-signed certificate (PEM) that a client must trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "scripted FHIR server")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "fhir-ca.pem", folder / "fhir-key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    return context, certificate_file


def _difference(
    sent: list[dict[str, Any]], recorded: list[dict[str, str]], hidden: re.Pattern[str] | None, names: dict[str, str]
) -> str:
    """Empty if there is none. Fills `names` with the pseudonym of each hidden value."""
    if len(sent) != len(recorded):
        return f"{len(sent)} messages instead of {len(recorded)}"
    for number, (one, other) in enumerate(zip(sent, recorded, strict=True)):
        is_same = one["role"] == other["role"] and _is_masked(one["content"], other["content"], hidden, names)
        if not is_same:
            return f"message {number} is not the recorded one"
    return ""


def _is_masked(sent: str, recorded: str, hidden: re.Pattern[str] | None, names: dict[str, str]) -> bool:
    """Whether `sent` is `recorded` with one name of its own for each hidden value."""
    if hidden is None:
        return sent == recorded
    between = map(re.escape, hidden.split(recorded))
    found = re.fullmatch(f"({TOKEN.pattern})".join(between), sent)
    if found is None:
        return False
    pairs = list(zip(hidden.findall(recorded), found.groups(), strict=True))
    names.update(pairs)
    return all(names[value] == name for value, name in pairs) and len(set(names.values())) == len(names)


def _shared(one: str, other: str) -> int:
    """Characters that two texts share at their beginning and at their end."""

    def run(pairs: Iterator[tuple[str, str]]) -> int:
        return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))

    return run(zip(one, other, strict=False)) + run(zip(reversed(one), reversed(other), strict=False))


def _usage(messages: list[dict[str, Any]], text: str) -> dict[str, int]:
    prompt_tokens = sum(len(str(message["content"])) for message in messages) // 4
    completion_tokens = -(-len(text) // 4)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def _model_error(status: int, message: str) -> web.Response:
    kind = "rate_limit_error" if status == 429 else "invalid_request_error" if status < 500 else "server_error"
    headers = {"retry-after-ms": "1"} if status == 429 else {}
    error = {"message": message, "type": kind, "param": None, "code": None}
    return web.json_response({"error": error}, status=status, headers=headers)


def _events(completion: dict[str, Any], text: str, finish: str, usage: dict[str, int] | None) -> list[bytes]:
    pieces = [text[at : at + CHUNK_CHARACTERS] for at in range(0, len(text), CHUNK_CHARACTERS)]
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": piece}, None) for piece in pieces]
    deltas.append(({}, finish))
    events = []
    for delta, reason in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        events.append(_sse({**completion, "object": "chat.completion.chunk", "choices": [choice]}))
    if usage is not None:
        events.append(_sse({**completion, "object": "chat.completion.chunk", "choices": [], "usage": usage}))
    return [*events, b"data: [DONE]\n\n"]


async def _stream(request: web.Request, events: list[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for event in events:
        await response.write(event)
    await response.write_eof()
    return response


def _sse(chunk: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(chunk, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


def _created(turn: bench.Turn, body: bytes) -> web.Response:
    if json.loads(body) != turn.payload:
        return web.json_response({"error": "not the recorded payload"}, status=409)
    created = json.dumps({**turn.payload, "id": "created"})
    return web.Response(text=created, status=201, content_type="application/fhir+json")


def _found(turn: bench.Turn) -> web.Response:
    observation = turn.observation or ""
    if not observation.startswith(GET_PREFIX):  # recorded as "Error in sending the GET request: 400 ..."
        status = int(observation.removeprefix("Error in sending the GET request: ").split()[0])
        return web.json_response({"resourceType": "OperationOutcome"}, status=status)
    text = observation.removeprefix(GET_PREFIX).removesuffix(FINISH_HINT)
    return web.Response(text=text, content_type="application/fhir+json", charset="utf-8")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tls, ca = make_certificate(Path(folder))
        async with ScriptedModels() as models, ScriptedFhir() as plain, ScriptedFhir(tls=tls) as secure:
            addresses = {
                "models": models.base_url,
                "fhir": plain.base_url,
                "fhir_https": secure.base_url,
                "ca": str(ca),
            }
            print(json.dumps(addresses), flush=True)
            await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(main())
