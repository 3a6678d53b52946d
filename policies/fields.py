"""Which keys may stand where in a pydantic model: for hints on keys that may not."""

from __future__ import annotations

import difflib
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAliasType, Union, get_args, get_origin

from pydantic import BaseModel

Loc = Sequence[str | int]
_DEEPEST = 6


def names_at(model: type[BaseModel], loc: Loc) -> tuple[str, ...]:
    """The keys that may stand at `loc`, a location as in pydantic's errors; empty where any or none may."""
    names: dict[str, None] = {}
    for place in _places(model, loc):
        if _is_model(place):
            names.update(dict.fromkeys(_keys(place)))
    return tuple(names)


def nearest(key: str, names: Collection[str]) -> str | None:
    """The name that `key` was probably meant to be."""
    by_fold = {_fold(name): name for name in names}
    close = difflib.get_close_matches(_fold(key), by_fold, n=1)
    return by_fold[close[0]] if close else None


def home_of(model: type[BaseModel], key: str) -> str | None:
    """The dotted path of the first section that has this key ("" is the top); None if there is none."""
    for path, section in _sections(model, "", 0):
        if any(_fold(key) == _fold(name) for name in _keys(section)):
            return path
    return None


def is_section(model: type[BaseModel], path: Loc) -> bool:
    """Whether the one thing that may stand at `path` is a section, that is, a model that may not be absent."""
    places = _places(model, path)
    return bool(places) and all(_is_model(place) for place in places)


def _sections(model: type[BaseModel], path: str, depth: int) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    if depth >= _DEEPEST:
        return
    for key, annotation in _keys(model).items():
        for branch in _branches(annotation):
            if _is_model(branch):
                yield from _sections(branch, f"{path}.{key}" if path else key, depth + 1)


def _places(model: type[BaseModel], loc: Loc) -> list[Any]:
    places: list[Any] = [model]
    for item in loc:
        entered = [inner for place in places for inner in _entered(place, item)]
        places = [branch for inner in entered for branch in _branches(inner)] or _tagged(places, item)
    return places


def _entered(place: Any, item: str | int) -> list[Any]:
    """What may stand at `item` of `place`; empty if `place` has no such thing."""
    if _is_model(place):
        annotation = _keys(place).get(str(item))
        return [] if annotation is None else [annotation]
    origin, inner = get_origin(place), get_args(place)
    if isinstance(origin, type) and issubclass(origin, Mapping) and len(inner) == 2:
        return [inner[1]]
    if isinstance(origin, type) and issubclass(origin, Sequence) and inner and isinstance(item, int):
        return [inner[0]]
    return []


def _tagged(places: list[Any], item: str | int) -> list[Any]:
    """The branch of a union that a tag of pydantic's own names: a class, or the value of a discriminator."""
    named = [place for place in places if _is_model(place) and (place.__name__ == item or _has_literal(place, item))]
    return named or places


def _has_literal(model: type[BaseModel], value: str | int) -> bool:
    return any(get_origin(kind) is Literal and value in get_args(kind) for kind in _keys(model).values())


def _branches(annotation: Any) -> Iterator[Any]:
    """The members of a union, each without `Annotated`."""
    if isinstance(annotation, TypeAliasType):
        yield from _branches(annotation.__value__)
        return
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _branches(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for branch in get_args(annotation):
            yield from _branches(branch)
    else:
        yield annotation


def _is_model(place: Any) -> bool:
    return isinstance(place, type) and issubclass(place, BaseModel)


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _fold(key: str) -> str:
    """Case and hyphens are slips of the hand, not other names."""
    return key.replace("-", "_").lower()
