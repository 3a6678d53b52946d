"""Versions of what computed and drew the report; printed at its end."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version


def versions() -> dict[str, str]:
    return {
        "Python": platform.python_version(),
        **{name: _version(name) for name in ("ironcage", "scipy", "matplotlib", "genai-prices")},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"
