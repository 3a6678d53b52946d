from __future__ import annotations

import pytest

from ironcage.doctor.installation import check_import_names, check_installation, check_packages, check_python


def test_this_installation_is_sound() -> None:
    assert [line for line in check_installation() if line.status != "ok"] == []


@pytest.mark.parametrize(("version", "status"), [((3, 11, 9), "fail"), ((3, 12, 0), "ok"), ((4, 0, 0), "ok")])
def test_python_before_3_12_fails(version: tuple[int, ...], status: str) -> None:
    assert check_python(version).status == status


@pytest.mark.parametrize(
    ("requirement", "status"),
    [
        ("pydantic>=2.0", "ok"),
        ("pydantic", "ok"),
        ("pydantic>=2.9999", "fail"),
        ("no-such-package-here>=1", "fail"),
        ("no-such-package-here>=1; extra == 'postgres'", "ok"),
        ("uvloop>=0.9; sys_platform != 'win32'", "ok"),
    ],
)
def test_missing_and_old_packages_are_named(requirement: str, status: str) -> None:
    line = check_packages([requirement])
    assert line.status == status
    if status == "fail":
        assert requirement.partition(">")[0] in line.message


def test_package_that_brings_our_import_names_is_named() -> None:
    line = check_import_names({"proxy": ["proxy.py"], "replay": ["replay-rec", "ironcage"], "yaml": ["PyYAML"]})
    assert line.status == "fail"
    assert "proxy.py brings `proxy`" in line.message
    assert "replay-rec brings `replay`" in line.message
    assert "virtual environment" in line.hint
    assert check_import_names({"proxy": ["ironcage"], "yaml": ["PyYAML"]}).status == "ok"
