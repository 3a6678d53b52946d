"""Who may see the console: the right host name, and the token where one is set.

1. On loopback a request must name a loopback host. A page elsewhere whose name an attacker points at 127.0.0.1 (DNS
   rebinding) sends its own name, and is refused.
2. The token comes as header x-ironcage-token, or once through the form or `?token=`, which set a cookie that scripts
   cannot read and other sites cannot send. The cookie holds a digest keyed with the token, not the token.
3. What recordings hold is hostile: no page can be framed, and no script runs but the one of the approvals page, which
   its policy names by digest.
4. What changes something is refused where a browser says that a page elsewhere sends it. Another port of this machine
   is elsewhere: an agent may well serve a page there, and cookies do not tell ports apart.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlencode, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from ironcage.console.rendering import page, problem
from proxy.gateway_listening import is_loopback

COOKIE = "ironcage_console"
HEALTH = ("/healthz", "/readyz")
_READING = ("GET", "HEAD")
_WITHOUT_TOKEN = (*HEALTH, "/login", "/assets/console.css")
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """`token` None: none is asked for."""

    def __init__(self, token: str | None, *, on_loopback: bool) -> None:
        self._token = token
        self._on_loopback = on_loopback

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = self._refusal(request)
        if response is None:
            try:
                response = await handler(request)
            except web.HTTPException as e:
                said = e.reason if e.status != 404 else "There is no such page."
                response = problem(request, e.status, said)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def _refusal(self, request: web.Request) -> web.StreamResponse | None:
        """None where the request may go on."""
        if request.path in HEALTH:
            return None
        if (foreign := self._foreign(request)) is not None:
            return foreign
        if self._token is None or request.path in _WITHOUT_TOKEN or self._is_known(request):
            return None
        given = request.query.get("token")
        if given is not None and request.method == "GET" and self._is_token(given):
            return self.let_in(_without_token(request))
        if request.path.startswith("/api/") or "text/html" not in request.headers.get("Accept", ""):
            return web.json_response({"error": "x-ironcage-token is missing or wrong"}, status=401)
        return self.form(request.path_qs if given is None else _without_token(request), wrong=given is not None)

    def _foreign(self, request: web.Request) -> web.StreamResponse | None:
        if self._on_loopback and not _names_loopback(request.host):
            said = "This console listens on this machine only. Open it as 127.0.0.1 or localhost."
            return problem(request, 421, said)
        if request.method not in _READING and request.path != "/login" and _is_from_elsewhere(request):
            return problem(request, 403, "A page of another origin sent this.")
        return None

    async def login(self, request: web.Request) -> web.StreamResponse:
        """The form's answer."""
        if self._token is None:
            return web.Response(status=303, headers={"Location": "/"})
        fields = await request.post()
        target = local_path(str(fields.get("next", "/")))
        if not self._is_token(str(fields.get("token", ""))):
            return self.form(target, wrong=True)
        return self.let_in(target)

    def form(self, target: str, *, wrong: bool = False) -> web.StreamResponse:
        return page("login.html.j2", status=401, next=local_path(target), wrong=wrong, bare=True)

    def let_in(self, target: str) -> web.Response:
        response = web.Response(status=303, headers={"Location": local_path(target)})
        response.set_cookie(COOKIE, self._pass(), httponly=True, samesite="Strict", path="/", max_age=30 * 24 * 3600)
        return response

    def _is_known(self, request: web.Request) -> bool:
        header, cookie = request.headers.get("x-ironcage-token"), request.cookies.get(COOKIE)
        if header is not None:
            return self._is_token(header)
        return cookie is not None and hmac.compare_digest(cookie.encode(), self._pass().encode())

    def _is_token(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(
            given.encode("utf-8", "surrogatepass"), self._token.encode("utf-8", "surrogatepass")
        )

    def _pass(self) -> str:
        key = (self._token or "").encode("utf-8", "surrogatepass")
        return hmac.new(key, b"ironcage console", hashlib.sha256).hexdigest()


def local_path(target: str) -> str:
    """`target` if it is a path on this server, else /: a browser reads // and a backslash as another host."""
    is_local = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_local and "\\" not in target else "/"


def _without_token(request: web.Request) -> str:
    rest = [(name, value) for name, value in request.query.items() if name != "token"]
    return request.rel_url.raw_path + (f"?{urlencode(rest)}" if rest else "")


def _is_from_elsewhere(request: web.Request) -> bool:
    """As the browser says: programs send neither of the two. An Origin of null, from a sandbox or a file, is none."""
    origin = request.headers.get("Origin")
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        return True
    return origin is not None and urlsplit(origin).netloc != request.host


def _names_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)
