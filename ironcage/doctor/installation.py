"""The interpreter, the packages, and other packages that claim our import names."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata, util
from pathlib import Path

from ironcage.doctor.report import Line, fail, ok, warn

ROOMS = ("trajectory", "policies", "proxy", "replay", "scoring", "ironcage")
_LEAST = (3, 12)
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?:>=\s*([0-9.]+))?")


def check_installation() -> Iterator[Line]:
    yield check_python(sys.version_info[:3])
    try:
        requirements = metadata.requires("ironcage") or []
    except metadata.PackageNotFoundError:
        yield warn(
            "packages", "ironcage is not installed as a package here", "install it: make setup, or pip install ."
        )
    else:
        yield check_packages(requirements)
    yield check_import_names(metadata.packages_distributions())


def check_python(version: Sequence[int]) -> Line:
    shown = ".".join(map(str, version))
    if tuple(version[:2]) < _LEAST:
        return fail("python", f"Python {shown} is too old", "use Python 3.12 or newer")
    return ok("python", f"Python {shown}")


def check_packages(requirements: Sequence[str]) -> Line:
    """`requirements` as in a package's metadata; those of extras are left out."""
    wanted = [match for line in requirements if "extra ==" not in line and (match := _REQUIREMENT.match(line))]
    wrong = [problem for match in wanted if (problem := _problem(match[1], match[2]))]
    if wrong:
        return fail("packages", "; ".join(wrong), "install from the lock file: make setup")
    return ok("packages", f"all {len(wanted)} packages are there")


def check_import_names(distributions: Mapping[str, Sequence[str]]) -> Line:
    """`distributions`: import name -> names of the packages that bring it (importlib.metadata)."""
    foreign = {room: [d for d in distributions.get(room, ()) if d.lower() != "ironcage"] for room in ROOMS}
    clashes = [f"{', '.join(names)} brings `{room}`, too" for room, names in foreign.items() if names]
    elsewhere = [room for room in ROOMS if _home(room) != _home("ironcage")]
    if clashes or elsewhere:
        said = "; ".join([*clashes, *(f"`{room}` is imported from {_home(room)}" for room in elsewhere)])
        return fail("import names", said, "give ironcage a virtual environment of its own")
    return ok("import names", "no other package claims an import name of ironcage")


def _home(room: str) -> Path | None:
    spec = util.find_spec(room)
    return Path(spec.origin).parent.parent if spec is not None and spec.origin is not None else None


def _problem(name: str, least: str | None) -> str:
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    return f"{name} {found} is older than {least}" if least and _numbers(found) < _numbers(least) else ""


def _numbers(version: str) -> tuple[int, ...]:
    """Release numbers without trailing zeros: 2.10 is newer than 2.9, and 1.0 is 1."""
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[a-z+]", version)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
