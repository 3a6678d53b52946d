"""What the configuration says of the proxy itself."""

from __future__ import annotations

from functools import cached_property
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Upstream(BaseModel):
    """A model or a tool behind the proxy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field(description="Where it is: http or https, host, and any path that all its requests share.")
    kind: Literal["model", "tool", "mcp"] = Field(
        default="model", description="model: a model API; tool: plain HTTP tools; mcp: an MCP server."
    )
    wire: Literal["", "openai_chat", "openai", "anthropic", "gemini", "mistral"] = Field(
        default="", description="The vendor whose variables `ironcage run` sets for it; found by name or host if empty."
    )
    api_key_env: str | None = Field(
        default=None,
        description="Environment variable that holds its key, sent as its API wants it instead of the agent's.",
    )
    ca_file: str | None = Field(
        default=None, description="Certificates (PEM) to trust for it, instead of the system's; for private CAs."
    )
    tools: dict[str, str] = Field(
        default={},
        description='Names of tools by "METHOD /path" (and all below that path); otherwise the path is the name.',
    )
    allow_paths: tuple[str, ...] = Field(
        default=(),
        description='Further "METHOD /path" of a model API that pass without being judged as model calls; "/*" at the '
        "end of one stands for all below it, such as the ids of stored responses.",
    )
    connect_timeout_s: float = Field(default=10.0, gt=0, description="How long a connection may take to open.")
    idle_timeout_s: float = Field(
        default=600.0, gt=0, description="How long it may stay silent, before and within a reply."
    )

    @field_validator("base_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("should be an http or https URL with a host")
        if parts.query or parts.fragment or parts.username:
            raise ValueError("should hold no query, fragment or user name")
        return value.rstrip("/")

    @cached_property
    def host(self) -> str:
        """host, and the port where it is not the scheme's own."""
        parts = urlsplit(self.base_url)
        name = parts.hostname or ""
        name = f"[{name}]" if ":" in name else name
        return name if parts.port in (None, 443 if parts.scheme == "https" else 80) else f"{name}:{parts.port}"

    @cached_property
    def origin(self) -> tuple[str, str, int]:
        parts = urlsplit(self.base_url)
        return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @cached_property
    def path(self) -> str:
        return urlsplit(self.base_url).path
