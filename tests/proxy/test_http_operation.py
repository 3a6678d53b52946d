from __future__ import annotations

import json

import pytest

from policies.arguments.rule import ToolArguments
from policies.settings import ToolSettings
from proxy import http_operation as module
from proxy.arrivals import ReplyBegan, ReplyEnded, ReplyPart, RequestArrived
from proxy.effects import BeginReply, Commit, EndReply, Respond, SendPart
from tests.support.detecting import redactor
from tests.support.driving import JSON, Driven, asking, completion, hall, rules
from tests.support.gateway import joined

EMAIL = "bob@example.org"


def called(body: bytes = b"", path: str = "/orders/find", method: str = "POST", **how: object) -> Driven:
    made = Driven(hall(), path, method=method, **how)  # type: ignore[arg-type]
    made.ask(body)
    return made


def test_a_tool_call_passes_byte_for_byte_and_is_recorded_as_one() -> None:
    made = called(b'{ "id" : 7 }')
    assert made.forwarded == b'{ "id" : 7 }'
    assert made.reply(b"any\x00bytes\xff") == b"any\x00bytes\xff"
    attempt = made.attempt
    assert attempt.tool is not None
    assert (attempt.kind, attempt.tool.name, attempt.tool.arguments) == ("tool", "find", '{ "id" : 7 }')
    assert joined(attempt.reply) == b"any\x00bytes\xff" and not attempt.tool.is_error


def test_a_call_without_a_body_has_its_query_for_arguments() -> None:
    made = called(path="/orders/find?id=7", method="GET")
    made.reply(b"{}", 404)
    assert made.attempt.tool is not None
    assert (made.attempt.tool.arguments, made.attempt.tool.is_error, made.attempt.end) == ("id=7", True, "failed")


def test_arguments_reach_to_the_end_of_the_path() -> None:
    """Some servers cut a fragment off, some take it for a part of the query."""
    made = called(path="/orders/find?id=7#&id=8", method="GET")
    made.reply(b"{}")
    assert made.attempt.tool is not None and made.attempt.tool.arguments == "id=7#&id=8"


def test_the_same_call_in_another_spelling_is_a_retry_and_another_path_is_not() -> None:
    house = hall()
    digests = []
    for path, body in (
        ("/orders/find", b'{"a":1,"b":2}'),
        ("/orders/find", b'{ "b":2,"a":1}'),
        ("/orders/x", b'{"a":1,"b":2}'),
    ):
        made = Driven(house, path)
        made.ask(body)
        made.reply(b"{}", 500)
        digests.append((made.attempt.digest, made.attempt.number))
    assert digests[0][0] == digests[1][0] != digests[2][0]
    assert [number for _, number in digests] == [1, 2, 1]


def test_a_reply_of_known_length_is_withheld_in_its_last_part_until_it_is_recorded() -> None:
    made = Driven(hall(), "/orders/find", by_hand=True)
    made.give(RequestArrived((), b"{}"))
    size = module._WHOLE_BYTES + 1
    assert [type(e) for e in made.give(ReplyBegan(200, JSON, 0.1, size))] == [BeginReply]
    assert [type(e) for e in made.give(ReplyPart(b"x" * (size - 1), 0.2))] == [SendPart]
    assert [type(e) for e in made.give(ReplyPart(b"y", 0.3))] == [Commit]


def test_a_small_reply_is_answered_whole_and_one_without_length_flows() -> None:
    small = called()
    small.reply(b"small")
    assert isinstance(small.effects[-1], Respond)
    flowing = called()
    flowing.give(ReplyBegan(200, JSON, 0.1), ReplyPart(b"a", 0.2), ReplyPart(b"b", 0.3), ReplyEnded(0.4))
    assert flowing.delivered == b"ab" and isinstance(flowing.effects[-1], EndReply)


def test_of_a_reply_beyond_the_bound_only_the_beginning_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_RECORDED_BYTES", 10)
    made = called()
    made.give(ReplyBegan(200, JSON, 0.1), *[ReplyPart(b"12345678", 0.2)] * 5, ReplyEnded(0.4))
    assert made.delivered == b"12345678" * 5
    assert len(joined(made.attempt.reply)) <= 24 and made.attempt.reply_bytes == 40
    assert made.attempt.extra["reply_note"]


def test_tools_get_the_real_values_and_the_record_does_not() -> None:
    made = Driven(hall(redactor=redactor()), f"/orders/of/{EMAIL}?to={EMAIL}")
    body = json.dumps({"name": EMAIL, "id": 555123456}).encode()
    assert made.ask(body) == body
    reply = json.dumps({EMAIL: [EMAIL], "data": EMAIL, "status": EMAIL}).encode()
    assert made.reply(reply) == reply
    assert EMAIL not in repr(made.attempt) and "555123456" not in repr(made.attempt)


def test_without_a_session_a_call_that_a_model_has_just_proposed_belongs_to_its_trajectory() -> None:
    house = hall()
    model = Driven(house, session=None)
    model.ask(asking("a"))
    model.reply(completion(None, (("c1", "find", '{"id": 7}'),)))
    tool = Driven(house, "/orders/find", session=None)
    tool.ask(b'{"id":7}')
    tool.reply(b"{}")
    assert tool.attempt.trajectory == model.attempt.trajectory
    assert tool.attempt.matched_by == "tool_arguments"


def test_calls_that_belong_to_nobody_share_a_trajectory_by_client_and_hour() -> None:
    house = hall()
    made = []
    for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2", "[fe80::1%eth0]"):
        one = Driven(house, "/orders/find", session=None, address=address)
        one.ask(b"{}")
        one.reply(b"{}")
        made.append(one.attempt.trajectory)
    assert made[0] == made[1] and len(set(made)) == 3
    assert all(name.startswith("stray-") for name in made)


def test_the_list_of_models_is_no_tool_and_passes_an_allowlist() -> None:
    made = Driven(hall(*rules(allowed=["find"])), "/openai/v1/models", method="GET")
    made.ask(b"")
    assert made.reply(b'{"data":[]}') == b'{"data":[]}'
    assert (made.attempt.kind, made.attempt.end) == ("web", "complete")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_from_a_models_host_carries_nothing(method: str) -> None:
    """What it carried would reach the provider unjudged and unmasked."""
    made = called(b'{"note":"bob@example.org"}', "/openai/v1/models", method)
    assert made.forwarded is None and made.attempt.verdicts[0].code == "unreadable_body"
    assert called(b"", "/openai/v1/models", method).forwarded == b""


@pytest.mark.parametrize(
    "charset", ["utf-7", "UTF-16", '"utf-7"', "utf-7; charset=utf-8", "iso-8859-1", "x", "utf-8, text/a; charset=utf-7"]
)
def test_a_body_whose_type_says_another_charset_is_not_judged_as_if_it_were_utf8(charset: str) -> None:
    headers = (("Content-Type", f"application/json; charset={charset}"),)
    body = b'{"model":"m","messages":[],"+AHQ-ools":[]}'
    model = Driven(hall())
    assert model.ask(body, headers) is None and model.attempt.verdicts[0].code == "unreadable_body"
    limits = ToolSettings.model_validate({"arguments": {"find": {"amount": {"max": 5}}}}).arguments
    tool = Driven(hall(*rules(), ToolArguments(limits)), "/orders/find")
    assert tool.ask(b'{"amount":5}', headers) is None


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", ';charset="UTF-8"', "; charset=us-ascii"])
def test_a_body_of_utf8_passes_whatever_its_type_says_of_it(charset: str) -> None:
    assert Driven(hall()).ask(asking(), (("Content-Type", f"application/json{charset}"),)) == asking()
