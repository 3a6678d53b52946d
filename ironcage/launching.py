"""The command of an agent as it may be written down: without the secrets that stand in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from policies.redaction.secrets import MASK, without_secrets
from proxy.url_keys import is_key_name, masked_keys

_OPTION = re.compile(r"(?P<dashes>-{0,2})(?P<name>[A-Za-z][\w.-]*)(?:(?P<equals>=)(?P<value>.*))?", re.DOTALL)
_SECRET_ENDINGS = (
    "api_key",
    "apikey",
    "access_key",
    "secret_key",
    "token",
    "secret",
    "password",
    "passwd",
    "credential",
)


def recordable(command: Sequence[str]) -> tuple[str, ...]:
    """Each secret as `***`: the value of `--api-key VALUE`, of `TOKEN=VALUE` and of a URL's key, and known formats.

    The program itself is left as it is.
    """
    words: list[str] = list(command[:1])
    is_value = False
    for word in command[1:]:
        option = _OPTION.fullmatch(word)
        if is_value and not word.startswith("--"):
            words.append(MASK)
            is_value = False
            continue
        is_secret = option is not None and _is_secret(option["name"], is_option=bool(option["dashes"]))
        if option is not None and is_secret and option["equals"]:
            words.append(word[: option.start("value")] + MASK)
        else:
            words.append(without_secrets(masked_keys(word)))
        is_value = option is not None and is_secret and bool(option["dashes"]) and not option["equals"]
    return tuple(words)


def _is_secret(name: str, *, is_option: bool) -> bool:
    """Names of options and of variables; `key` alone only as an option, as elsewhere it may be anything."""
    plain = name.lower().replace("-", "_").replace(".", "_")
    return plain.endswith(_SECRET_ENDINGS) or (is_option and is_key_name(plain))
