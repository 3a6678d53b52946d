"""What the name of a JSON key, environment variable or setting says of its value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from policies.redaction.secrets import is_placeholder

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_SECRET_ENDS = (
    ("password",), ("passwd",), ("pwd",), ("passphrase",), ("passcode",), ("secret",), ("apikey",), ("credentials",),
    ("api", "key"), ("access", "key"), ("secret", "key"), ("private", "key"), ("signing", "key"), ("encryption", "key"),
    ("client", "secret"), ("access", "token"), ("refresh", "token"), ("auth", "token"), ("bearer", "token"),
    ("api", "token"), ("id", "token"), ("session", "token"), ("bot", "token"), ("github", "token"),
    ("secret", "access", "key"), ("authorization",), ("connection", "string"),
)  # fmt: skip
_PHONE_WORDS = {"phone", "telephone", "mobile", "cell", "cellphone", "fax", "tel", "msisdn", "whatsapp", "phonenumber"}
_NUMBER_WORDS = {"number", "numbers", "no", "num", "nr"}
_EMAIL_WORDS = {"email", "mail", "emails", "emailaddress"}
_SSN_ENDS = (("ssn",), ("social", "security"), ("social", "security", "number"), ("itin",), ("tax", "payer", "id"))
_CARD_ENDS = (("card", "number"), ("cc", "number"), ("card", "no"), ("cardnumber",), ("pan",), ("credit", "card"))
_IP_ENDS = (("ip",), ("ip", "address"), ("ip", "addr"), ("ipaddress",), ("remote", "addr"), ("ipv4",), ("ipv6",))

_SHAPES = {
    "EMAIL": re.compile(r"[^\s@]+@[^\s@]+"),
    "PHONE": re.compile(r"\+?[\d\s().\-/]{6,30}(?:\s*(?:x|ext\.?|#)\s*\d{1,6})?"),
    "SSN": re.compile(r"\d{3}[- .]?\d{2}[- .]?\d{4}"),
    "CARD": re.compile(r"\d(?:[ -]?\d){11,18}"),
    "IBAN": re.compile(r"[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){10,30}"),
    "SECRET": re.compile(r".{4,}", re.DOTALL),
}
_NOTHING = {
    "null",
    "none",
    "true",
    "false",
    "undefined",
    "unknown",
    "string",
    "redacted",
    "hidden",
    "required",
    "optional",
}

_NAMES = (
    "pass|pwd|secret|key|token|credential|authorization|connection|"
    "phone|mobile|cell|fax|tel|msisdn|whatsapp|mail|ssn|social|itin|card|pan|cc|iban"
)
_PAIR = re.compile(
    rf"""["'](?P<key>[A-Za-z0-9_\- ]{{0,30}}?(?:{_NAMES})[A-Za-z0-9_\- ]{{0,30}})"""
    r"""(?P<quote>\\{0,7}["'])\s{0,4}[:=]\s{0,8}"""
    r"""(?:(?P=quote)(?P<value>(?:(?!(?P=quote))(?:\\.|[^\n\\])){4,2000})(?P=quote)|(?P<number>\d{9,19})(?![\d.eE]))""",
    re.IGNORECASE,
)
_ASSIGNMENT = re.compile(
    r"(?P<key>[A-Z](?<![A-Za-z0-9_][A-Z])[A-Z0-9_]{0,60}(?:KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS)[A-Z0-9_]{0,20})\s?=\s?"
    r"[\"']?(?P<value>[A-Za-z0-9_\-+/=.~!@#%^*]{8,400})",
    re.ASCII,
)
# query strings, headers, YAML: the value must mix letters and digits, and not be a call or an attribute
_NAMED = re.compile(
    r"[pascrtib](?:(?<=p)assw(?:or)?d|(?<=a)pi[_-]?key|(?<=c)lient[_-]secret|(?<=s)ecret[_-]?key"
    r"|(?<=[asrtib])(?:ccess|uth|ession|efresh|earer|pi)[_-](?:token|key))[ ]?[=:][ ]?[\"']?"
    r"(?P<value>[A-Za-z0-9_\-+/~%!]{6,400}+)(?![(\[.]\w?)",
    re.IGNORECASE | re.ASCII,
)


@lru_cache(maxsize=4096)
def kind_of_key(key: str) -> str | None:
    """The kind of value that stands under `key`, from its last words (`customerPhoneNumber`: PHONE), or None."""
    words = tuple(word.lower() for word in _WORD.findall(key) if not word.isdigit())
    if not words:
        return None
    if _ends_with(words, _SECRET_ENDS):
        return "SECRET"
    named = words[:-1] if words[-1] in _NUMBER_WORDS else words
    if named and (named[-1] in _PHONE_WORDS):
        return "PHONE"
    if words[-1] in _EMAIL_WORDS or words[-2:] in {("email", "address"), ("mail", "address")}:
        return "EMAIL"
    for kind, ends in (("SSN", _SSN_ENDS), ("CARD", _CARD_ENDS), ("IP", _IP_ENDS)):
        if _ends_with(words, ends):
            return kind
    return "IBAN" if "iban" in words[-2:] else None


def is_value_of(kind: str, value: str) -> bool:
    """Whether `value` is of the shape of `kind`, given that its key says so; the key makes a strict check needless."""
    shape = _SHAPES.get(kind)
    text = value.strip()
    if shape is None or shape.fullmatch(text) is None or text.lower() in _NOTHING:
        return False
    if kind == "PHONE":
        return 7 <= sum(character.isdigit() for character in text) <= 15
    return kind != "SECRET" or not is_placeholder(text)


def find_pairs(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, kind) of values behind a telling key: JSON pairs at any level of escaping, NAME=value.

    They may overlap.
    """
    if ":" not in text and "=" not in text:
        return
    for match in _PAIR.finditer(text):
        group = "value" if match["value"] is not None else "number"
        kind = kind_of_key(match["key"])
        if (
            kind is not None
            and (group == "value" or kind in {"PHONE", "SSN", "CARD"})
            and is_value_of(kind, match[group])
        ):
            yield *match.span(group), kind
    yield from _named_secrets(text)
    if "=" not in text:
        return
    for match in _ASSIGNMENT.finditer(text):
        value = match["value"]
        mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
        if mixed and kind_of_key(match["key"]) == "SECRET" and not is_placeholder(value):
            yield *match.span("value"), "SECRET"


def _named_secrets(text: str) -> Iterator[tuple[int, int, str]]:
    lower = text.lower()
    if not any(stem in lower for stem in ("passw", "api", "secret", "token")):
        return
    for match in _NAMED.finditer(text):
        value = match["value"]
        mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
        if mixed and not is_placeholder(value):
            yield *match.span("value"), "SECRET"


def _ends_with(words: tuple[str, ...], ends: tuple[tuple[str, ...], ...]) -> bool:
    return any(words[-len(end) :] == end for end in ends)
