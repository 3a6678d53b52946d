"""Recorded model calls as rules are shown them: what an attempt asked, as far as the record tells."""

from __future__ import annotations

from policies.memory_ledger import MemoryLedger
from policies.spend import NANO, SpendBudget
from policies.verdict import Refuse
from proxy.wire.counts import stated
from trajectory.ending import answered
from trajectory.events import ModelAsked, PromptSize
from trajectory.steps import views_in_order
from trajectory.trajectory import AttemptView, Step, Trajectory


def recorded_ask(trajectory: Trajectory, step: Step, view: AttemptView) -> ModelAsked:
    """Its prompt is as large as the provider counted it; estimated from its bytes where that is not recorded."""
    extra, counted = dict(view.extra), prompt_tokens(view)
    return ModelAsked(
        trajectory=trajectory.id,
        upstream=step.upstream,
        host=step.host,
        model=step.model or "",
        digest=step.digest,
        body_bytes=view.request_bytes,
        tools=tuple(tool.name for tool in step.tools),
        session=trajectory.session,
        at_s=view.started_at,
        prompt=PromptSize(tokens=counted) if counted else PromptSize(text_bytes=view.request_bytes),
        max_tokens=stated(extra.get("max_tokens")),
        answers=stated(extra.get("answers")) or 1,
    )


def prompt_tokens(view: AttemptView) -> int | None:
    """As the provider counted."""
    return view.answer.usage.input_tokens if view.answer is not None and view.answer.usage is not None else None


def most_spent_usd(trajectory: Trajectory, budget: SpendBudget) -> float | None:
    """The largest that was spent and reserved together at any time; None where a model has no price."""
    ledger, most = MemoryLedger(), 0
    for step, view in views_in_order(trajectory.model_steps):
        asked = recorded_ask(trajectory, step, view)
        if isinstance(budget.judge(asked, ledger), Refuse):
            return None
        most = max(most, ledger.total(f"spend:{trajectory.id}"))
        budget.judge(answered(asked, view, view.end, was_sent=view.end != "refused"), ledger)
    return most / NANO
