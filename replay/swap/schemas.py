"""JSON Schema as each provider takes it for a tool's parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from replay.swap.losses import Losses
from replay.swap.neutral import Json

# What Gemini takes of JSON Schema in every version of its API (ai.google.dev, November 2026).
_GEMINI_KEPT = frozenset(
    {"type", "format", "title", "description", "enum", "items", "minItems", "maxItems", "minimum", "maximum"}
    | {"minLength", "maxLength", "pattern", "anyOf", "properties", "required", "propertyOrdering", "nullable"}
)
_GEMINI_FORMATS = frozenset({"float", "double", "int32", "int64", "enum", "date-time"})
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf")


def is_strict(schema: Json) -> bool:
    """Whether OpenAI's strict mode takes it: every object is closed, and all its properties are required."""
    if schema.get("type") == "object" or "properties" in schema:
        required = {one for one in _listed(schema, "required") if isinstance(one, str)}
        if schema.get("additionalProperties") is not False or required != _object(schema, "properties").keys():
            return False
    return all(is_strict(one) for one in _below(schema))


def for_anthropic(schema: Json, where: str, losses: Losses) -> Json:
    """An object at the top, without a choice of several there: the parts of a choice are laid together."""
    schema = schema or {"type": "object", "properties": {}}
    chosen = [key for key in _LISTS_OF_SCHEMAS if key in schema]
    if chosen:
        losses.add("tool_schema", where, f"{', '.join(chosen)} at its top was laid together: no property is required")
        merged = {key: value for key, value in schema.items() if key not in chosen}
        properties = dict(_object(merged, "properties"))
        for one in (one for key in chosen for one in _listed(schema, key)):
            properties |= _object(one, "properties") if isinstance(one, dict) else {}
        schema = {**merged, "properties": properties}
    if schema.get("type") != "object":
        if "type" in schema:
            losses.add("tool_schema", where, "it describes no object: given as one")
        schema = {**schema, "type": "object"}
    return schema


def for_gemini(schema: Json, where: str, losses: Losses) -> Json:
    """Within the subset: references put in their place, unknown keywords left out."""
    return _Gemini(schema, where, losses).fitted(schema)


def from_gemini(schema: Json, where: str, losses: Losses) -> Json:
    """Gemini's own `parameters`, an OpenAPI schema with types in capitals, as JSON Schema. Nothing is lost by it but
    the spelling.
    """
    out: Json = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            out[key] = value.lower()
        elif key == "properties" and isinstance(value, dict):
            out[key] = {name: from_gemini(one, where, losses) for name, one in value.items() if isinstance(one, dict)}
        elif key == "items" and isinstance(value, dict):
            out[key] = from_gemini(value, where, losses)
        elif key in ("anyOf", "any_of") and isinstance(value, list):
            out["anyOf"] = [from_gemini(one, where, losses) for one in value if isinstance(one, dict)]
        elif key in ("propertyOrdering", "property_ordering"):
            losses.add("tool_schema", where, "the order of properties was left out")
        elif key != "nullable":
            out[key] = value
    if schema.get("nullable") is True and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
    return out


class _Gemini:
    def __init__(self, root: Json, where: str, losses: Losses) -> None:
        self._root, self._where, self._losses = root, where, losses

    def fitted(self, schema: Any, within: frozenset[str] = frozenset()) -> Json:
        """`within` are the references that have been followed to get here."""
        if not isinstance(schema, dict):  # true and false are schemas, too
            self._lose("a schema that is true or false was taken for any")
            return {}
        schema, within = self._simple(schema, within)
        out: Json = {}
        for key, value in schema.items():
            if key == "properties" and isinstance(value, dict):
                out[key] = {name: self.fitted(one, within) for name, one in value.items()}
            elif key == "items":
                out[key] = self.fitted(value, within)
            elif key == "anyOf" and isinstance(value, list):
                out[key] = [self.fitted(one, within) for one in value]
            elif key == "format" and value not in _GEMINI_FORMATS:
                self._lose(f"the format {value!r} was left out")
            elif key in _GEMINI_KEPT:
                out[key] = value
            elif key not in ("$defs", "definitions", "$schema", "$id"):
                self._lose(f"{key} was left out")
        if isinstance(out.get("enum"), list) and not all(isinstance(one, str) for one in out["enum"]):
            self._lose("an enum of other values than texts was left out")
            del out["enum"]
        return out

    def _simple(self, schema: Json, within: frozenset[str]) -> tuple[Json, frozenset[str]]:
        """References, constants and the other choices, said with what is known there."""
        schema = dict(schema)
        reference = schema.pop("$ref", None)
        if isinstance(reference, str):
            if reference in within:
                self._lose("what contains itself is described as an object")
                return {"type": "object"}, within
            self._lose("$ref was replaced by what it refers to")
            within |= {reference}
            referred, within = self._simple(self._referred(reference), within)
            schema = {**referred, **schema}
        if "const" in schema:
            self._lose("const was given as an enum of one")
            schema["enum"] = [schema.pop("const")]
        if "oneOf" in schema:
            self._lose("oneOf was given as anyOf")
            schema["anyOf"] = [*_listed(schema, "anyOf"), *_listed(schema, "oneOf")]
            del schema["oneOf"]
        if "allOf" in schema:
            self._lose("allOf was laid together")
            parts = _listed(schema, "allOf")
            del schema["allOf"]
            for one in parts:
                inner, within = self._simple(one if isinstance(one, dict) else {}, within)
                schema = _laid_together(schema, inner)
        return schema, within

    def _referred(self, reference: str) -> Json:
        here: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            here = here.get(step) if isinstance(here, dict) else None
        return here if isinstance(here, dict) and reference.startswith("#") else {}

    def _lose(self, what: str) -> None:
        self._losses.add("tool_schema", self._where, what)


def _laid_together(one: Json, other: Json) -> Json:
    out = {**one, **other}
    if properties := {**_object(one, "properties"), **_object(other, "properties")}:
        out["properties"] = properties
    if required := [*_listed(one, "required"), *_listed(other, "required")]:
        out["required"] = [name for at, name in enumerate(required) if name not in required[:at]]
    return out


def _listed(schema: Json, key: str) -> list[Any]:
    """Schemas come from agents: what should be a list may be anything."""
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _object(schema: Json, key: str) -> Json:
    value = schema.get(key)
    return value if isinstance(value, dict) else {}


def _below(schema: Json) -> Iterator[Json]:
    for key in ("properties", "$defs", "definitions"):
        yield from (one for one in _object(schema, key).values() if isinstance(one, dict))
    for key in _LISTS_OF_SCHEMAS:
        yield from (one for one in _listed(schema, key) if isinstance(one, dict))
    if isinstance(schema.get("items"), dict):
        yield schema["items"]
