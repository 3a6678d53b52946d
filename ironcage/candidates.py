"""Candidates as they are written on the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxy.settings import Upstream
from replay.swap.street import SWAP_WIRES
from trajectory.errors import OperatorError
from trajectory.runs import Candidate

_WIRE = ",wire="


def read_candidate(entry: str, upstreams: Mapping[str, Upstream]) -> Candidate:
    """NAME=UPSTREAM/MODEL, then ,wire=WIRE and ?key=value&… where wanted. Raises OperatorError."""
    name, equals, rest = entry.partition("=")
    target, _, query = rest.partition("?")
    target, named, wire = target.partition(_WIRE)
    upstream, slash, model = target.partition("/")
    if not (name and equals and upstream and slash and model):
        raise OperatorError(
            f"--candidate {entry!r} is not NAME=UPSTREAM/MODEL", hint="for example --candidate small=openai/gpt-x-mini"
        )
    if upstream not in upstreams or upstreams[upstream].kind != "model":
        raise no_model_upstream(upstream, upstreams)
    if named and wire not in SWAP_WIRES:
        raise OperatorError(
            f"--candidate {entry!r}: there is no translation into {wire!r}",
            hint=f"wire is one of {', '.join(sorted(SWAP_WIRES))}",
        )
    return Candidate(
        name=name, upstream=upstream, model=model, parameters=dict(_parameters(query)), wire=wire if named else None
    )


def no_model_upstream(name: str, upstreams: Mapping[str, Upstream]) -> OperatorError:
    known = ", ".join(known for known, upstream in upstreams.items() if upstream.kind == "model")
    return OperatorError(f"there is no model upstream {name!r}", hint=f"configured are: {known or 'none'}")


def _parameters(query: str) -> Iterator[tuple[str, float | int | str | bool]]:
    for pair in filter(None, query.split("&")):
        key, _, value = pair.partition("=")
        yield key, _value(value)


def _value(text: str) -> float | int | str | bool:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
