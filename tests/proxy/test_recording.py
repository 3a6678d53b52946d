from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.arrivals import DetectionFailed, ReplyBegan, ReplyEnded, ReplyPart, RequestArrived
from proxy.recording import _KEPT_REPLY, _KEPT_REQUEST
from tests.support.detecting import EmailDetector, redactor
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


KEY = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


@pytest.mark.parametrize("path", ["/openai/v1/chat/completions", "/orders/find", "/nowhere", "/openai/v1/models"])
@pytest.mark.parametrize("name", ["User-Agent", "Content-Type", "X-Stainless-Retry-Count"])
def test_what_is_kept_of_a_header_is_searched_like_all_that_is_written_down(path: str, name: str) -> None:
    made = Driven(hall(redactor=redactor()), path)
    made.give(RequestArrived(((name, f"agent of ann@example.org {KEY}"),), asking()))
    if made.forwarded is not None:
        made.give(ReplyBegan(200, ((name, "ann@example.org"),), 0.1, 0), ReplyEnded(0.3))
    (kept,) = (value for key, value in made.attempt.headers if key == f"request.{name.lower()}")
    assert kept.startswith("agent of PII_EMAIL_") and kept.endswith(" ***")
    assert "ann@" not in repr(made.attempt)


def test_a_secret_in_a_header_is_not_written_down_where_no_redaction_is_set_up() -> None:
    made = Driven(hall())
    made.give(RequestArrived((("User-Agent", f"curl {KEY}"),), asking()))
    made.reply(completion())
    assert made.attempt.headers[0] == ("request.user-agent", "curl ***")


def test_where_a_request_could_not_be_searched_its_headers_are_not_written_down() -> None:
    detector = EmailDetector()
    made = Driven(hall(redactor=redactor(detector)), by_hand=True)
    made.give(RequestArrived((("User-Agent", "ann@example.org"),), asking("call me")))
    detector.broken = RuntimeError("no")
    made.give(DetectionFailed(0.1))
    assert made.attempt.headers == () and made.attempt.end == "refused"


def test_a_header_that_is_long_or_no_text_is_kept_so_that_it_can_be_written_down() -> None:
    made = Driven(hall())
    made.give(RequestArrived((("User-Agent", "a\udcff" + "b" * 9_000),), asking()))
    made.reply(completion())
    ((_, value),) = (header for header in made.attempt.headers if header[0] == "request.user-agent")
    assert value.startswith("a?b") and len(value) == 256


def test_the_path_of_what_is_not_served_is_searched_too() -> None:
    made = Driven(hall(redactor=redactor()), f"/nowhere/ann@example.org/{KEY}?q=ann@example.org")
    made.give(RequestArrived((), b""))
    assert made.attempt.path.startswith("/nowhere/PII_EMAIL_") and made.attempt.path.endswith("/***")
    assert "ann@" not in repr(made.attempt) and KEY not in repr(made.attempt)
