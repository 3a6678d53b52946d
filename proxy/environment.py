"""What an agent needs in its environment to find the proxy: base URLs, proxy addresses, and whom to trust.

Which vendor's variables an upstream gets is decided for upstreams of kind `model`, in this order:
1. its `wire`, if the configuration names one (anthropic, gemini, openai and their kin);
2. its name in the configuration (`openai`, `anthropic`, `gemini` or `google`, `mistral`);
3. the host of its base URL (api.openai.com, api.anthropic.com, ...).
Of several upstreams of one vendor the one that bears the vendor's name wins, else the first. Every upstream,
tools too, also gets `IRONCAGE_URL_<NAME>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from trajectory.errors import OperatorError

APPROVALS_TOKEN = "IRONCAGE_APPROVALS_TOKEN"  # noqa: S105 -- the name of the variable
"""Who has it may decide on calls that wait for a person: no agent may."""

Vendor = Literal["openai", "anthropic", "gemini", "mistral"]

# Each vendor's variables, and whether their value ends in the API's version: SDKs of the others add it themselves.
_VARIABLES: dict[Vendor, tuple[tuple[str, ...], bool]] = {
    "openai": (("OPENAI_BASE_URL", "OPENAI_API_BASE"), True),
    "anthropic": (("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"), False),
    "gemini": (("GOOGLE_GEMINI_BASE_URL",), False),
    "mistral": (("MISTRAL_API_BASE",), True),
}
_NAMES: dict[str, Vendor] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "google": "gemini",
    "mistral": "mistral",
}
_HOSTS: dict[str, Vendor] = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    "api.mistral.ai": "mistral",
}
_VERSIONED_PATH = re.compile(r"/v\d+\w*$")


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """An upstream as the configuration names it."""

    base_url: str
    kind: str = "model"
    wire: str = ""


def without_approvals_token(environment: Mapping[str, str]) -> dict[str, str]:
    """What a process may inherit that an agent controls, or that an agent's output controls."""
    return {name: value for name, value in environment.items() if name != APPROVALS_TOKEN}


def child_environment(
    *,
    data_url: str,
    session: str,
    upstreams: Mapping[str, UpstreamAddress],
    proxy_url: str | None,
    ca_file: Path | None,
    ca_bundle: Path | None,
    access_token: str = "x",  # noqa: S107 -- any password opens a door that asks for no token
    inherited: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The variables to set for an agent of `session`; `inherited` is what it would have otherwise.

    `data_url` and `proxy_url` are `http://host:port`; without a proxy door (None) no proxy is set and the CA is
    not named. Raises OperatorError where two upstreams would share a variable.
    """
    environment = {"IRONCAGE_URL": data_url, "IRONCAGE_SESSION": session}
    environment |= _base_urls(f"{data_url}/s/{session}", upstreams)
    data_address = urlsplit(data_url).netloc
    if proxy_url is None or ca_file is None or ca_bundle is None:
        before = inherited or {}
        exempt = before.get("no_proxy") or before.get("NO_PROXY") or ""
        host = urlsplit(data_url).hostname or ""
        return environment | _both_cases("no_proxy", ",".join(filter(None, (exempt, data_address, host))))
    return environment | _proxy_variables(proxy_url, session, access_token, data_address) | _trust(ca_file, ca_bundle)


def _base_urls(root: str, upstreams: Mapping[str, UpstreamAddress]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in upstreams:
        variable = "IRONCAGE_URL_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
        if variable in found:
            raise OperatorError(f"upstreams share the variable {variable}", hint=f"rename the upstream {name}")
        found[variable] = f"{root}/{name}"
    for name, vendor in _chosen(upstreams).items():
        variables, versioned = _VARIABLES[vendor]
        has_version = _VERSIONED_PATH.search(urlsplit(upstreams[name].base_url).path.rstrip("/"))
        suffix = "/v1" if versioned and not has_version else ""
        found |= dict.fromkeys(variables, f"{root}/{name}{suffix}")
    return found


def _chosen(upstreams: Mapping[str, UpstreamAddress]) -> dict[str, Vendor]:
    """At most one upstream for each vendor."""
    by_vendor: dict[Vendor, str] = {}
    for name, upstream in upstreams.items():
        vendor = vendor_of(name, upstream)
        if vendor is not None and (vendor not in by_vendor or _NAMES.get(name) == vendor):
            by_vendor[vendor] = name
    return {name: vendor for vendor, name in by_vendor.items()}


def vendor_of(name: str, upstream: UpstreamAddress) -> Vendor | None:
    """Whose API a model upstream speaks, in the order that stands above; None if nothing tells."""
    if upstream.kind != "model":
        return None
    wire = upstream.wire.replace("-", "_").partition("_")[0]  # openai_chat, anthropic_messages, ...
    return _NAMES.get(wire) or _NAMES.get(name) or _HOSTS.get(urlsplit(upstream.base_url).hostname or "")


def _proxy_variables(proxy_url: str, session: str, access_token: str, data_address: str) -> dict[str, str]:
    # A colon would end the user name in Basic credentials: it is encoded twice, and the door decodes once more.
    user = quote(session.replace(":", "%3A"), safe="")
    address = urlsplit(proxy_url).netloc
    with_session = f"http://{user}:{quote(access_token, safe='')}@{address}"
    environment: dict[str, str] = {"NODE_USE_ENV_PROXY": "1"}
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        environment |= _both_cases(name, with_session)
    # Host with port, and nothing else: tools on the same loopback must come through the door. Of eight clients
    # measured (2026-11-23) urllib, httpx and httpx2 read it as meant; curl, requests, aiohttp, git and wget match
    # nothing and send base-URL traffic through the door too, where the gateway knows its own address. None
    # exempted the whole host.
    return environment | _both_cases("no_proxy", data_address)


def _trust(ca_file: Path, ca_bundle: Path) -> dict[str, str]:
    # Most of these replace the trust store, so they name the bundle; node's adds to it.
    replacing = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT")
    return dict.fromkeys(replacing, str(ca_bundle)) | {
        "NODE_EXTRA_CA_CERTS": str(ca_file),
        "CODEX_CA_CERTIFICATE": str(ca_bundle),
    }


def _both_cases(name: str, value: str) -> dict[str, str]:
    return {name: value, name.upper(): value}
