"""Which headers cross the proxy (RFC 9110, section 7.6.1: fields of one hop stay on it)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from proxy.arrivals import Headers
from proxy.environment import Vendor

_ONE_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
# Some servers ask another method or another path by these than the one that was judged.
_ELSEWHERE = frozenset(
    {
        "x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-original-uri",
        "x-rewrite-url",
    }
)  # fmt: skip
# Host and length are the next hop's own; Expect has been answered here.
_NOT_FORWARDED = _ONE_HOP | _ELSEWHERE | {"host", "content-length", "expect"}
_OURS = "x-ironcage-"
_TOKEN = "x-ironcage-token"  # noqa: S105 -- the name of a header


def forwarded(raw: Iterable[tuple[bytes, bytes]], *, judged: bool) -> Headers:
    """Request headers for the upstream. Where replies are `judged` they must come uncompressed."""
    kept: list[tuple[str, str]] = []
    named: set[str] = set()
    for key, value in raw:
        name, lower = _short_name(key) if len(key) <= _SHORT_NAME else _name(key)
        text = value.decode("utf-8", "surrogateescape")
        if lower == "connection":
            named.update(part.strip().lower() for part in text.split(","))
        if lower in _NOT_FORWARDED or lower.startswith(_OURS) or (judged and lower == "accept-encoding"):
            continue
        kept.append((name, text))
    if named:
        kept = [(k, v) for k, v in kept if k.lower() not in named]
    if judged:
        kept.append(("Accept-Encoding", "identity"))
    return tuple(kept)


def returned(headers: Headers, *, whole: bool = False) -> list[tuple[str, str]]:
    """Reply headers for the client; of a `whole` reply the server computes the length itself."""
    kept: list[tuple[str, str]] = []
    named: set[str] = set()
    for field in headers:
        lower = field[0].lower()
        if lower == "connection":
            named.update(part.strip().lower() for part in field[1].split(","))
        elif lower not in _ONE_HOP and not (whole and lower == "content-length"):
            kept.append(field)
    return [field for field in kept if field[0].lower() not in named] if named else kept


def _name(raw: bytes) -> tuple[str, str]:
    """As it came, and as the least careful server reads it: in any case, `_` for `-` (RFC 3875, section 4.1.18)."""
    name = raw.decode("latin-1")
    return name, name.lower().replace("_", "-")


# The same few names come with every request; long ones are not kept, so that no client can fill the memory of them.
_SHORT_NAME = 64
_short_name = lru_cache(maxsize=1024)(_name)


_CREDENTIALS = frozenset({"authorization", "api-key", "x-api-key", "x-goog-api-key"})
# Vendors whose API takes a key of its own under another header than Authorization.
_KEY_HEADERS: dict[Vendor, str] = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}


def key_header(key: str, vendor: Vendor | None) -> tuple[str, str]:
    """The header that carries `key` to an upstream of `vendor`; a bearer token where nothing else is known."""
    name = _KEY_HEADERS.get(vendor) if vendor is not None else None
    return (name, key) if name is not None else ("Authorization", f"Bearer {key}")


def with_key(headers: Headers, key: tuple[str, str]) -> Headers:
    """`headers` with the proxy's own `key_header` in place of whatever credential the agent sent."""
    return (*((k, v) for k, v in headers if k.lower().replace("_", "-") not in _CREDENTIALS), key)


def tokens(raw: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """What a client may prove itself to the proxy by: a header of its own, or the API key that every SDK can send."""
    return [
        _secret(value.decode("utf-8", "surrogateescape"))
        for key, value in raw
        if (name := key.decode("latin-1").lower()) in _CREDENTIALS or name == _TOKEN
    ]


def is_of_a_page(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that a web page sent it: one of anybody's, as none is served here.

    Programs send neither field; extensions and desktop applications have origins of other schemes.
    """
    origin = headers.get("Origin")
    if origin is not None:
        return origin == "null" or origin.lower().startswith(("http:", "https:"))
    return headers.get("Sec-Fetch-Site", "none") != "none"


def without_token(headers: Headers, token: str) -> Headers:
    """`headers` without credentials that are the proxy's own token: it goes no further."""
    return tuple(
        (name, value) for name, value in headers if name.lower() not in _CREDENTIALS or _secret(value) != token
    )


def _secret(value: str) -> str:
    scheme, _, rest = value.strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else value.strip()
