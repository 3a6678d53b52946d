"""`policies.tools.arguments`: what the arguments of a tool's calls must be."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.functional_validators import AfterValidator

from policies.arguments.paths import check_folder
from policies.arguments.patterns import check_pattern
from policies.arguments.places import check_place
from policies.hosts import check_pattern as check_host
from policies.tools import check_entry

Patterns = Annotated[tuple[Annotated[str, AfterValidator(check_pattern)], ...], Field(min_length=1)]
Folders = Annotated[tuple[Annotated[str, AfterValidator(check_folder)], ...], Field(min_length=1)]
Hosts = Annotated[tuple[Annotated[str, AfterValidator(check_host)], ...], Field(min_length=1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class ArgumentConditions(BaseModel):
    """What one argument must be, or each value at a place in one: all that is set here must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow: Patterns | None = Field(
        default=None,
        description="Regular expressions, one of which must match the whole text. They are matched in linear time, so "
        "they have no look-around and no backreferences.",
    )
    deny: Patterns | None = Field(
        default=None, description="Regular expressions, none of which may match anywhere in the text."
    )
    under: Folders | None = Field(
        default=None,
        description="The argument is a path in one of these folders, or one of them itself; . is where relative paths "
        "begin. Paths with .., %, ~, $, quotes, backslashes or what a shell reads otherwise are refused.",
    )
    hosts: Hosts | None = Field(
        default=None,
        description="The argument is an http or https URL of one of these hosts (as in constraints.egress_hosts), "
        "without user name or password.",
    )
    min: Number | None = Field(default=None, description="The argument is a number, and at least this.")
    max: Number | None = Field(default=None, description="The argument is a number, and at most this.")
    optional: bool = Field(
        default=False, strict=True, description="Whether a call may leave it out; by default it may not."
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        of_text = any(x is not None for x in (self.allow, self.deny, self.under, self.hosts))
        if not of_text and not self.is_number:
            raise ValueError("no condition is set: write allow, deny, under, hosts, min or max")
        if of_text and self.is_number:
            raise ValueError("a number has no text: min and max stand alone")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is more than max, so every call would be refused")
        if self.under is not None and self.hosts is not None:
            raise ValueError("no argument is both a path (under) and a URL (hosts)")
        return self

    @property
    def is_number(self) -> bool:
        return self.min is not None or self.max is not None


ToolName = Annotated[str, AfterValidator(check_entry)]
ArgumentName = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(check_place)]
ArgumentSettings = dict[ToolName, Annotated[dict[ArgumentName, ArgumentConditions], Field(min_length=1)]]
