"""A trajectory as read back: ordered steps, each an operation with its attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trajectory.conversation import Reply, ToolDefinition
from trajectory.events import End
from trajectory.record import Door, Kind, ToolUse, VerdictNote

OutcomeLabel = Literal["passed", "failed"]
REPLAYED = frozenset({"replay", "shadow"})
"""Sources of trajectories that are no recording of production, and so never stand for it."""


@dataclass(frozen=True, slots=True)
class AttemptView:
    """An attempt without its bodies; they are fetched from the store by attempt id and side."""

    id: str
    number: int
    door: Door
    status: int | None
    end: End
    error: str | None
    started_at: float
    first_byte_s: float | None
    total_s: float
    request_bytes: int
    reply_bytes: int
    streamed: bool
    answer: Reply | None
    tool: ToolUse | None
    verdicts: tuple[VerdictNote, ...]
    headers: tuple[tuple[str, str], ...] = ()
    matched_by: str = ""
    extra: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """An operation in its place. `attempts` is never empty; the last one decides how the step ended."""

    operation: str
    index: int
    kind: Kind
    wire: str
    upstream: str
    host: str
    method: str
    path: str
    digest: str
    model: str | None
    tools: tuple[ToolDefinition, ...]
    attempts: tuple[AttemptView, ...]

    @property
    def last(self) -> AttemptView:
        return self.attempts[-1]

    @property
    def retries(self) -> int:
        return len(self.attempts) - 1


@dataclass(frozen=True, slots=True)
class Launch:
    """How an agent was started, so that the same command can be run again in a cage."""

    command: tuple[str, ...]
    cwd: str
    exit_code: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The ordered steps of one agent run on one task. `label` is what people or checks said of it, if anything."""

    id: str
    session: str
    task: str | None
    agent: str | None
    started_at: float
    steps: tuple[Step, ...]
    label: OutcomeLabel | None = None
    label_evidence: str = ""
    launch: Launch | None = None
    source: str = "live"
    """live, replay, shadow or imported."""

    @property
    def model_steps(self) -> tuple[Step, ...]:
        return tuple(s for s in self.steps if s.kind == "model")

    @property
    def tool_steps(self) -> tuple[Step, ...]:
        return tuple(s for s in self.steps if s.kind == "tool")

    @property
    def retries(self) -> int:
        return sum(step.retries for step in self.steps)


@dataclass(frozen=True, slots=True)
class TrajectorySummary:
    """One line of a listing."""

    id: str
    session: str
    task: str | None
    agent: str | None
    source: str
    started_at: float
    duration_s: float
    model_calls: int
    tool_calls: int
    attempts: int
    refusals: int
    models: tuple[str, ...]
    label: OutcomeLabel | None
