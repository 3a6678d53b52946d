"""What must be true of a rule on the routes of model APIs: of what the upstream really got, and the client."""

from __future__ import annotations

import asyncio
import json

from tests.support.approving import ALLOWED, DENIED
from tests.support.parity.format import Call, ModelFormat
from tests.support.parity.formats import MODEL_FORMATS
from tests.support.parity.visiting import LIMIT_BYTES, LIMIT_TOKENS, Got, Visit

EMAIL = "ada.quill@example.org"
SECRET = "sk-proj-" + "a8Jq2LzT0vXb5NcR7kYw9DfG4hM1pS6u" * 2
GOOD, BAD = Call("good", '{"x": "fine"}'), Call("bad", '{"x": "PRIVATE"}')
INSIDE, OUTSIDE = Call("careful", '{"path": "/workspace/notes"}'), Call("careful", '{"path": "/etc/PRIVATE"}')


class Talk:
    """A visit in one format."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.streamed = visit.cell.is_streamed
        self.form: ModelFormat = next(form for form in MODEL_FORMATS if form.name == visit.cell.form)

    def upstream_says(self, *texts: str, calls: tuple[Call, ...] = ()) -> None:
        if self.streamed:
            self.visit.upstream_says(*self.form.stream(*texts, calls=calls))
        else:
            self.visit.upstream_says(self.form.reply(*texts, calls=calls), kind="application/json")

    async def ask(self, *texts: str, tools: tuple[str, ...] = ()) -> Got:
        path = self.form.streams_at if self.streamed else self.form.path
        return await self.visit.post(path, self.form.body(*texts, tools=tools, streamed=self.streamed))

    def read(self, got: Got) -> tuple[str, tuple[tuple[str, object], ...]]:
        """Text and calls of a reply without an error."""
        assert got.status == 200 and got.refusal is None and not got.is_broken, got.body
        told = self.form.understood(got.body, streamed=self.streamed)
        assert not told.error
        return told.text, told.calls

    def is_refused(self, got: Got, code: str) -> None:
        """In the native error of the format, in a sentence, and in the record."""
        assert (got.status, got.refusal) == (self.form.refusal_status, code)
        assert got.headers["x-should-retry"] == "false"
        assert len(self.form.understood(got.body, streamed=False).error.split()) > 4
        assert self.visit.attempts[-1].end == "refused" and self.visit.codes == [code]


async def refused_by_name(visit: Visit) -> None:
    talk = Talk(visit)
    talk.upstream_says("Let me see.", calls=(GOOD, BAD))
    got = await talk.ask("hi", tools=("good", "bad"))
    text, calls = talk.read(got)
    assert calls == (("good", {"x": "fine"}),) and text.startswith("Let me see.")
    assert 'The tool "bad" was called' in text and b"PRIVATE" not in got.body
    assert talk.form.offered(json.loads(visit.seen[0].body)) == ["good"]
    assert visit.codes == ["tool_not_allowed"]


async def refused_by_arguments(visit: Visit) -> None:
    talk = Talk(visit)
    talk.upstream_says("Let me see.", calls=(OUTSIDE, GOOD))
    got = await talk.ask("hi", tools=("good", "careful"))
    text, calls = talk.read(got)
    assert calls == (("good", {"x": "fine"}),) and text.startswith("Let me see.")
    assert 'The call of the tool "careful" was refused' in text and b"PRIVATE" not in got.body
    assert talk.form.offered(json.loads(visit.seen[0].body)) == ["good", "careful"]
    assert visit.codes == ["tool_arguments_refused"]
    talk.upstream_says(calls=(INSIDE,))
    assert talk.read(await talk.ask("hi", "again")) == ("", (("careful", {"path": "/workspace/notes"}),))


async def approval_asked(visit: Visit) -> None:
    """Two calls wait at a time: one is allowed, the other denied, and nothing of either is out before."""
    talk, people = Talk(visit), visit.house.people
    wanted, unwanted = Call("asked", '{"x": "WANTED"}'), Call("functions.asked", '{"x": "UNWANTED"}')
    talk.upstream_says("Let me see.", calls=(GOOD, wanted, unwanted))
    asking = asyncio.create_task(talk.ask("hi", tools=("good", "asked")))
    questions = [await people.question(), await people.question()]
    assert not asking.done() and visit.attempts == []
    shown = {question.tool: json.loads(question.arguments)["x"] for question in questions}
    assert shown == {wanted.name: "WANTED", unwanted.name: "UNWANTED"}
    for question in questions:
        people.settle(question, ALLOWED if question.tool == "asked" else DENIED)
    text, calls = talk.read(await asking)
    assert calls == (("good", {"x": "fine"}), ("asked", {"x": "WANTED"})) and "UNWANTED" not in text
    assert text.startswith("Let me see.") and "bob has denied it: not on a Friday" in text
    notes = [(note.code, note.by) for note in visit.attempts[-1].verdicts if note.action == "ask"]
    assert sorted(notes) == [("allowed", "ada"), ("denied", "bob")] and visit.codes == ["approval_denied"]


async def masked(visit: Visit) -> None:
    talk = Talk(visit)
    talk.upstream_says("Done.")
    assert talk.read(await talk.ask(f"write to {EMAIL}"))[0] == "Done."
    sent = visit.seen[0].body
    assert EMAIL.encode() not in sent and b"write to PII_EMAIL_" in sent
    assert EMAIL not in repr(visit.attempts) and visit.attempts[-1].verdicts[-1].subject == "EMAIL:1"


async def restored(visit: Visit) -> None:
    """Also where a rule judges the call that the value stands in."""
    talk = Talk(visit)
    talk.upstream_says("Done.")
    await talk.ask(f"write to {EMAIL}")
    token = "PII_EMAIL_" + visit.seen[0].body.split(b"PII_EMAIL_")[1][:10].decode()
    to, inside = Call("good", json.dumps({"to": token})), Call("careful", json.dumps({"path": f"/workspace/{token}"}))
    talk.upstream_says(f"I wrote to {token}.", calls=(to, inside))
    text, calls = talk.read(await talk.ask(f"write to {EMAIL}", "did you?"))
    assert text == f"I wrote to {EMAIL}."
    assert calls == (("good", {"to": EMAIL}), ("careful", {"path": f"/workspace/{EMAIL}"}))
    assert all(EMAIL.encode() not in asked.body for asked in visit.seen) and EMAIL not in repr(visit.attempts)


async def secret_refused(visit: Visit) -> None:
    talk = Talk(visit)
    got = await talk.ask(f"my key is {SECRET}")
    talk.is_refused(got, "sensitive_data_refused")
    assert visit.seen == [] and SECRET.encode() not in got.body and SECRET not in repr(visit.attempts)
    talk.upstream_says("Done.")
    assert talk.read(await talk.ask("my key is at home"))[0] == "Done."


async def egress_cut(visit: Visit) -> None:
    talk = Talk(visit)
    talk.upstream_says(*["x" * 4000] * 200)
    got = await talk.ask("hi")
    if talk.streamed:
        assert got.status == 200 and b"egress_budget_exhausted" in got.body
        assert talk.form.understood(got.body, streamed=True).error
    else:
        talk.is_refused(got, "egress_budget_exhausted")
    assert len(got.body) <= LIMIT_BYTES and visit.codes == ["egress_budget_exhausted"]
    assert visit.attempts[-1].end == "refused"
    talk.is_refused(await talk.ask("x" * LIMIT_BYTES), "egress_budget_exhausted")
    assert len(visit.seen) == 1


async def retry_budget(visit: Visit) -> None:
    talk = Talk(visit)
    visit.upstream_says(b'{"error": {"message": "slow down"}}', kind="application/json", status="429 Too Many")
    answers = [await talk.ask("hi") for _ in range(3)]
    assert [got.status for got in answers[:2]] == [429, 429] and len(visit.seen) == 2
    talk.is_refused(answers[2], "retry_budget_exhausted")
    assert len({attempt.operation for attempt in visit.attempts}) == 1


async def spend_budget(visit: Visit) -> None:
    """Also where the provider's count is missing, or cannot be true."""
    talk = Talk(visit)
    talk.upstream_says("x" * 100_000)
    talk.read(await talk.ask("hi"))
    got = await talk.ask("hi", "go on")
    talk.is_refused(got, "spend_budget_exhausted")
    assert b"It fits with an answer of at most" in got.body and len(visit.seen) == 1


async def context_budget(visit: Visit) -> None:
    talk = Talk(visit)
    talk.upstream_says("Done.")
    talk.is_refused(await talk.ask("x" * 6 * LIMIT_TOKENS), "context_budget_exhausted")
    assert visit.seen == []
    assert talk.read(await talk.ask("hi"))[0] == "Done."
