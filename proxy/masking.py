"""Masking texts, and JSON by span."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from policies.redaction.finding import Detector
from policies.redaction.mask import mask
from policies.redaction.pseudonyms import Vault
from proxy.redactor import Redactor
from proxy.wire.layout import Section
from proxy.wire.spans import (
    Edit,
    Texts,
    apply_edits,
    raw_offsets,
    read_json,
    string_leaves,
    unescaped,
)
from proxy.wire.strings import SealedKey, ToolKey
from trajectory.errors import FormatError

# Strings under these keys are protocol, not content: changing them breaks the call, and they are not the user's words.
STRUCTURAL_KEYS = frozenset(
    {
        "role", "type", "id", "call_id", "tool_call_id", "tool_use_id", "item_id", "name", "model", "object",
        "finish_reason", "stop_reason", "status", "tool_choice", "service_tier", "reasoning_effort", "signature",
        "thoughtSignature", "encrypted_content", "cache_control", "media_type", "mime_type", "mimeType", "format",
        "detail", "previous_response_id", "system_fingerprint", "namespace", "server_label", "server_url",
        "connector_id", "tunnel_id", "caller_id", "approval_request_id", "file_id", "toolset_name", "tool_name",
        "server_name", "mcp_server_name", "encrypted_index", "encrypted_stdout", "previous_message_id", "effort", "ttl",
        "done_reason", "created_at", "keep_alive", "toolUseId", "stopReason",
        "thought_signature", "responseId", "modelVersion", "fileUri", "file_uri", "cachedContent", "cached_content",
        "allowedFunctionNames", "allowed_function_names", "previous_interaction_id", "interaction_id", "event_id",
        "continuation_token",
    }
)  # fmt: skip
_BINARY_KEYS = frozenset({"data", "file_data", "b64_json", "inlineData", "images", "bytes"})
_DATA_URL = re.compile(r"data:[\w.+/;=-]{0,200};base64,")
# Lines of base64, long enough to be a file and nothing that a person would write.
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/_=-]{60,}+[\r\n]*+)+[A-Za-z0-9+/_=-]*[\r\n]*")
_MAX_DEPTH = 3


def is_content(key: str, text: str, *, has_structure: bool = True, keeps_seals: bool = False) -> bool:
    """Whether a string value may hold a person's words: not structure, and not bytes in base64.

    With `keeps_seals`, what a provider has signed is none either: masked, it would no longer be accepted.
    """
    if not text or (has_structure and key in STRUCTURAL_KEYS and not isinstance(key, ToolKey)):
        return False
    if keeps_seals and isinstance(key, SealedKey):
        return False
    url = _DATA_URL.match(text) if text.startswith("data:") else None
    if url is None and key not in _BINARY_KEYS:
        return True
    # a name alone proves nothing: what is no base64 is read, whatever it is called
    return _BASE64.fullmatch(text, url.end() if url is not None else 0) is None


def unknown_texts(sections: Iterable[Section], redactor: Redactor) -> tuple[tuple[str, str], ...]:
    """(text, key) of each string that the redactor has not seen yet."""
    found = (pair for s in sections for pair in content_texts(s.texts, keeps_seals=True))
    return tuple(pair for pair in found if not redactor.knows(*pair))


def mask_section(section: Section, redactor: Redactor, vault: Vault) -> None:
    """Replace what is found by pseudonyms issued in `vault`. Idempotent."""
    if needs_mask(section.texts, redactor, vault, keeps_seals=True):
        has_structure = not section.is_free
        masked, issued = mask_json(section.sent, redactor, vault, has_structure=has_structure, keeps_seals=True)
        section.rewrite(masked, issued)
    section.searched = True


def needs_mask(
    texts: Texts, detector: Detector, vault: Vault, *, has_structure: bool = True, keeps_seals: bool = False
) -> bool:
    for key, text in texts:
        is_judged = is_content(key, text, has_structure=has_structure, keeps_seals=keeps_seals)
        if is_judged and mask_text(text, detector, vault, key=key):
            return True
    return False


def mask_json(
    raw: bytes, detector: Detector, vault: Vault, *, has_structure: bool = True, keeps_seals: bool = False
) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """`raw` with each string value masked, and the (kind, value) pairs that stood there, in order.

    Without `has_structure` the structural keys are keys like any other: a tool's `id` may be a patient's.
    """
    edits: list[Edit] = []
    issued: list[tuple[str, str]] = []
    for leaf, (key, text) in zip(string_leaves(raw), read_json(raw)[1], strict=True):
        inside = raw[leaf.start : leaf.end]
        is_judged = is_content(key, text, has_structure=has_structure, keeps_seals=keeps_seals)
        replaced = mask_text(text, detector, vault, key=key) if is_judged else []
        if not replaced:
            continue
        offsets = raw_offsets(inside, text)
        for start, end, token in replaced:
            edits.append(Edit(leaf.start + offsets[start], leaf.start + offsets[end], token.encode()))
            value = vault.value(token)
            if value is not None:
                issued.append((vault.kind(token) or "", value))
    return (apply_edits(raw, edits), tuple(issued)) if edits else (raw, ())


def mask_text(
    text: str, detector: Detector, vault: Vault, *, key: str = "", depth: int = 0
) -> list[tuple[int, int, str]]:
    """(start, end, token) for `text`, looking also into JSON inside it (tool arguments), escapes undone."""
    nests = depth < _MAX_DEPTH and text.lstrip()[:1] in ("{", "[")
    if not nests and not len(vault) and not detector.find(text, key=key):
        return []  # most texts
    outer = list(mask(text, detector, vault, key=key).edits)
    inner = _nested(text, detector, vault, depth) if nests else []
    if not inner:
        return outer
    # what the inner reading found is exact at its own level of escapes; the outer one adds what lies beside it
    taken = [(start, end) for start, end, _ in inner]
    return inner + [e for e in outer if all(e[1] <= start or e[0] >= end for start, end in taken)]


def mask_plain(text: str, detector: Detector, vault: Vault, *, key: str = "") -> str:
    for start, end, token in sorted(mask_text(text, detector, vault, key=key), reverse=True):
        text = text[:start] + token + text[end:]
    return text


def _nested(text: str, detector: Detector, vault: Vault, depth: int) -> list[tuple[int, int, str]]:
    data = text.encode("utf-8", "surrogatepass")
    found: list[tuple[int, int, str]] = []
    try:
        for leaf in string_leaves(data):
            inside = data[leaf.start : leaf.end]
            value = unescaped(inside)
            replaced = mask_text(value, detector, vault, key=leaf.key, depth=depth + 1) if value else []
            offsets = raw_offsets(inside, value) if replaced else []
            for start, end, token in replaced:
                begin = len(data[: leaf.start + offsets[start]].decode("utf-8", "surrogatepass"))
                found.append((begin, begin + len(inside[offsets[start] : offsets[end]].decode()), token))
    except (FormatError, ValueError, IndexError):
        return []  # not JSON after all: the outer reading has covered it as text
    return found


def content_texts(
    texts: Texts, depth: int = 0, *, has_structure: bool = True, keeps_seals: bool = False
) -> Iterator[tuple[str, str]]:
    """(text, key) of content, and of strings in JSON inside it."""
    for key, text in texts:
        if not is_content(key, text, has_structure=has_structure, keeps_seals=keeps_seals):
            continue
        yield text, key
        if depth < _MAX_DEPTH and text.lstrip()[:1] in ("{", "["):
            try:
                yield from content_texts(
                    read_json(text.encode("utf-8", "surrogatepass"))[1], depth + 1, has_structure=has_structure
                )
            except FormatError:
                continue
