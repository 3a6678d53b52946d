from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.arrivals import ReplyBegan, ReplyEnded, ReplyPart, RequestArrived
from proxy.recording import _KEPT_REPLY, _KEPT_REQUEST
from tests.support.driving import JSON, Driven, asking, completion, hall

SECRET = "zq9-never-to-be-written-down"
_names = st.one_of(
    st.sampled_from([
        "Authorization", "api-key", "X-Api-Key", "x-goog-api-key", "Cookie", "Set-Cookie", "Proxy-Authorization",
        "X-Amz-Security-Token", "OpenAI-Organization", "X-Auth-Token", "X-CSRF-Token", "x-ironcage-token",
    ]),
    st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True),
)  # fmt: skip


@given(st.lists(_names, max_size=6), st.lists(_names, max_size=6), st.sampled_from(["m", "t", "refused"]))
def test_no_value_of_a_header_is_written_down_but_of_the_few_that_say_something(
    asked: list[str], answered: list[str], kind: str
) -> None:
    path = {"m": "/openai/v1/chat/completions", "t": "/orders/find", "refused": "/nowhere"}[kind]
    made = Driven(hall(), path)
    request = tuple((name, SECRET) for name in asked if name.lower() not in _KEPT_REQUEST | {"content-encoding"})
    reply = tuple((n, SECRET) for n in answered if n.lower() not in _KEPT_REPLY | {"content-encoding", "content-type"})
    made.give(RequestArrived(request, asking()))
    body = completion()
    made.give(ReplyBegan(200, JSON + reply, 0.1, len(body)), ReplyPart(body, 0.2), ReplyEnded(0.3))
    assert SECRET not in repr(made.attempt)


def test_the_few_headers_that_say_something_are_kept_under_their_side() -> None:
    made = Driven(hall())
    made.give(RequestArrived((("User-Agent", "agent/1"), ("X-Stainless-Retry-Count", "2")), asking()))
    made.give(ReplyBegan(429, (*JSON, ("Retry-After", "3"), ("X-Request-Id", "r1")), 0.25), ReplyEnded(0.5))
    attempt = made.attempt
    assert attempt.headers == (
        ("request.user-agent", "agent/1"), ("request.x-stainless-retry-count", "2"),
        ("content-type", "application/json"), ("retry-after", "3"), ("x-request-id", "r1"),
    )  # fmt: skip
    assert (attempt.first_byte_s, attempt.total_s, attempt.status) == (0.25, 0.5, 429)
