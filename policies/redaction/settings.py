"""The settings of redaction: what is looked for, which values operators declare, what may be restored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from policies.redaction.tokens import KIND

KINDS = ("EMAIL", "CARD", "IBAN", "SSN", "IP", "PHONE", "SECRET")
"""Kinds with a built-in detector. Known values may use any other kind of 2 to 16 capital letters."""

MIN_KNOWN_LENGTH = 4
"""Shorter declared values would be found inside ordinary words and numbers."""

DEFAULT_KNOWN_KIND = "KNOWN"


class RedactionSettings(BaseModel):
    """What leaves the house only as a pseudonym."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: tuple[str, ...] = Field(
        default=KINDS,
        description="Kinds of personal data and secrets that are detected: EMAIL, CARD, IBAN, SSN, IP, PHONE, SECRET.",
    )
    known_values: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        repr=False,
        description="Values that are always masked, as a mapping from kind to values, or as a list (kind KNOWN).",
    )
    known_values_file: Path | None = Field(
        default=None,
        description="File of further known values: JSON of the same shape, or plain text with one value a line.",
    )
    restore: bool = Field(
        default=True,
        description="Whether pseudonyms in replies are turned back into the values before the client gets them.",
    )
    never_restore: tuple[str, ...] = Field(
        default=("SECRET",),
        description="Kinds whose pseudonyms stay pseudonyms even when restore is on.",
    )
    refuse: tuple[str, ...] = Field(
        default=(),
        description="Kinds that may not leave at all, not even as a pseudonym: a request to a model or a tool that "
        "holds one is refused.",
    )
    max_text_bytes: int = Field(
        default=4 * 1024 * 1024,
        gt=0,
        description="Longest single text in bytes of UTF-8 that is scanned; a longer one is refused, never let pass.",
    )

    @field_validator("types", mode="after")
    @classmethod
    def _only_built_in(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"there is no detector for {kind!r}; choose from {', '.join(KINDS)}")
        return tuple(dict.fromkeys(kinds))

    @field_validator("never_restore", "refuse", mode="after")
    @classmethod
    def _well_formed_kinds(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(checked_kind(kind) for kind in kinds))

    @field_validator("known_values", mode="before")
    @classmethod
    def _declared_values(cls, declared: Any) -> dict[str, tuple[str, ...]]:
        return checked_values(declared)


def checked_kind(kind: str) -> str:
    if not KIND.fullmatch(kind):
        raise ValueError(f"a kind is 2 to 16 capital letters A to Z, not {kind!r}")
    return kind


def checked_values(declared: Any) -> dict[str, tuple[str, ...]]:
    """Kind to stripped, distinct values, from a mapping or a list. Error messages never quote a value."""
    if declared is None:
        return {}
    if isinstance(declared, str):
        raise ValueError("known values are a list, or a mapping from kind to a list; this is a single string")  # noqa: TRY004 -- pydantic reports only ValueError
    mapping = declared if isinstance(declared, dict) else {DEFAULT_KNOWN_KIND: declared}
    return {checked_kind(str(kind)): _stripped(str(kind), values) for kind, values in mapping.items()}


def _stripped(kind: str, values: Any) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, list | tuple | set | frozenset):
        raise ValueError(f"the known values of {kind} are a list of strings")  # noqa: TRY004
    stripped = []
    for position, value in enumerate(values, start=1):
        if not isinstance(value, str):
            raise ValueError(f"known value {position} of {kind} is not a string; put it in quotes")  # noqa: TRY004
        text = value.strip()
        if len(text) < MIN_KNOWN_LENGTH:
            raise ValueError(
                f"known value {position} of {kind} has {len(text)} characters; "
                f"at least {MIN_KNOWN_LENGTH} are needed, or ordinary text would be masked"
            )
        stripped.append(text)
    return tuple(dict.fromkeys(stripped))
