"""The first configuration: what the environment tells, as a commented file. Keys are named, never written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import ValidationError

from ironcage.settings import Settings
from policies.constraints import Constraints
from policies.loading import load_model
from proxy.settings import Upstream

MB = 1024 * 1024
CONSTRAINTS_FILE = "constraints.json"


@dataclass(frozen=True, slots=True)
class Vendor:
    """Environment variables that name its key and its address; the first that is set counts."""

    name: str
    url: str
    keys: tuple[str, ...]
    urls: tuple[str, ...] = ()


VENDORS = (
    Vendor("openai", "https://api.openai.com", ("OPENAI_API_KEY",), ("OPENAI_BASE_URL", "OPENAI_API_BASE")),
    Vendor(
        "anthropic",
        "https://api.anthropic.com",
        ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
        ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"),
    ),
    Vendor(
        "gemini",
        "https://generativelanguage.googleapis.com",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        ("GOOGLE_GEMINI_BASE_URL",),
    ),
    Vendor("mistral", "https://api.mistral.ai", ("MISTRAL_API_KEY",), ("MISTRAL_API_BASE",)),
    Vendor("groq", "https://api.groq.com/openai", ("GROQ_API_KEY",)),
    Vendor("openrouter", "https://openrouter.ai/api", ("OPENROUTER_API_KEY",)),
    Vendor("deepseek", "https://api.deepseek.com", ("DEEPSEEK_API_KEY",)),
)


@dataclass(frozen=True, slots=True)
class Machine:
    memory_bytes: int
    cpus: int


@dataclass(frozen=True, slots=True)
class Found:
    """An upstream and the variables that told of it. `unusable` names a variable whose address cannot be written."""

    name: str
    base_url: str
    told_by: tuple[str, ...]
    unusable: str = ""


def found_upstreams(environment: Mapping[str, str]) -> list[Found]:
    found = []
    for vendor in VENDORS:
        keys = [name for name in vendor.keys if environment.get(name)][:1]
        named = next((name for name in vendor.urls if environment.get(name)), None)
        if named is not None and _is_ours(environment[named], environment):
            named = None
        if not keys and named is None:
            continue
        url = _origin(environment[named]) if named is not None else vendor.url
        told_by = (*keys, *([named] if named is not None else []))
        unusable = named if named is not None and not _is_upstream(url) else ""
        found.append(Found(vendor.name, vendor.url if unusable else url, told_by, unusable or ""))
    return found


def suggested_constraints(machine: Machine) -> Constraints:
    """What one run may use so that as many runs as there are CPUs fit on the machine; live limits are wide."""
    share = machine.memory_bytes / 2 / max(machine.cpus, 1) / MB
    memory_mb = min(4096, max(256, int(share // 256) * 256))
    limits = {"memory_limit_mb": memory_mb, "cpu_timeout_ms": 120_000, "wall_timeout_s": 600, "max_retries": 5}
    return Constraints.model_validate({"constraints": limits})


def constraints_text(constraints: Constraints) -> str:
    content = constraints.model_dump(mode="json", exclude_none=True)
    return json.dumps({"evaluation_config": content}, indent=2) + "\n"


def settings_text(upstreams: list[Found]) -> str:
    """A file that loads as it is: checked here. Raises OperatorError, which would be a bug."""
    text = _TEMPLATE.format(upstreams=_upstreams(upstreams))
    load_model(text, Settings, name="the new configuration")
    return text


def _upstreams(found: list[Found]) -> str:
    if not found:
        return _NO_UPSTREAMS
    lines = ["upstreams:"]
    for one in found:
        lines.append(f"  {one.name}:  # found: {', '.join(one.told_by)}")
        if one.unusable:
            lines.append(
                f"    # {one.unusable} is set to an address that cannot stand here (user name, query or no host)"
            )
        lines.append(f"    base_url: {json.dumps(one.base_url)}")
    return "\n".join([*lines, _MORE_UPSTREAMS])


def _origin(url: str) -> str:
    """Without the /v1 that SDKs want at the end: clients of the proxy say it themselves."""
    return url.strip().rstrip("/").removesuffix("/v1")


def _is_ours(url: str, environment: Mapping[str, str]) -> bool:
    """The address of a running ironcage, set by `ironcage run`: an upstream must not lead back to the proxy."""
    own = environment.get("IRONCAGE_URL")
    return bool(own) and urlsplit(url).netloc == urlsplit(str(own)).netloc


def _is_upstream(url: str) -> bool:
    try:
        Upstream(base_url=url)
    except (ValidationError, ValueError):
        return False
    return url.isprintable()


_NO_UPSTREAMS = """\
# No key or address of a model was found in the environment. Name what your agent calls, for example:
# upstreams:
#   openai: {base_url: "https://api.openai.com"}
#   orders: {base_url: "http://127.0.0.1:9000", kind: tool}"""

_MORE_UPSTREAMS = """\
  # A tool that is reached over HTTP; its calls are judged and recorded as tool calls:
  # orders: {base_url: "http://127.0.0.1:9000", kind: tool}"""

_TEMPLATE = """\
# ironcage: what stands between your agents and the models and tools that they call.
# Every key can be left out; `ironcage policy schema` knows them all. No key of a provider belongs here:
# agents send their own, or `api_key_env: VARIABLE` of an upstream names where the proxy finds one.

# Where agents reach the proxy: http://127.0.0.1:8800/NAME/... for the upstream NAME.
listen: 127.0.0.1:8800

# Console, JSON API, metrics and health. Off loopback it needs `access_token`.
admin_listen: 127.0.0.1:8801

# The HTTPS_PROXY door, for agents and tools that only know proxy variables. Closed while this is a comment.
# forward_listen: 127.0.0.1:8802

# Where trajectories are kept; postgresql://USER@HOST/DATABASE to share them.
store: sqlite:///ironcage.db

# Models and tools. The name is the first part of the path in a base URL. Judged are chat completions and Responses
# (OpenAI), Messages (Anthropic), both APIs of Gemini, and Ollama's; other routes of a model are refused, unless the
# upstream's `allow_paths` lists them. An MCP server is an upstream with `kind: mcp`.
{upstreams}

# The limits, the same live and in replay. Worth adding there once you know your agent (`ironcage profile` measures):
# "allowed_tools": names of the only tools it may be offered and call; "network_egress_limit_mb": its bytes;
# "spend_limit_usd": what its model calls may cost together; "context_limit_tokens": how large a prompt may be.
constraints: constraints.json

policies:
  # Personal data leaves only as pseudonyms, and is put back in replies. Off while this is a comment.
  # redaction: {{}}
  retries:
    # What an agent gets when max_retries is spent: refuse, or final_message for clients that repeat on every error.
    on_exhausted: refuse

recording:
  # normal: survives a kill of the proxy; strict: also loss of power.
  durability: normal
"""
