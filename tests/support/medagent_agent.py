"""The agent of the MedAgentBench sweep: one GET, POST or FINISH a reply.

    python tests/support/medagent_agent.py --task task1_1

Environment: OPENAI_BASE_URL, OPENAI_API_KEY, MEDAGENT_MODEL, FHIR_BASE (the FHIR server; else IRONCAGE_URL_FHIR,
which `ironcage run` sets for an upstream named fhir), FHIR_HTTPS_BASE (the same over TLS, used by half of the tasks and
reached through HTTPS_PROXY if that is set), FHIR_HTTP_BASE (the same without TLS, used by half of those if it is set).

Every ninth task is asked for with the official `openai` client, the others with the standard library: loading that
client takes four times as long as all else that a run does. Which task uses which is the same for each model.

Prints one line of JSON with the SHA-256 of each reply and observation (the path it walked, without a patient's data),
then the final answer.
Exit codes: 0 finished, 4 a reply that is none of the three actions, 5 an empty completion twice, 6 too many rounds.
"""

# ruff: noqa: T201  a command: printing is its output
from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":  # run as a script: the repository's root is not on the path yet
    sys.path[0] = str(ROOT)

from tests.support import medagentbench as bench  # noqa: E402

if TYPE_CHECKING:
    import ssl

    from openai import OpenAI

Status = Literal["completed", "agent_invalid_action", "empty_completion", "too_many_rounds"]
EXIT_CODES: dict[Status, int] = {
    "completed": 0,
    "agent_invalid_action": 4,
    "empty_completion": 5,
    "too_many_rounds": 6,
}
# Quoted as the recording's HTTP client quoted: what is legal in a URL stays as the model wrote it.
UNQUOTED = "!#$%&'()*+,/:;=?@[]~"


@dataclass
class Episode:
    """What one run of the agent was, in the recording's terms."""

    task: str
    status: Status = "too_many_rounds"
    answer: str | None = None
    replies: list[str] = field(default_factory=list)
    observations: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Fhir:
    """The FHIR server as the agent reaches it. `tls` None: the default trust store (SSL_CERT_FILE)."""

    base: str
    tls: ssl.SSLContext | None = None

    def get(self, url: str, completion_id: str) -> str:
        if not url.lower().startswith("http"):
            return f"Error in sending the GET request: {unsendable(url)}"
        request = urllib.request.Request(self._address(url), headers={"x-replay-row": completion_id})
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.tls) as reply:
                text = reply.read().decode("utf-8")
        except urllib.error.HTTPError as error:
            with error:
                error.read()
            kind = "Client" if error.code < 500 else "Server"
            # the recorded server gave no reason phrase, hence the two spaces
            return f"Error in sending the GET request: {error.code} {kind} Error:  for url: {url}"
        return f"{bench.GET_PREFIX}{text}{bench.FINISH_HINT}"

    def post(self, url: str, payload: Any, completion_id: str) -> str:
        headers = {"content-type": "application/fhir+json", "x-replay-row": completion_id}
        request = urllib.request.Request(self._address(url), json.dumps(payload).encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.tls) as reply:
                reply.read()
        except urllib.error.HTTPError as error:
            with error:
                error.read()
            return f"Error in sending the POST request: {error.code}"
        return f"POST request accepted and executed successfully{bench.FINISH_HINT}"

    def _address(self, url: str) -> str:
        return urllib.parse.quote(url.replace(bench.RECORDED_BASE, self.base.rstrip("/"), 1), safe=UNQUOTED)


def unsendable(url: str) -> str:
    """What the recording's HTTP client said of a URL without http: two wordings, by whether it has a colon."""
    if ":" in url:
        return f"No connection adapters were found for {url!r}"
    return f"Invalid URL {url!r}: No scheme supplied. Perhaps you meant https://{url}?"


@dataclass(frozen=True)
class PlainClient:
    """Chat completions by the standard library. It tries nothing again: the recorded sweep has no failed request."""

    base_url: str
    key: str

    def ask(self, request: dict[str, Any]) -> tuple[str, str]:
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
        address = f"{self.base_url}/chat/completions"
        with urllib.request.urlopen(urllib.request.Request(address, json.dumps(request).encode(), headers)) as reply:
            if not request.get("stream"):
                whole = json.loads(reply.read())
                return whole["id"], whole["choices"][0]["message"].get("content") or ""
            events = [line[6:] for line in reply.read().decode().splitlines() if line.startswith("data: ")]
        chunks = [json.loads(event) for event in events if event != "[DONE]"]
        texts = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
        return chunks[-1]["id"], "".join(texts)


def run_task(client: OpenAI | PlainClient, model: str, task: str, fhir: Fhir, *, stream: bool) -> Episode:
    """The agent's loop, at most eight rounds. Errors of the client's API are the caller's."""
    prompt = bench.row("opus5", task).prompt
    messages: list[dict[str, str]] = [{"role": "user", "content": prompt}]
    episode = Episode(task)
    for _ in range(bench.MAX_ROUNDS):
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
    request: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": bench.MAX_TOKENS}
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


def fhir_from_environment(task: str) -> Fhir:
    if bench.through_proxy(task) and os.environ.get("FHIR_HTTPS_BASE"):
        plain = os.environ.get("FHIR_HTTP_BASE", "")
        return Fhir(plain if plain and not bench.over_tls(task) else os.environ["FHIR_HTTPS_BASE"])
    return Fhir(os.environ.get("FHIR_BASE") or os.environ["IRONCAGE_URL_FHIR"])


def client_for(task: str) -> OpenAI | PlainClient:
    if bench.tasks().index(task) % 9:  # of the three that are left, one is streamed
        return PlainClient(os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"])
    sys.path.insert(1, str(ROOT / "examples" / "support_desk"))
    import lean_openai  # type: ignore[import-not-found]  # an example's module, not a package's

    official: OpenAI = lean_openai.load().OpenAI()
    return official


def main() -> int:
    parser = argparse.ArgumentParser(description="Run one MedAgentBench task.")
    parser.add_argument("--task", required=True, choices=bench.tasks())
    task = parser.parse_args().task
    client = client_for(task)
    model = os.environ.get("MEDAGENT_MODEL", bench.MODELS["fable5"])
    episode = run_task(client, model, task, fhir_from_environment(task), stream=bench.streams(task))
    print(
        json.dumps(
            {name: [bench.digest(text) for text in getattr(episode, name)] for name in ("replies", "observations")}
        )
    )
    if episode.status == "empty_completion":
        print("empty completion twice: HTTP 200 with no text and no tool call", file=sys.stderr)
    elif episode.status == "agent_invalid_action":
        print(f"no GET, POST or FINISH in the reply: {episode.replies[-1][:80]!r}", file=sys.stderr)
    print(episode.answer or episode.status)
    return EXIT_CODES[episode.status]


if __name__ == "__main__":
    sys.exit(main())
