"""From a request line to where it goes. Pure; what is not recognised is refused.

1. The client never chooses an arbitrary destination in base-URL mode: the first path segment names an upstream.
2. Through the proxy door any destination can be asked for; what no upstream covers is `web`, which egress judges.
3. On a model's host only known paths pass: an upload or a batch would carry tools and data past every rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from policies.hosts import parse_host
from policies.verdict import Refuse
from proxy.operation import Route
from proxy.settings import Upstream
from proxy.url_keys import masked_keys
from proxy.wire.choose import is_harmless, wire_of
from trajectory.errors import ClientError
from trajectory.ids import checked_name

# Segments that a server may resolve away, plain or encoded: what is judged must be where the request arrives.
_DOTS = re.compile(r"(?:^|/|%2f)(?:\.|%2e){1,2}(?:/|%2f|;|%3b|$)|\\|%5c|%00|#|[^!-~]", re.IGNORECASE)
# Other spellings of a path that servers read as one: needless escapes, parameters of a segment, empty segments. A
# tool goes by its path, so it has but one.
_SPELLED = re.compile(r"%(?:2[de]|3[0-9b]|[46][1-9a-f]|[57][0-9a]|5f|7e)|;|//", re.IGNORECASE)
# At the end a verb of Google's: nothing behind it, so that no other spelling of a model call passes.
_PLAIN = re.compile(r"[\w.~/-]+(?::\w+)?", re.ASCII)
# By these a tool is called that goes by its path alone; another one is a verb that its name does not tell.
_PLAIN_METHODS = frozenset({"POST", "GET"})
_MCP_METHODS = frozenset({"POST", "GET", "DELETE"})
# Agents ask for a handful of short paths over and over; what is longer is worked out each time, so that no client
# can fill the memory of it.
_REMEMBERED_PATHS, _REMEMBERED_CHARACTERS = 1024, 256


class Destination(Struct, frozen=True):
    """`url_path` is what the upstream at `origin` is asked for, raw, with query."""

    route: Route
    base_url: str
    session: str | None
    known_as: str
    """How the session was named: prefix, header or proxy; empty if it was not."""
    refused: Refuse | None = None
    refusal_status: int | None = None
    """Set where HTTP itself has a status for the refusal (413, 426)."""


@dataclass(frozen=True, slots=True)
class Target:
    """The original target of a request that came through the proxy door. `host` is as `policies.hosts` writes it:
    lower case, no final dot, punycode; so it cannot be another spelling of a configured one.
    """

    scheme: str
    host: str
    port: int


class Router:
    def __init__(self, upstreams: Mapping[str, Upstream], *, default: str | None = None) -> None:
        self._upstreams = dict(upstreams)
        self._default = default
        self._by_origin = [(_named(u.origin), u.path, name) for name, u in self._upstreams.items()]
        # the longest base path first: it is the more exact upstream
        self._by_origin.sort(key=lambda entry: -len(entry[1]))
        self._remembered_place = lru_cache(maxsize=_REMEMBERED_PATHS)(self._place)

    def base_url(self, method: str, raw_path: str, header_session: str | None) -> Destination:
        """Route a request whose URL names an upstream. Raises ClientError for a session name that is none."""
        path, _, query = raw_path.partition("?")
        session, known_as = header_session, "header" if header_session else ""
        if path.startswith("/s/"):
            given, slash, rest = path[3:].partition("/")
            session, known_as = checked_name("session", unquote(given)), "prefix"
            path = slash + rest
        name, slash, rest = path[1:].partition("/")
        upstream = self._upstreams.get(name)
        if upstream is None and self._default is not None:
            name, upstream, slash, rest = self._default, self._upstreams[self._default], "/", path[1:]
        found = (
            self._unknown(name) if upstream is None else self._to(name, method, slash + rest, query, session, known_as)
        )
        return _dead_end(found, method, raw_path, session, known_as) if isinstance(found, Refuse) else found

    def through_proxy(self, method: str, raw_path: str, target: Target, session: str | None) -> Destination:
        """Route a request that named its destination itself."""
        path, _, query = raw_path.partition("?")
        known_as = "proxy" if session else ""
        refused = None if path.startswith("/") else _refused("a path begins with a slash", path[:60])
        here = [] if refused else [entry for entry in self._by_origin if _is_same_host(entry[0], target)]
        for origin, base, name in here:
            if origin == (target.scheme, target.host, target.port) and _is_below(path, base):
                found = self._to(name, method, path[len(base) :], query, session, known_as)
                if isinstance(found, Destination):
                    return found
                refused = refused or found  # another upstream at the same place may serve it
        if here:
            # otherwise another spelling of a path, or plain HTTP, would lead past all that is judged there
            refused = refused or self._elsewhere(here)
        if refused is not None:
            return _dead_end(refused, method, raw_path, session, known_as)
        host = f"[{target.host}]" if ":" in target.host else target.host
        shown = host if target.port == (443 if target.scheme == "https" else 80) else f"{host}:{target.port}"
        route = Route("web", "http", shown, shown, method, raw_path, named=False)
        return Destination(route, f"{target.scheme}://{host}:{target.port}", session, known_as)

    def get(self, name: str) -> Upstream | None:
        return self._upstreams.get(name)

    def upstream(self, name: str) -> Upstream:
        """Raises ClientError where the configuration names no such upstream."""
        if name not in self._upstreams:
            raise ClientError(f"there is no upstream {name!r}", hint=f"there are: {', '.join(self._upstreams)}")
        return self._upstreams[name]

    def _to(
        self, name: str, method: str, rest: str, query: str, session: str | None, known_as: str
    ) -> Destination | Refuse:
        is_short = len(rest) + len(query) <= _REMEMBERED_CHARACTERS
        place = (self._remembered_place if is_short else self._place)(name, method, rest, query)
        return place if isinstance(place, Refuse) else Destination(*place, session, known_as)

    def _place(self, name: str, method: str, rest: str, query: str) -> tuple[Route, str] | Refuse:
        """The route and the origin that it leads to; the same for the same arguments."""
        upstream = self._upstreams[name]
        if _DOTS.search(rest):
            return _refused("the path has segments that a server may resolve to another place", rest)
        asked = upstream.path + rest + (f"?{query}" if query else "")
        if upstream.kind == "mcp" and method in _MCP_METHODS and f"{method} {rest}" not in upstream.allow_paths:
            # which messages are calls of a tool their bodies say
            place = masked_keys(f"{method} {rest}" + (f"?{query}" if query else ""))
            return Route("web", "mcp", name, upstream.host, method, asked, place=place), _origin(upstream)
        if upstream.kind == "tool":
            if _SPELLED.search(rest):
                return _refused("the path of a tool is spelled in a way that hides which one it is", rest)
            tool, says_more = _tool(name, upstream, method, rest)
            place = f"{method} {rest}"
            route = Route("tool", "http", name, upstream.host, method, asked, True, tool, place, says_more)
        elif (wire := wire_of(method, rest)) is not None:
            route = Route("model", wire, name, upstream.host, method, asked)
        elif is_harmless(method, rest) or _lists(upstream.allow_paths, f"{method} {rest}"):
            route = Route("web", "http", name, upstream.host, method, asked)
        else:
            return _refused(
                f"{method} {rest[:100]} is not a route of a model API that can be judged; "
                "POST to …/chat/completions, …/responses, …/messages, …:generateContent, …/interactions and Ollama's "
                '/api/chat and /api/generate is, GET of …/models, and what the upstream\'s "allow_paths" lists',
                name,
            )
        return route, _origin(upstream)

    def _elsewhere(self, here: list[tuple[tuple[str, str, int], str, str]]) -> Refuse:
        served = ", ".join(sorted({self._upstreams[name].base_url for _, _, name in here}))
        return _refused(f"of this host only what the configuration names is served: {served}", here[0][2])

    def _unknown(self, name: str) -> Refuse:
        known = ", ".join(f"/{upstream}" for upstream in self._upstreams) or "none"
        return _refused(f"there is no upstream {name[:60]!r}; a base URL begins with one of: {known}", name[:60])


def _origin(upstream: Upstream) -> str:
    return upstream.base_url.removesuffix(upstream.path) if upstream.path else upstream.base_url


def _refused(why: str, subject: str) -> Refuse:
    return Refuse("route_refused", "route", f"Refused: {why}.", subject)


def _dead_end(refused: Refuse, method: str, raw_path: str, session: str | None, known_as: str) -> Destination:
    """A place that is not served is a destination too: what was asked for is recorded, in its session."""
    route = Route("web", "refused", refused.subject or "unknown", "", method, raw_path)
    return Destination(route, "", session, known_as, refused=refused)


def _named(origin: tuple[str, str, int]) -> tuple[str, str, int]:
    """An upstream's origin with its host written as a target's is."""
    scheme, host, port = origin
    try:
        return scheme, parse_host(f"[{host}]" if ":" in host else host).name, port
    except ValueError:  # which no target can be, either
        return origin


def _is_same_host(origin: tuple[str, str, int], target: Target) -> bool:
    """The same machine as far as names can say: by name and port, where 80 and 443 are two doors of one house."""
    _, host, port = origin
    return host == target.host and (port == target.port or {port, target.port} <= {80, 443})


def _lists(allow_paths: tuple[str, ...], wanted: str) -> bool:
    """Below a "/*" nothing is let through that a server may read as another path."""
    return any(
        wanted == entry
        or (entry.endswith("/*") and wanted.startswith(entry[:-1]) and _PLAIN.fullmatch(wanted, len(entry) - 1))
        for entry in allow_paths
    )


def _is_below(path: str, base: str) -> bool:
    return path == base or path.startswith(base + "/") if base else True


def _tool(name: str, upstream: Upstream, method: str, rest: str) -> tuple[str, bool]:
    """The tool's name, and whether method and path say more of the call than that."""
    for key, tool in upstream.tools.items():
        verb, _, place = key.partition(" ")
        if verb == method and _is_below(rest, place.rstrip("/")):
            return tool, rest.rstrip("/") != place.rstrip("/")
    return rest.strip("/") or name, method not in _PLAIN_METHODS


def target_of(url: str) -> Target:
    """Raises ClientError for anything but scheme://host:port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        port, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClientError(f"{url[:100]!r} is no destination", hint="http and https only")
    try:
        host = parse_host(f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname).name
    except ValueError as e:
        raise ClientError(f"{parts.hostname[:100]!r} is no host: {e}") from None
    return Target(parts.scheme, host, port or (443 if parts.scheme == "https" else 80))
