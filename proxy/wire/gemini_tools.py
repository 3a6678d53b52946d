"""Taking tools out of a generateContent request, span by span.

They are taken out of `tools` in every mode alike, so that the prefix that signatures and caches are bound to is the
same in each turn (decision 0003); `allowedFunctionNames`, which only some modes know, follows.
"""

from __future__ import annotations

import msgspec

from proxy.wire.gemini_types import FUNCTIONS, function_name, list_of
from proxy.wire.layout import decoded
from proxy.wire.spans import Edit, Member, apply_edits, elements, members, removal
from proxy.wire.spelling import Fields, camel, fields_of, folded

_NARROWING_MODES = ("ANY", "VALIDATED")
_NAMES = "allowedfunctionnames"


def calling_config(tool_config: object) -> Fields | None:
    """`toolConfig.functionCallingConfig`; None if there is none."""
    inner = fields_of(tool_config, "'toolConfig'").get("functioncallingconfig") if tool_config is not None else None
    return fields_of(inner, "'functionCallingConfig'") if inner is not None else None


def allowed_names(calling: Fields | None) -> list[str]:
    """`allowedFunctionNames`; empty if there is none."""
    listed = calling.get(_NAMES) if calling is not None else None
    return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []


def forced_function(calling: Fields | None) -> str | None:
    """The one function that must be called."""
    names = allowed_names(calling)
    return names[0] if calling is not None and calling.get("mode") == "ANY" and len(names) == 1 else None


def narrowed(tools: bytes, config: bytes, names: frozenset[str]) -> tuple[bytes, bytes]:
    """`tools` and `toolConfig` (empty where absent) without the tools in `names`; empty where nothing is left."""
    calling = calling_config(decoded(config)) if config else None
    if calling is None:
        return _without(tools, names), config
    kept = _without(tools, names)
    left = [name for name in allowed_names(calling) if name not in names]
    if not left and not _functions(kept):
        return kept, _without_calling(config)  # the API refuses it where no function is declared
    if left == allowed_names(calling):
        return kept, config
    # without the list any function could be called, and one would have to be
    return kept, _with_calling(config, left, "NONE" if calling.get("mode") in _NARROWING_MODES else None)


def _functions(tools: bytes) -> list[str]:
    entries = [fields_of(entry, "a tool") for entry in list_of(decoded(tools), "'tools'")] if tools else []
    listed = [one for entry in entries for one in list_of(entry.get(FUNCTIONS), "'functionDeclarations'")]
    return [function_name(fields_of(one, "a function declaration")) for one in listed]


def _without(tools: bytes, names: frozenset[str]) -> bytes:
    if not tools.startswith(b"["):
        return _entry(tools, names) if tools.startswith(b"{") else tools
    spans = elements(tools)
    kept = [_entry(tools[start:end], names) for start, end in spans]
    return _kept_elements(tools, spans, kept)


def _entry(raw: bytes, names: frozenset[str]) -> bytes:
    """One tool entry, which may hold functions and several provider-run tools at once."""
    found = members(raw)
    drop: set[str] = set()
    edits: list[Edit] = []
    for key, at in found.items():
        if folded(key) == FUNCTIONS:
            kept = _declarations(raw[at.start : at.end], names)
            if not kept:
                drop.add(key)
            elif kept != raw[at.start : at.end]:
                edits.append(Edit(at.start, at.end, kept))
        elif camel(key) in names:
            drop.add(key)
    if drop and len(drop) == len(found):
        return b""
    return apply_edits(raw, edits + without_members(raw, found, drop))


def _declarations(raw: bytes, names: frozenset[str]) -> bytes:
    if not raw.startswith(b"["):
        is_kept = raw.startswith(b"{") and _name(raw) not in names
        return raw if is_kept or not raw.startswith(b"{") else b""
    spans = elements(raw)
    return _kept_elements(raw, spans, [raw[s:e] if _name(raw[s:e]) not in names else b"" for s, e in spans])


def _name(declaration: bytes) -> str:
    return function_name(fields_of(decoded(declaration), "a function declaration"))


def _kept_elements(raw: bytes, spans: list[tuple[int, int]], kept: list[bytes]) -> bytes:
    drop = {place for place, element in enumerate(kept) if not element}
    if drop and len(drop) == len(spans):
        return b""
    edits = [
        Edit(start, end, element)
        for (start, end), element in zip(spans, kept, strict=True)
        if element and element != raw[start:end]
    ]
    return apply_edits(raw, edits + removal(raw, spans, drop))


def without_members(raw: bytes, found: dict[str, Member], drop: set[str]) -> list[Edit]:
    """Edits that take members out of the object whose members are `found`."""
    spans = [(at.key_start, at.end) for at in found.values()]
    return removal(raw, spans, {place for place, key in enumerate(found) if key in drop})


def _with_calling(config: bytes, names: list[str], mode: str | None) -> bytes:
    """`toolConfig` whose list of names is `names`; where none is left, without it, and in `mode` if that is given."""
    key = fields_of(decoded(config), "'toolConfig'").key("functioncallingconfig")
    outer = members(config)[key]
    found = members(config, outer.start, outer.end)
    keys = {folded(name): name for name in found}
    edits: list[Edit] = []
    if names:
        listed = found[keys[_NAMES]]
        edits.append(Edit(listed.start, listed.end, msgspec.json.encode(names)))
    else:
        edits += without_members(config, found, {keys[_NAMES]})
        if mode is not None:
            at = found[keys["mode"]]
            edits.append(Edit(at.start, at.end, msgspec.json.encode(mode)))
    return apply_edits(config, edits)


def _without_calling(config: bytes) -> bytes:
    key = fields_of(decoded(config), "'toolConfig'").key("functioncallingconfig")
    found = members(config)
    return apply_edits(config, without_members(config, found, {key})) if len(found) > 1 else b""
