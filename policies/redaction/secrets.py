"""Secrets whose format their issuers publish. A short list of precise formats; no rule by randomness alone.

Each format names pieces of text without which it cannot match: those are looked for first, which is nearly free.
Sources (read as of 2026): OpenAI, Anthropic, Google Cloud, Stripe, Slack, npm and PyPI developer pages; AWS IAM
"Understanding unique ID prefixes"; GitHub "About authentication to GitHub, token formats"; GitLab "Token overview";
RFC 7468 (PEM), RFC 7519 (JWT), RFC 6750 and 7617 (Authorization), RFC 3986 section 3.2.1 (user information).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SecretFormat:
    """What `pattern`'s group `secret`, or else the whole match, covers is the secret. `gates` are in lower case."""

    name: str
    gates: tuple[str, ...]
    pattern: re.Pattern[str]


def _format(name: str, gates: str, pattern: str, flags: int = re.ASCII) -> SecretFormat:
    return SecretFormat(name, tuple(gates.split()), re.compile(pattern, flags))


MASK = "***"

FORMATS: tuple[SecretFormat, ...] = (
    _format("openai", "sk-", r"(?<![A-Za-z0-9_])sk-(?=[A-Za-z_-]{0,200}\d)[A-Za-z0-9_-]{20,250}"),
    _format("anthropic", "sk-ant-", r"(?<![A-Za-z0-9_])sk-ant-[a-z]{2,10}\d{0,2}-[A-Za-z0-9_-]{20,250}"),
    _format("aws_access_key_id", "akia asia", r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])"),
    _format(
        "aws_secret_access_key",
        "secret",
        r"aws_?secret_?(?:access_?)?key[\"'\\]*\s{0,3}[:=]\s{0,3}[\"'\\]*(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
        re.ASCII | re.IGNORECASE,
    ),
    _format("github", "ghp_ gho_ ghu_ ghs_ ghr_", r"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{36,255}"),
    _format("github_fine_grained", "github_pat_", r"(?<![A-Za-z0-9])github_pat_[A-Za-z0-9_]{22,255}"),
    _format(
        "gitlab",
        "glpat- gldt- glrt- glcbt- glptt- glft- glsoat- glagent- gloas-",
        r"(?<![A-Za-z0-9])gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas)-[A-Za-z0-9_.-]{19,300}[A-Za-z0-9]",
    ),
    _format("slack", "xox xapp-", r"(?<![A-Za-z0-9])(?:xox[abeoprs](?:\.xox[bp])?|xapp)-[A-Za-z0-9-]{10,250}"),
    _format(
        "slack_webhook",
        "hooks.slack.com",
        r"hooks\.slack\.com/(?:services|workflows)/(?P<secret>[A-Za-z0-9/+_-]{30,120})",
    ),
    _format("google_api_key", "aiza", r"(?<![A-Za-z0-9_-])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    _format(
        "google_oauth", "gocspx- ya29.", r"(?<![A-Za-z0-9_-])(?:GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{20,400})"
    ),
    _format(
        "stripe",
        "sk_live_ sk_test_ rk_live_ rk_test_ whsec_",
        r"(?<![A-Za-z0-9])(?:[sr]k_(?:live|test)_[A-Za-z0-9]{16,250}|whsec_[A-Za-z0-9+/=]{24,120})",
    ),
    _format("npm", "npm_", r"(?<![A-Za-z0-9_])npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    _format("pypi", "pypi-age", r"(?<![A-Za-z0-9])pypi-AgE[A-Za-z0-9_-]{50,1000}"),
    _format("sendgrid", "sg.", r"(?<![A-Za-z0-9])SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),
    _format("hugging_face", "hf_", r"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{34,40}(?![A-Za-z0-9])"),
    # the end line may be missing where a tool has cut the key; the rest of the block is as secret
    _format(
        "pem_private_key",
        "private",
        r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?!-----)[A-Za-z0-9+/=\s\\:,.()-]){0,20000}"
        r"(?:-----END (?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----)?",
    ),
    _format(
        "jwt", "eyj", r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,4000}\.eyJ[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{0,2000}"
    ),
    _format(
        "authorization",
        "authorization",
        r"authorization[\"'\\]{0,6}\s{0,3}[:=]\s{0,3}[\"'\\]{0,6}(?:bearer|basic|token)\s{1,3}(?P<secret>[A-Za-z0-9._~+/=-]{8,8000})",
        re.ASCII | re.IGNORECASE,
    ),
    _format(
        "bearer",
        "bearer",
        r"(?<![A-Za-z])bearer\s{1,3}(?P<secret>(?=[A-Za-z._~+/-]{0,200}\d)[A-Za-z0-9._~+/-]{20,8000}={0,2})",
        re.ASCII | re.IGNORECASE,
    ),
    _format(
        "url_password",
        "://",
        r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/?#:@\"'<>\\]{0,100}:(?P<secret>[^\s/?#@\"'<>\\\0]{2,200})@(?=[A-Za-z0-9\[])",
        0,
    ),
)


def _by_sign() -> dict[str, list[tuple[str, SecretFormat]]]:
    """Gates with their formats, under a sign that each of them holds and little prose does; "" for the rest."""
    signs: dict[str, list[tuple[str, SecretFormat]]] = {"-": [], "_": [], "": []}
    for secret_format in FORMATS:
        for gate in secret_format.gates:
            signs[next(sign for sign in signs if sign in gate)].append((gate, secret_format))
    return signs


_GATES = _by_sign()

_PLACEHOLDER = re.compile(
    r"[*.x<>\[\]{}$%_-]*|\$.*|\{.*\}|<.*>|%.*%|(?:your|my|the|some|example)[-_ ].*", re.IGNORECASE | re.DOTALL
)


def find_secrets(text: str) -> list[tuple[int, int]]:
    """(start, end) of each secret; spans of different formats may overlap."""
    folded = text.lower()
    possible = {
        secret_format.name: secret_format
        for sign, gates in _GATES.items()
        if sign in folded
        for gate, secret_format in gates
        if gate in folded
    }
    spans: list[tuple[int, int]] = []
    for secret_format in possible.values():
        group = "secret" if "secret" in secret_format.pattern.groupindex else 0
        spans += [
            match.span(group)
            for match in secret_format.pattern.finditer(text)
            if not is_placeholder(match.group(group))
        ]
    return spans


def without_secrets(text: str) -> str:
    """`text` with `***` in the place of each secret, for what is written down where no redaction is set up, too."""
    kept, at = "", 0
    for start, end in sorted(find_secrets(text)):
        if end > at:
            kept += text[at : max(start, at)] + (MASK if start >= at else "")
            at = end
    return kept + text[at:] if at else text


def is_placeholder(value: str) -> bool:
    """Whether this stands in a document in the place of a secret: `***`, `${TOKEN}`, `<your key>`, `xxxx`."""
    return _PLACEHOLDER.fullmatch(value) is not None
