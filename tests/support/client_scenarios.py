"""What official clients live through, in one table for every format, language and library.

A cell is a scenario in one dialect, whole or streamed. Its name stands in every text that its client sends, so that
one scripted model serves all cells at once and knows which of them is asking.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tests.support.dialects import DIALECTS, Call, Says
from tests.support.scripted_model import Answer

PERSON = "jane.roe@clinic-example.org"
LIMITED = None
"""In the place of a turn: a 429."""

SETTINGS: dict[str, dict[str, Any]] = {
    "rules": {
        "constraints": {"allowed_tools": ["weather", "mail"], "max_retries": 1},
        "policies": {"redaction": {"types": ["EMAIL"]}},
    },
    "last words": {
        "constraints": {"max_retries": 0},
        "policies": {"retries": {"on_exhausted": "final_message"}},
    },
    "small": {"constraints": {"network_egress_limit_mb": 0.006}},
}
_TOOLS = {"weather": "city", "mail": "to", "delete_all": "where"}
_OSLO, _ROME = Call("weather", {"city": "Oslo"}), Call("weather", {"city": "Rome"})
_MAIL = Call("mail", {"to": PERSON})


@dataclass(frozen=True)
class Scenario:
    """`model` are the turns that the model says, PERSON standing for whatever name it was told.

    `seen` are the turns that the client must see: a pattern of the text, and the calls. `error` is a pattern of what
    the client must raise in the end. `ends` are those of the recorded attempts: a client that asked again shows there.
    """

    prompt: str
    model: tuple[Says | None, ...]
    seen: tuple[tuple[str, tuple[Call, ...]], ...]
    ends: tuple[str, ...] = ("complete",)
    asked: int = 0
    """How often the model is; as often as there are attempts if 0."""
    error: str = ""
    settings: str = "rules"
    tools: tuple[str, ...] = ("weather", "mail")
    untouched: bool = False
    """No rule has anything to say: client and model must not notice that a gateway is between them."""
    modes: tuple[bool, ...] = (False, True)


SCENARIOS = {
    "text": Scenario("Say hello.", (Says("Hello there, agent."),), (("Hello there, agent.", ()),), untouched=True),
    "call": Scenario(
        "Weather in Oslo?",
        (Says("Let me look.", (_OSLO,)), Says("4 degrees.")),
        (("Let me look.", (_OSLO,)), ("4 degrees.", ())),
        ("complete", "complete"),
        untouched=True,
    ),
    "parallel": Scenario(
        "Weather in Oslo and Rome?",
        (Says(calls=(_OSLO, _ROME), thought="two cities"), Says("Oslo 4, Rome 19.")),
        (("", (_OSLO, _ROME)), ("Oslo 4, Rome 19.", ())),
        ("complete", "complete"),
        untouched=True,
    ),
    "refused": Scenario(
        "Tidy up.",
        (Says("Well.", (Call("delete_all", {"where": "/"}), _OSLO)), Says("Done.")),
        ((r'Well\..*"delete_all" was called, and it is not on the allowlist.*', (_OSLO,)), ("Done.", ())),
        ("complete", "complete"),
        tools=("weather", "delete_all"),
    ),
    "masked": Scenario(
        f"Write to {PERSON} please",
        (Says(f"To {PERSON}.", (_MAIL,)), Says(f"Sent to {PERSON}.")),
        ((rf"To {PERSON}\.", (_MAIL,)), (rf"Sent to {PERSON}\.", ())),
        ("complete", "complete"),
    ),
    "limited": Scenario("Go.", (LIMITED, Says("Fine.")), (("Fine.", ()),), ("failed", "complete")),
    "spent": Scenario(
        "Go.", (LIMITED,) * 9, (), ("failed", "failed", "refused"), 2, "retry budget of this trajectory is spent"
    ),
    "stopped": Scenario(
        "Go.", (LIMITED,) * 9, ((".*retries were made.*", ()),), ("failed", "refused"), 1,
        settings="last words",
    ),
    "cut": Scenario(
        "Go on.", (Says("word " * 150),), (), ("refused",), 1, "egress budget", settings="small", modes=(True,)
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    dialect: str
    name_of_scenario: str
    streamed: bool

    @property
    def scenario(self) -> Scenario:
        return SCENARIOS[self.name_of_scenario]

    @property
    def session(self) -> str:
        """As the client's base URL has it; none where the gateway is to find out by itself what belongs together."""
        return "" if self.scenario.untouched else self.name

    @property
    def name(self) -> str:
        return f"{self.dialect}.{self.name_of_scenario}.{'streamed' if self.streamed else 'whole'}"

    def told(self, origin: str) -> dict[str, Any]:
        """What a client is told of it; the same for all, so that node gets it as JSON."""
        parameters = {name: {"type": "object", "properties": {of: {"type": "string"}}, "required": [of],
                             "additionalProperties": False} for name, of in _TOOLS.items()}  # fmt: skip
        return {
            "cell": self.name,
            "dialect": self.dialect,
            "base_url": origin + DIALECTS[self.dialect].path,
            "streamed": self.streamed,
            "prompt": f"[{self.name}] {self.scenario.prompt}",
            "tools": [{"name": name, "parameters": parameters[name]} for name in self.scenario.tools],
        }


def cells(dialects: Iterable[str]) -> Iterator[Cell]:
    for dialect in dialects:
        for name, scenario in SCENARIOS.items():
            yield from (Cell(dialect, name, streamed) for streamed in scenario.modes)


@dataclass
class ActingModel:
    """Says each cell's turns in order, and again from the first; `asked` are the bodies of each cell."""

    asked: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    def __call__(self, request: dict[str, Any]) -> Answer:
        body = json.dumps(request)
        found = re.search(r"\[(\w+)\.(\w+)\.(\w+)\]", body)
        assert found is not None, body
        cell = Cell(found[1], found[2], found[3] == "streamed")
        dialect, bodies = DIALECTS[cell.dialect], self.asked[cell.name]
        bodies.append(body.encode())
        turn = (len(bodies) - 1) % len(cell.scenario.model)
        said = cell.scenario.model[turn]
        if said is LIMITED:
            return dialect.slow_down()
        person = re.search(r"(?:Write to|to: )\s*(\S+?)[ \"\\]", body)
        said = _named(replace(said, key=f"{cell.name}.{turn}"), person[1] if person else PERSON)
        return dialect.answer(said, streamed=cell.streamed)


def _named(said: Says, person: str) -> Says:
    calls = (replace(x, arguments={k: v.replace(PERSON, person) for k, v in x.arguments.items()}) for x in said.calls)
    return replace(said, text=said.text.replace(PERSON, person), calls=tuple(calls))


def told_of(call: Call) -> list[Any]:
    return list(asdict(call).values())
