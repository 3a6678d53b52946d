"""The parity matrix: what each rule is worth in each wire format, whole and streamed, at both doors.

The one place that says what is enforced and what is impossible. Tests run a scenario for each enforced cell
(tests/proxy/test_parity.py), and docs/reference/parity.md is written from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

FORMATS = {
    "chat": "OpenAI chat completions, and the servers that speak it",
    "Responses": "OpenAI Responses",
    "Messages": "Anthropic Messages",
    "Gemini": "Gemini generateContent and streamGenerateContent",
    "Interactions": "Gemini Interactions",
    "MCP": "MCP over streamable HTTP",
    "opaque": "plain HTTP tools: bytes that nobody here reads",
}
READINGS = ("whole", "streamed")
DOORS = {"base URL": "the agent was given a URL of the proxy", "HTTPS_PROXY": "TLS through the proxy door"}

RULES = {
    "tool refused by name": "A tool beyond `allowed_tools` is neither offered nor called.",
    "tool refused by arguments": "A call beyond `policies.tools.arguments` does not get through, and others do.",
    "approval asked": "A call waits until a person has allowed it.",
    "PII masked in request": "Personal data leaves as a pseudonym.",
    "PII restored in reply": "A pseudonym in a reply is its value again for the agent, in texts and in arguments.",
    "secret refused": "A request that holds a kind of `policies.redaction.refuse` does not leave.",
    "egress cut": "No more than `network_egress_limit_mb` moves; a reply in progress ends with an error.",
    "retry budget": "What has failed is sent again no more often than `max_retries`.",
    "spend budget": "Model calls go on only while the most that they can cost fits into `spend_limit_usd`.",
    "context budget": "A prompt is no larger than `context_limit_tokens`.",
}


@dataclass(frozen=True)
class Enforced:
    """A scenario proves it, in all four cells of the format: whole and streamed, at both doors."""


@dataclass(frozen=True)
class Impossible:
    reason: str


Outcome = Enforced | Impossible

YES = Enforced()
REAL_VALUES = Impossible(
    "A tool gets the values that the agent has: it could not work with pseudonyms. Its exchange is recorded masked, "
    "and what a model is told of it is masked there."
)
NO_PSEUDONYMS = Impossible("A tool never got a pseudonym, so its reply has none to restore.")
NO_TOKENS = Impossible("A tool has no tokens, and no price that anybody here knows.")
_ALL = dict.fromkeys(FORMATS, YES)
TABLE: dict[str, dict[str, Outcome]] = {
    "tool refused by name": {**_ALL},
    "tool refused by arguments": {**_ALL},
    "approval asked": {**_ALL},
    "PII masked in request": {**_ALL, "MCP": REAL_VALUES, "opaque": REAL_VALUES},
    "PII restored in reply": {**_ALL, "MCP": NO_PSEUDONYMS, "opaque": NO_PSEUDONYMS},
    "secret refused": {**_ALL},
    "egress cut": {**_ALL},
    "retry budget": {**_ALL},
    "spend budget": {**_ALL, "MCP": NO_TOKENS, "opaque": NO_TOKENS},
    "context budget": {**_ALL, "MCP": NO_TOKENS, "opaque": NO_TOKENS},
}


@dataclass(frozen=True)
class Cell:
    rule: str
    form: str
    reading: str
    door: str

    def __str__(self) -> str:
        return "-".join((self.rule, self.form, self.reading, self.door)).replace(" ", "_")

    @property
    def is_streamed(self) -> bool:
        return self.reading == "streamed"

    @property
    def outcome(self) -> Outcome | None:
        """None for a cell that nobody has thought of."""
        return TABLE.get(self.rule, {}).get(self.form)


def cells() -> Iterator[Cell]:
    return (Cell(*place) for place in product(RULES, FORMATS, READINGS, DOORS))
