"""One trial of one task on one candidate: open a session, run, close it, check, and say what happened as a `Run`."""

from __future__ import annotations

import asyncio
import tempfile
import traceback
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from proxy.prompting import has_replaced_prompt
from replay.approvals import RecordedApprovals, decisions_of
from replay.cage.contract import StopRequest
from replay.checks import Finished, last_said, run_checks
from replay.conditions import Conditions, Slot
from replay.fingerprint import changed_parts
from replay.house import House, Masked
from replay.offline import OfflineStreet, offline_street
from replay.recorded import recorded_in
from replay.running import Place, Ran, run_in_its_way, work_place
from replay.swap.street import SwapStreet, swap_street
from replay.task import Task
from replay.ways import PROMPT_ON_THE_WAY
from trajectory.errors import CageError, IroncageError, StoreError
from trajectory.ids import new_id, trajectory_id
from trajectory.runs import PROXY_LIMITS, Certificate, CheckResult, Limits, Run
from trajectory.trajectory import Launch


async def run_trial(slot: Slot, conditions: Conditions) -> Run:
    """Never raises but StoreError and cancellation: what the harness gets wrong is a run with status harness_error."""
    started_at, began = conditions.clock.now_s(), conditions.clock.monotonic_s()
    session = new_id(started_at, conditions.entropy(7))

    def run(trajectory: str, **rest: Any) -> Run:
        took_s = conditions.clock.monotonic_s() - began
        return run_of(slot, conditions, trajectory, started_at=started_at, duration_s=took_s, **rest)

    try:
        with tempfile.TemporaryDirectory(prefix="ironcage-run-", ignore_cleanup_errors=True) as private:
            place = await asyncio.to_thread(work_place, slot.task, conditions.workspace, Path(private))
            masked = conditions.house.masking(session)
            ran = await _in_session(slot, session, place, conditions)
            finished = _finished(slot, ran, place)
            checks = await _checks(slot, ran, finished, conditions)
        kept = await _kept(masked, finished, checks)
        results = {
            "served": ran.served,
            "packages": ran.packages,
            "losses": ran.losses,
            "approvals": ran.approvals,
            "sub_agents": ran.recorded.sub_agents,
            **_results(ran),
            **kept,
        }
        main = ran.recorded.main
        return run(main.id if main else session, status="finished", **results)
    except StoreError:
        raise  # nothing can be kept any more, this run included
    except Exception as error:  # the shell around one run: whatever broke, the bake-off goes on and shows it
        return run(session, **broken(conditions, _told(error)))


def run_of(slot: Slot, conditions: Conditions, trajectory: str, **rest: Any) -> Run:
    return Run(
        id=slot.run,
        bakeoff=slot.bakeoff,
        task=slot.task.id,
        candidate=slot.candidate,
        trial=slot.trial,
        seed=slot.seed,
        fingerprint=conditions.fingerprint,
        mode=slot.mode,
        trajectory=trajectory,
        min_fidelity=conditions.min_fidelity,
        **rest,
    )


def broken(conditions: Conditions, error: str) -> dict[str, Any]:
    """What a run says that the harness got wrong: it asked for limits, and nothing shows that they held."""
    none = Certificate(grade="none", asked=conditions.limits, applied=Limits())
    return {"status": "harness_error", "certificate": none, "error": error}


async def _checks(slot: Slot, ran: Ran, finished: Finished, conditions: Conditions) -> tuple[CheckResult, ...]:
    """What a stepwise run leaves behind is no work that could be judged as a whole."""
    if slot.mode == "stepwise":
        return ()
    of_task = await run_checks(finished, conditions.cage, conditions.env)
    return of_task if ran.offline is None else (*ran.offline.checks(), *of_task)


def _results(ran: Ran) -> dict[str, Any]:
    """CageError where a stepwise run cannot be told from its record."""
    if ran.teacher is not None:
        return {"steps": ran.teacher.results(ran.recorded.main)}
    return {"model_answers": dict(ran.offline.models.answered)} if ran.offline is not None else {}


async def _kept(masked: Masked, finished: Finished, checks: tuple[CheckResult, ...]) -> dict[str, object]:
    """What the agent printed has not passed the proxy: it is kept only as the record would keep it."""
    certificate = finished.certificate
    tail = await masked(certificate.stderr_tail)
    return {
        "answer": None if finished.answer is None else await masked(finished.answer),
        "certificate": certificate.model_copy(update={"stderr_tail": tail}),
        "checks": tuple([one.model_copy(update={"evidence": await masked(one.evidence)}) for one in checks]),
    }


def _told(error: Exception) -> str:
    if isinstance(error, IroncageError):
        return f"{error.code}: {error}" + (f" ({error.hint})" if error.hint else "")
    return "".join(traceback.format_exception(error))[-4000:]


async def _in_session(slot: Slot, session: str, place: Place, conditions: Conditions) -> Ran:
    house = conditions.house
    stop = StopRequest()
    offline, swap = await _street(slot, session, stop, conditions)
    prompt = conditions.prompts.get(slot.task.id) if slot.mode in PROMPT_ON_THE_WAY else None
    people = RecordedApprovals(partial(decisions_of, house.store, slot.task), conditions.approvals)
    house.open_session(
        session,
        slot.candidate if offline is None else None,
        task=slot.task.id,
        seed=slot.seed,
        budget_spent=stop.stop,
        street=offline or swap,
        prompt=prompt,
        approver=people,
    )
    try:
        _require_unchanged(conditions)
        ran = await run_in_its_way(slot, session, stop, place, conditions)
        applied = house.applied(session)
    finally:
        await house.close_session(session)
    certificate = _with_proxy_limits(ran.certificate, applied)
    await asyncio.to_thread(_note_launch, house, session, slot.task, certificate)
    recorded = await asyncio.to_thread(recorded_in, house.store, session)
    if prompt is not None and recorded.main is not None and not has_replaced_prompt(recorded.main):
        raise CageError("no request of the agent had the recorded system prompt, or one like it: nothing was varied")
    losses = () if swap is None else swap.losses
    return replace(
        ran, certificate=certificate, offline=offline, losses=losses, recorded=recorded, approvals=people.given()
    )


def _require_unchanged(conditions: Conditions) -> None:
    changed = changed_parts(conditions.parts, dict(conditions.house.conditions()))
    if changed:
        raise CageError(f"the conditions changed while the bake-off ran: {', '.join(changed)}")


async def _street(
    slot: Slot, session: str, stop: StopRequest, conditions: Conditions
) -> tuple[OfflineStreet | None, SwapStreet | None]:
    """What answers in place of the candidate's upstream, if anything does: the tape, or a translation before it."""
    house = conditions.house
    if slot.mode != "offline":
        return None, swap_street(slot.candidate, house, slot.seed)
    missed, masking = partial(stop.stop, "tape_miss"), partial(house.masking, session)
    tape_tools = conditions.tape_tools
    made = partial(offline_street, house.store, slot.task, missed, masking, tape_tools=tape_tools)
    return await asyncio.to_thread(made), None


def _note_launch(house: House, session: str, task: Task, certificate: Certificate) -> None:
    if task.launch is None:
        return
    launch = Launch(
        command=task.launch.command,
        cwd=task.launch.cwd,
        exit_code=certificate.exit_code,
        duration_s=certificate.wall_s,
    )
    house.store.launched(trajectory_id(session, None), launch, task=task.id, source="replay")


def _with_proxy_limits(certificate: Certificate, applied: Limits) -> Certificate:
    """The cage knows its own limits only; the others are the proxy's, as the policies read them."""
    merged = certificate.applied.model_copy(update={name: getattr(applied, name) for name in PROXY_LIMITS})
    return certificate.model_copy(update={"applied": merged})


def _finished(slot: Slot, ran: Ran, place: Place) -> Finished:
    in_agent = slot.task.launch is not None
    return Finished(
        task=slot.task,
        candidate=slot.candidate,
        trial=slot.trial,
        seed=slot.seed,
        trajectory=ran.recorded.main,
        certificate=ran.certificate,
        cwd=place.cwd,
        said=last_said(ran.recorded.main) if in_agent else ran.said,
        stdout=ran.stdout,
        stdout_truncated=ran.stdout_truncated,
        served=ran.served,
    )
