from __future__ import annotations

import base64

import pytest

from policies.redaction.secrets import FORMATS, find_secrets

MIXED = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC3dE5fG7hJ9kL"  # 47 letters and digits
JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890"}', b"signature-bytes-here")
)
# put together here so that no scanner takes this file for a leak
SECRETS = {
    "openai": "sk-" + "proj-" + MIXED,
    "anthropic": "sk-" + "ant-api03-" + MIXED,
    "aws_access_key_id": "AKIA" + "IOSFODNN7EXAMPLE",
    "github": "ghp" + "_" + MIXED[:36],
    "github_fine_grained": "github" + "_pat_" + MIXED,
    "gitlab": "glpat" + "-" + MIXED[:20],
    "slack": "xoxb" + "-123456789012-" + MIXED[:24],
    "google_api_key": "AIza" + MIXED[:35],
    "stripe": "sk" + "_live_" + MIXED[:24],
    "npm": "npm" + "_" + MIXED[:36],
    "pypi": "pypi" + "-AgE" + MIXED + MIXED,
    "sendgrid": "SG." + MIXED[:22] + "." + MIXED[:43],
    "hugging_face": "hf" + "_" + MIXED[:34],
    "jwt": JWT,
}


def spans(text: str) -> set[str]:
    return {text[start:end] for start, end in find_secrets(text)}


@pytest.mark.parametrize(("name", "secret"), SECRETS.items())
def test_a_published_format_is_found_whole_in_prose_and_in_code(name: str, secret: str) -> None:
    assert name in {secret_format.name for secret_format in FORMATS}
    for text in (f"use {secret} for it", f'key = "{secret}"', f"?k={secret}&x", f"{secret}\n"):
        assert secret in spans(text), text


def test_of_a_header_only_the_credential_is_the_secret() -> None:
    assert spans("Authorization: Bearer abcdefgh12345678") == {"abcdefgh12345678"}
    assert spans('{"authorization": "Basic dXNlcjpwYXNz"}') == {"dXNlcjpwYXNz"}
    assert spans("curl -H 'authorization: token abcdefgh'") == {"abcdefgh"}


def test_of_a_url_only_the_password_is_the_secret() -> None:
    assert spans("postgres://app:hunter2@db.example.com/x") == {"hunter2"}
    assert spans("redis://:hunter2@10.0.0.1:6379") == {"hunter2"}


def test_a_private_key_is_found_with_its_lines_also_when_escaped_or_cut() -> None:
    begin, end = "-----BEGIN RSA PRIVATE " + "KEY-----", "-----END RSA PRIVATE " + "KEY-----"
    for block in (f"{begin}\nMIIEabc=\n{end}", f"{begin}\\nMIIEabc=\\n{end}", f"{begin}\nMIIEabc="):
        assert spans(f"x {block}") == {block}


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer ${TOKEN}",
        "Authorization: Bearer <your token>",
        "postgres://user:***@db",
        "https://example.com:8080/a@b",
        "the bearer of bad news is here to stay",
        "sk-folding-cube-wrapper-element",
        "task-management-system-v2-with-a-long-name-1",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "8f14e45f-ceea-467f-9a36-dcc2dd7d7f3b",
        "risk_test_of_the_model and AKIA",
    ],
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert spans(text) == set()
