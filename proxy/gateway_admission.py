"""Who may come in at the base-URL door. Whoever may not is answered, counted and not written down.

A record of each would let anybody fill the store who can connect; the counts are among the metrics.
"""

from __future__ import annotations

import hmac
from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web

from proxy.gateway_replies import not_a_name, plain_error
from proxy.headers import is_of_a_page, tokens
from trajectory.errors import ClientError

NO_TOKEN, OF_A_PAGE, NO_NAME = "no_token", "of_a_page", "no_name"


@dataclass(slots=True)
class Admission:
    """Without an `access_token` whoever can connect may come in, but for web pages: a browser connects for anybody."""

    access_token: str | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def refusal(self, request: web.BaseRequest) -> web.Response | None:
        if is_of_a_page(request.headers):
            self.counts[OF_A_PAGE] += 1
            return plain_error(403, "route_refused", "a web page sent this; programs are served here, and no pages")
        token = self.access_token
        if token is not None and not any(is_same(given, token) for given in tokens(request.raw_headers)):
            self.counts[NO_TOKEN] += 1
            why = "the access token is missing or wrong; send it as x-ironcage-token, or as the API key"
            return plain_error(401, "unauthorized", why)
        return None

    def not_a_name(self, error: ClientError) -> web.Response:
        self.counts[NO_NAME] += 1
        return not_a_name(error)


def is_same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())
