"""The agent of the MedAgentBench sweep: one GET, POST or FINISH a reply.

    python -S -E tests/support/medagent_agent.py --task task1_1

Environment: MEDAGENT_CARDS (a folder that `medagentbench.write_cards` filled: what the task asks, and how),
MEDAGENT_MODEL, OPENAI_BASE_URL, OPENAI_API_KEY, FHIR_BASE (the FHIR server; else IRONCAGE_URL_FHIR, which
`ironcage run` sets for an upstream named fhir), FHIR_HTTPS_BASE (the same over TLS, used by half of the tasks and
reached through HTTPS_PROXY if that is set), FHIR_HTTP_BASE (the same without TLS, used by half of those if it is set).

Every ninth task is asked for with the official `openai` client, the others with sockets. The test starts 175 of these,
so that what an agent imports is most of what it costs: 40 ms for most, 65 ms for those that go through a proxy, 370 ms
with the official client. Which task uses which is the same for each model.

Prints one line of JSON with the SHA-256 of each reply and observation (the path it walked, without a patient's data),
then the final answer.
Exit codes: 0 finished, 4 a reply that is none of the three actions, 5 an empty completion twice, 6 too many rounds.
"""

# ruff: noqa: T201  a command: printing is its output
from __future__ import annotations

import hashlib
import json
import os
import sys
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
if __name__ == "__main__":  # run as a script: the repository's root is not on the path yet
    sys.path[0] = ROOT

from tests.support import plain_http  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Any, Literal, Protocol

    from openai import OpenAI

    Status = Literal["completed", "agent_invalid_action", "empty_completion", "too_many_rounds"]

    class Send(Protocol):
        def __call__(
            self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
        ) -> tuple[int, bytes]: ...


EXIT_CODES: dict[Status, int] = {
    "completed": 0,
    "agent_invalid_action": 4,
    "empty_completion": 5,
    "too_many_rounds": 6,
}
RECORDED_BASE = "http://localhost:8090/fhir"
MAX_ROUNDS = 8
MAX_TOKENS = 1024
GET_PREFIX = "Here is the response from the GET request:\n"
FINISH_HINT = ". Please call FINISH if you have got answers for all the questions and finished all the requested tasks"
# Quoted as the recording's HTTP client quoted: what is legal in a URL stays as the model wrote it.
UNQUOTED = "!#$%&'()*+,/:;=?@[]~"


class Episode:
    """What one run of the agent was, in the recording's terms."""

    def __init__(self) -> None:
        self.status: Status = "too_many_rounds"
        self.answer: str | None = None
        self.replies: list[str] = []
        self.observations: list[str] = []


def digest(text: str) -> str:
    """What stands for a reply or an observation where its text must not stand."""
    return hashlib.sha256(text.encode()).hexdigest()


def by_urllib(tls: ssl.SSLContext | None = None) -> Send:
    """Requests through the proxy that the environment names. `tls` None: the default trust store (SSL_CERT_FILE)."""
    import urllib.error
    import urllib.request

    def send(method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int, bytes]:
        request = urllib.request.Request(url, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=plain_http.TIMEOUT_S, context=tls) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    return send


class Fhir:
    """The FHIR server as the agent reaches it."""

    def __init__(self, base: str, send: Send = plain_http.send) -> None:
        self._base, self._send = base.rstrip("/"), send

    def get(self, url: str, completion_id: str) -> str:
        if not url.lower().startswith("http"):
            return f"Error in sending the GET request: {unsendable(url)}"
        status, body = self._send("GET", self._address(url), {"x-replay-row": completion_id})
        if status >= 400:
            kind = "Client" if status < 500 else "Server"
            # the recorded server gave no reason phrase, hence the two spaces
            return f"Error in sending the GET request: {status} {kind} Error:  for url: {url}"
        return f"{GET_PREFIX}{body.decode('utf-8')}{FINISH_HINT}"

    def post(self, url: str, payload: Any, completion_id: str) -> str:
        headers = {"content-type": "application/fhir+json", "x-replay-row": completion_id}
        status, _ = self._send("POST", self._address(url), headers, json.dumps(payload).encode())
        if status >= 400:
            return f"Error in sending the POST request: {status}"
        return f"POST request accepted and executed successfully{FINISH_HINT}"

    def _address(self, url: str) -> str:
        return urllib.parse.quote(url.replace(RECORDED_BASE, self._base, 1), safe=UNQUOTED)


def unsendable(url: str) -> str:
    """What the recording's HTTP client said of a URL without http: two wordings, by whether it has a colon."""
    if ":" in url:
        return f"No connection adapters were found for {url!r}"
    return f"Invalid URL {url!r}: No scheme supplied. Perhaps you meant https://{url}?"


class PlainClient:
    """Chat completions without an SDK. It tries nothing again: the recorded sweep has no failed request."""

    def __init__(self, base_url: str, key: str) -> None:
        self._address = f"{base_url}/chat/completions"
        self._headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}

    def ask(self, request: dict[str, Any]) -> tuple[str, str]:
        status, body = plain_http.send("POST", self._address, self._headers, json.dumps(request).encode())
        if status != 200:
            raise SystemExit(f"the model answered {status}: {body.decode()[:300]}")
        if not request.get("stream"):
            whole = json.loads(body)
            return whole["id"], whole["choices"][0]["message"].get("content") or ""
        events = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
        chunks = [json.loads(event) for event in events if event != "[DONE]"]
        texts = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
        return chunks[-1]["id"], "".join(texts)


def run_task(client: OpenAI | PlainClient, model: str, prompt: str, fhir: Fhir, *, stream: bool) -> Episode:
    """The agent's loop, at most eight rounds. Errors of the client's API are the caller's."""
    messages: list[dict[str, str]] = [{"role": "user", "content": prompt}]
    episode = Episode()
    for _ in range(MAX_ROUNDS):
        for _attempt in range(2):
            completion_id, reply = ask(client, model, messages, stream=stream)
            if reply.strip():
                break
        else:
            episode.status = "empty_completion"
            return episode
        episode.replies.append(reply)
        messages.append({"role": "assistant", "content": reply})
        observation = act(reply, fhir, completion_id, episode)
        if observation is None:
            return episode
        episode.observations.append(observation)
        messages.append({"role": "user", "content": observation})
    return episode


def ask(client: OpenAI | PlainClient, model: str, messages: list[dict[str, str]], *, stream: bool) -> tuple[str, str]:
    """The completion's id and its text, empty where there was none."""
    request: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": MAX_TOKENS}
    if isinstance(client, PlainClient):
        return client.ask({**request, "stream": True, "stream_options": {"include_usage": True}} if stream else request)
    if not stream:
        whole = client.chat.completions.create(**request)
        return whole.id, whole.choices[0].message.content or ""
    completion_id, parts = "", []
    for chunk in client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}):
        completion_id = chunk.id
        parts += [choice.delta.content for choice in chunk.choices if choice.delta.content]
    return completion_id, "".join(parts)


def act(reply: str, fhir: Fhir, completion_id: str, episode: Episode) -> str | None:
    """The observation that the action leads to; None where the episode is over."""
    action = reply.strip().replace("```tool_code", "").replace("```", "").strip()
    if action.startswith("GET"):
        return fhir.get(action[3:].strip() + "&_format=json", completion_id)
    if action.startswith("POST"):
        url, _, body = action.partition("\n")
        try:
            payload = json.loads(body)
        except ValueError:
            return "Invalid POST request"
        return fhir.post(url[4:].strip(), payload, completion_id)
    if action.startswith("FINISH("):
        episode.status, episode.answer = "completed", action
    else:
        episode.status = "agent_invalid_action"
    return None


def fhir_from_environment(card: dict[str, Any]) -> Fhir:
    if card["through_proxy"] and os.environ.get("FHIR_HTTPS_BASE"):
        plain = os.environ.get("FHIR_HTTP_BASE", "")
        return Fhir(plain if plain and not card["over_tls"] else os.environ["FHIR_HTTPS_BASE"], by_urllib())
    return Fhir(os.environ.get("FHIR_BASE") or os.environ["IRONCAGE_URL_FHIR"])


def client_for(card: dict[str, Any]) -> OpenAI | PlainClient:
    if not card["official_client"]:
        return PlainClient(os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"])
    import site

    site.main()  # what -S left out: the folder of installed packages
    sys.path.insert(1, f"{ROOT}/examples/support_desk")
    import lean_openai  # type: ignore[import-not-found]  # an example's module, not a package's

    official: OpenAI = lean_openai.load().OpenAI()
    return official


def main() -> int:
    flag, task = sys.argv[1:]
    assert flag == "--task"
    with open(f"{os.environ['MEDAGENT_CARDS']}/{task}.json", encoding="utf-8") as file:  # noqa: PTH123
        card = json.load(file)
    model = os.environ.get("MEDAGENT_MODEL", "claude-fable-5")
    episode = run_task(client_for(card), model, card["prompt"], fhir_from_environment(card), stream=card["stream"])
    print(json.dumps({name: [digest(text) for text in getattr(episode, name)] for name in ("replies", "observations")}))
    if episode.status == "empty_completion":
        print("empty completion twice: HTTP 200 with no text and no tool call", file=sys.stderr)
    elif episode.status == "agent_invalid_action":
        print(f"no GET, POST or FINISH in the reply: {episode.replies[-1][:80]!r}", file=sys.stderr)
    print(episode.answer or episode.status)
    return EXIT_CODES[episode.status]


if __name__ == "__main__":
    sys.exit(main())
