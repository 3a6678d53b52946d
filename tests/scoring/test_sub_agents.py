"""What sub-agents do belongs to their run: a model that delegates is neither cheaper nor better behaved for it."""

from __future__ import annotations

from typing import Any

from scoring.decision.security import audit_security
from scoring.score import score
from scoring.scorecard import Scorecard
from tests.support.scored_runs import attempt, bakeoff, calls, refuse, run, says, step, tool_step, trajectory

MAIN = trajectory(
    step(attempt(answer=calls("delegate"), started_at=1.0)), step(attempt(answer=says("done"), started_at=9.0), index=1)
)
HELPER = trajectory(
    step(attempt(answer=calls("look", "look"), started_at=2.0)),
    tool_step("look", index=1),
    step(attempt(400, end="refused", started_at=4.0, verdicts=[refuse()]), index=2),
    identity="m/t1/0/helper",
)


def scored(*sub_agents: str, **fields: Any) -> Scorecard:
    trajectories = {one.id: one for one in (MAIN, HELPER)}
    return score(bakeoff(["m"], ["t1"], **fields), [run(sub_agents=sub_agents)], trajectories)


def test_calls_tokens_refusals_and_attempts_of_sub_agents_count() -> None:
    (alone,), (both,) = scored().runs, scored(HELPER.id).runs
    assert (alone.measures.tool_calls, both.measures.tool_calls) == (1, 3)
    assert (alone.measures.input_tokens, both.measures.input_tokens) == (200, 300)
    assert (alone.measures.operations, both.measures.operations) == (2, 5)
    assert both.measures.refusals == {"tool_not_allowed": 1}
    assert both.conduct.retrying is not None
    assert both.conduct.retrying.operations == 5


def test_the_path_is_the_main_agent_s_and_the_report_says_so() -> None:
    alone, both = scored(), scored(HELPER.id)
    assert both.runs[0].conduct.quality == alone.runs[0].conduct.quality
    assert both.runs[0].conduct.context == alone.runs[0].conduct.context
    (said,) = [one.text for one in both.cautions if one.kind == "sub_agents"]
    assert said.startswith("m: 1 run of 1 had sub-agents")
    assert not [one for one in alone.cautions if one.kind == "sub_agents"]


def test_the_security_audit_sees_what_sub_agents_used_and_tried() -> None:
    trajectories = {one.id: one for one in (MAIN, HELPER)}
    (audit,) = audit_security(scored(HELPER.id), trajectories)
    assert (audit.tools_used, audit.refusals) == ({"look": 2, "delegate": 1}, {"tool_not_allowed": 1})


def test_a_sub_agent_whose_recording_is_gone_breaks_nothing() -> None:
    assert scored("m/t1/0/gone").runs[0].measures.tool_calls == 1


def test_tasks_that_were_left_out_are_said_with_their_reasons() -> None:
    card = scored(left_out={"t2": "task 't2' is short"})
    (said,) = [one.text for one in card.cautions if one.kind == "tasks_left_out"]
    assert said == "1 of 2 tasks left out: task 't2' is short."
