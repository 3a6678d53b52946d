"""The constraints file: the production limits of an agent, the same live and in replay.

All keys are optional, unknown keys are refused. 1 MB = 1024 * 1024 bytes throughout, as in cgroups.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.functional_validators import AfterValidator
from pydantic_core import InitErrorDetails

from policies.hosts import check_pattern
from policies.tools import check_entry
from trajectory.runs import Limits

WRAPPER = "evaluation_config"
MB = 1024 * 1024
# Far above any machine of today, and small enough that the limit in bytes fits the 64 bits of a ledger in SQL.
_MOST = 1e12

Amount = Annotated[float, Field(strict=True, gt=0, le=_MOST, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True, gt=0, le=int(_MOST))]
Weight = Annotated[float, Field(strict=True, ge=0, le=_MOST, allow_inf_nan=False)]
Switch = Annotated[bool, Field(strict=True)]


def _no_duplicates(entries: tuple[str, ...]) -> tuple[str, ...]:
    for index, entry in enumerate(entries):
        if entry in entries[:index]:
            raise ValueError(f"{entry!r} stands in the list twice")
    return entries


_UNIQUE = Field(json_schema_extra={"uniqueItems": True})
ToolList = Annotated[tuple[Annotated[str, AfterValidator(check_entry)], ...], AfterValidator(_no_duplicates), _UNIQUE]
HostList = Annotated[tuple[Annotated[str, AfterValidator(check_pattern)], ...], AfterValidator(_no_duplicates), _UNIQUE]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LimitSection(Section):
    """Limits of one run or trajectory; a key that is absent or null is not limited."""

    memory_limit_mb: Amount | None = Field(default=None, description="Memory of the agent's whole process tree, in MB.")
    cpu_timeout_ms: Whole | None = Field(
        default=None, description="CPU time of the agent's whole process tree, in milliseconds."
    )
    wall_timeout_s: Amount | None = Field(
        default=None, description="Time from the start of a run to its end, in seconds."
    )
    max_retries: Annotated[int, Field(strict=True, ge=0, le=int(_MOST))] | None = Field(
        default=None, description="Retry budget of one trajectory: how often it may send again what has failed."
    )
    allowed_tools: ToolList | None = Field(
        default=None,
        description="Names of the tools that may be offered and called, exactly as written; a name that ends in * "
        "matches each tool that begins so; an empty list allows none.",
    )
    network_egress_limit_mb: Weight | None = Field(
        default=None, description="Bytes that one trajectory may move over the network, in MB; 0 allows none."
    )
    egress_hosts: HostList | None = Field(
        default=None,
        description="Hosts that may be reached beside the configured upstreams: example.com, *.example.com (names "
        "below it) or *, each with an optional :port.",
    )
    spend_limit_usd: Annotated[float, Field(strict=True, ge=0, le=1e9, allow_inf_nan=False)] | None = Field(
        default=None, description="What the model calls of one trajectory may cost together, in US dollars."
    )
    context_limit_tokens: Whole | None = Field(
        default=None, description="Tokens that the prompt of one model call may have."
    )


class MetricsSection(Section):
    """What a report shows of each run."""

    track_resource_usage: Switch = Field(default=True, description="Report peak memory and CPU time of each run.")
    track_tool_calls: Switch = Field(default=True, description="Report the number of tool calls of each run.")
    track_retry_count: Switch = Field(default=True, description="Report the number of retries of each run.")
    error_classification: Switch = Field(
        default=True, description="Report why runs did not pass: model, policy, timeout or infrastructure."
    )


class ScoringSection(Section):
    """Weights of the score formula."""

    success_weight: Weight = Field(default=0.6, description="Weight of the success rate in the score.")
    efficiency_weight: Weight = Field(default=0.4, description="Weight of the efficiency in the score.")
    penalty_oom: Weight = Field(
        default=1.0, description="Subtracted from the score, times the share of runs out of memory."
    )
    penalty_timeout: Weight = Field(
        default=0.8, description="Subtracted from the score, times the share of runs timed out."
    )
    penalty_near_ceiling: Weight = Field(
        default=0.0,
        description="Subtracted from the score, times how far peak memory reached into the zone below its limit, mean "
        "over runs; 0 leaves it out.",
    )
    near_ceiling_from: Annotated[float, Field(strict=True, ge=0, lt=1)] = Field(
        default=0.85, description="Share of the memory limit at which that zone begins."
    )


class Constraints(Section):
    """The whole file, with or without `evaluation_config` around it."""

    constraints: LimitSection = Field(default=LimitSection(), description="Limits of one run or trajectory.")
    metrics: MetricsSection = Field(default=MetricsSection(), description="Which measures a report shows.")
    scoring: ScoringSection = Field(
        default=ScoringSection(), description="How success, efficiency and limits that were hit make one score."
    )

    def limits(self) -> Limits:
        """What a cage is to be asked for."""
        asked = self.constraints
        return Limits(
            memory_mb=asked.memory_limit_mb,
            cpu_s=None if asked.cpu_timeout_ms is None else asked.cpu_timeout_ms / 1000,
            wall_s=asked.wall_timeout_s,
            egress_mb=asked.network_egress_limit_mb,
            max_retries=asked.max_retries,
            spend_usd=asked.spend_limit_usd,
            context_tokens=asked.context_limit_tokens,
        )

    @property
    def egress_limit_bytes(self) -> int | None:
        limit_mb = self.constraints.network_egress_limit_mb
        return None if limit_mb is None else int(limit_mb * MB)

    def digest(self) -> str:
        """SHA-256 of the content in hex: the same for files that mean the same (order, wrapper, spelled defaults)."""
        content = self.model_dump(mode="json", exclude_none=True)  # None means not limited, as does a missing key
        for name in ("allowed_tools", "egress_hosts"):
            if name in content["constraints"]:
                content["constraints"][name].sort()
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @model_validator(mode="wrap")
    @classmethod
    def _unwrapped(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict) or len(data) != 1 or WRAPPER not in data:
            return handler(data)
        try:
            return handler(data[WRAPPER])
        except ValidationError as error:
            raise _inside_wrapper(error) from None


def _inside_wrapper(error: ValidationError) -> ValidationError:
    """The same errors, each at its place below `evaluation_config`."""
    details: list[InitErrorDetails] = []
    for line in error.errors(include_url=False):
        detail = InitErrorDetails(type=line["type"], loc=(WRAPPER, *line["loc"]), input=line["input"])
        if "ctx" in line:
            detail["ctx"] = line["ctx"]
        details.append(detail)
    return ValidationError.from_exception_data(error.title, details)


def schema() -> dict[str, Any]:
    """JSON Schema of the file, for editors and for `ironcage policy schema`."""
    inner = Constraints.model_json_schema(ref_template="#/$defs/{model}")
    definitions = inner.pop("$defs")
    wrapped = {
        "type": "object",
        "properties": {WRAPPER: {"$ref": "#/$defs/Constraints"}},
        "required": [WRAPPER],
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ironcage constraints",
        "anyOf": [{"$ref": "#/$defs/Constraints"}, wrapped],
        "$defs": {**definitions, "Constraints": inner},
    }
