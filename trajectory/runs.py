"""A run of a task on a candidate: what was asked of the cage, what was read back, and what the checks said.

Replay writes these, scoring reads them; the two meet only here. 1 MB = 1024 * 1024 bytes throughout, as in
cgroups.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Fidelity = Literal["exact", "canonical", "pooled", "simulated", "live", "written", "missing"]
"""written: a model made it up, which counts as no other class and as faithful to nothing."""
KillCause = Literal[
    "memory",
    "cpu_time",
    "wall_time",
    "egress_budget",
    "retry_budget",
    "cancelled",
    "tape_miss",
]
ToolKind = Literal["read", "write", "pure"]
"""read: its result depends on the state; write: it may change the state; pure: only its arguments matter."""

Mode = Literal["agent", "closed_loop", "stepwise", "offline"]
"""How a task is run again. agent: its own command in the cage, the model swapped at the proxy; closed_loop: the engine
drives, a world answers the tools; stepwise: each recorded context once to the candidate, nothing executed; offline:
its own command, and the recorded answers in place of a model.
"""

LossKind = Literal[
    "cache",
    "identifier",
    "media",
    "message",
    "parameter",
    "reasoning",
    "state",
    "stream",
    "system",
    "text",
    "tool",
    "tool_choice",
    "tool_result",
    "tool_schema",
    "unknown",
]


_GIVEN: dict[frozenset[str], set[str]] = {}


class Frozen(BaseModel):
    """Never changed, so that instances which were given the same fields share one set of their names: pydantic keeps
    one for each, which of a large scorecard is more than half.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def model_post_init(self, context: object, /) -> None:
        given = self.__pydantic_fields_set__
        object.__setattr__(self, "__pydantic_fields_set__", _GIVEN.setdefault(frozenset(given), given))


class Limits(Frozen):
    """Limits of one run; None means not limited."""

    memory_mb: float | None = None
    cpu_s: float | None = None
    wall_s: float | None = None
    egress_mb: float | None = None
    max_retries: int | None = None
    spend_usd: float | None = None
    context_tokens: int | None = None


PROXY_LIMITS = ("egress_mb", "max_retries", "spend_usd", "context_tokens")
"""Those that the proxy enforces; the others are the cage's."""


class Certificate(Frozen):
    """For one run: limits asked, limits applied (read back), peaks, kill cause. Without a valid one, no score.

    `peak_memory_mb` is the sampled sum over the process tree (PSS near the limit and for several processes, RSS
    below), never less than `largest_process_mb`: `ru_maxrss` afterwards, the largest single process. `notes` holds
    what else was set (runtime heap hints) or could not be enforced at this grade.
    """

    grade: Literal["portable", "namespaces", "container", "none"]
    asked: Limits
    applied: Limits
    peak_memory_mb: float | None = None
    largest_process_mb: float | None = None
    cpu_s: float | None = None
    wall_s: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    kill_cause: KillCause | None = None
    kill_evidence: str = ""
    stderr_tail: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Each limit that was asked for was really applied."""
        asked = self.asked.model_dump(exclude_none=True)
        applied = self.applied.model_dump(exclude_none=True)
        return all(applied.get(name) == value for name, value in asked.items())


class CheckResult(Frozen):
    """One check of a run. `passed` is None where the check itself could not decide; then it is unknown."""

    kind: Literal["label", "command", "expected_answer", "tape"]
    passed: bool | None
    evidence: str


_LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "num_predict")


class Candidate(Frozen):
    """A model under test. `name` is how reports call it; `parameters` are set in each request, and shown.

    `wire` is the format that its upstream speaks, None where that is each task's own. Parameters are called as that
    format calls them.
    """

    name: str
    upstream: str
    model: str
    parameters: dict[str, float | int | str | bool] = {}
    wire: str | None = None

    @property
    def max_tokens(self) -> int | None:
        """What its parameters limit an answer to, whatever its format calls that."""
        limits = [value for key, value in self.parameters.items() if key in _LENGTHS and type(value) is int]
        return max(limits, default=None)


class Loss(Frozen):
    """Something of a request or a reply that did not come over into another wire format as it was.

    `where` is its place in the format that it was taken from, the same for all messages (`messages[].content[]`);
    `what` says what became of it.
    """

    kind: LossKind
    where: str
    what: str


class Served(Frozen):
    """One tool result of a replay and how it came about. `may_be_stale` where it may rest on a state that writes have
    changed since; the note then says which. `is_error` where the tool itself said so; None where nobody noted it.
    """

    tool: str
    arguments: str
    fidelity: Fidelity
    note: str = ""
    may_be_stale: bool = False
    is_error: bool | None = None


class Approvals(Frozen):
    """People's decisions that a run needed: those `recorded` of the same call, and those on calls that the recorded run
    had not, which were all allowed or all denied.
    """

    recorded: int = 0
    unmatched: int = 0
    unmatched_allowed: bool = False


class Package(Frozen):
    """One installed package; `installed_mb` is the size of its files on disk."""

    name: str
    version: str
    installed_mb: float
    ecosystem: Literal["python", "node"]


class Action(Frozen):
    """What one model answered in one step: the tools that it called, in its order; none for plain text.

    `is_known` is False where there was no answer that can be read; `error` then says why. `violations` are the codes
    of what policy refused of it. Tokens and cost are None where nobody said.
    """

    attempt: str
    model: str
    tools: tuple[str, ...] = ()
    is_known: bool = True
    error: str = ""
    violations: tuple[str, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    latency_s: float = 0.0


class StepResult(Frozen):
    """One recorded step beside what a candidate did in its place; nothing of that was executed.

    `step` is the index of the recorded step in its trajectory. Each `same_…` is None where there is nothing to
    compare: no known action on one side; for arguments, other tools or none; for text, a tool call.
    """

    step: int
    recorded: Action
    candidate: Action
    same_tools: bool | None
    same_arguments: bool | None = None
    same_text: bool | None = None


class Run(Frozen):
    """One trial of one task on one candidate. `status` finished means that it ended by itself or by a limit.

    `min_fidelity` is the share of `served` that must be neither missing nor possibly stale for the run to be ranked.
    `steps` is the result of a stepwise run, `model_answers` how the model's answers came about where a tape gave them.
    """

    id: str
    bakeoff: str
    task: str
    candidate: Candidate
    trial: int
    seed: int
    fingerprint: str
    mode: Mode
    status: Literal["finished", "harness_error"]
    started_at: float
    duration_s: float
    trajectory: str
    sub_agents: tuple[str, ...] = ()
    """Trajectories of its sub-agents, which belong to it too."""
    certificate: Certificate
    checks: tuple[CheckResult, ...] = ()
    answer: str | None = None
    served: tuple[Served, ...] = ()
    steps: tuple[StepResult, ...] = ()
    model_answers: dict[Fidelity, int] = {}
    min_fidelity: float | None = None
    losses: tuple[Loss, ...] = ()
    """What did not come over where the candidate speaks another wire format than the task."""
    approvals: Approvals | None = None
    """None where no call waited for a person."""
    packages: tuple[Package, ...] | None = None
    """What the agent installed, from its file system before and after; None where nobody looked."""
    error: str = ""
    earlier_errors: tuple[str, ...] = ()
    """Of attempts at this run that the harness broke, oldest first."""


class Dataset(Frozen):
    """What was given to all candidates, so that two bake-offs can be told to be of the same tasks.

    `tasks` is the digest of all tasks' contents, `policy` that of limits and policies, `tools` those of each tool's
    definitions by name (more than one where tasks define it otherwise), `parameters` the sets of model parameters
    with which the tasks were recorded.
    """

    count: int
    tasks: str
    policy: str
    tools: dict[str, tuple[str, ...]]
    parameters: tuple[dict[str, object], ...]
    seed: int


class Bakeoff(Frozen):
    """Candidates x tasks x trials. `fingerprint_parts` names each thing that must be equal, with its digest."""

    id: str
    created_at: float
    candidates: tuple[Candidate, ...]
    tasks: tuple[str, ...]
    trials: int
    seed: int
    fingerprint: str
    fingerprint_parts: dict[str, str]
    reference: str | None = None
    """Name of the candidate that the recorded production runs stand for, if they are scored beside the others."""
    weights: dict[str, float] = {}
    tool_kinds: dict[str, ToolKind] = {}
    """Of the tools whose kind is declared, not guessed from their names."""
    constraints: dict[str, object] = {}
    dataset: Dataset | None = None
    mode: Mode | None = None
    """None: each task as it was recorded."""
    stopped: str = ""
    """Why it ended before all planned runs were made."""
    from_step: int | None = None
    """The recorded model step, counted from 1, from which candidates went on; None from the beginning."""
    order: str = ""
    """In which order its runs were begun, in words."""
    left_out: dict[str, str] = {}
    """Tasks that were asked for and cannot be run in this way, each with the reason."""
