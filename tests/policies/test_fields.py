from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from policies import fields


class Leaf(BaseModel):
    size: int = 0
    colour: str = Field(default="", alias="color")


class Branch(BaseModel):
    leaves: dict[str, Leaf] = {}
    row: tuple[Leaf, ...] = ()
    one: Annotated[Leaf | str, "either"] = ""
    maybe: Leaf | None = None


class Tree(BaseModel):
    trunk: Branch = Branch()
    again: Tree | None = None


def test_names_at_any_depth() -> None:
    assert fields.names_at(Tree, ()) == ("trunk", "again")
    for loc in (
        ("trunk", "leaves", "x"),
        ("trunk", "row", 3),
        ("trunk", "one"),
        ("trunk", "one", "Leaf"),
        ("trunk", "maybe"),
    ):
        assert fields.names_at(Tree, loc) == ("size", "color"), loc
    assert fields.names_at(Tree, ("trunk", "leaves", "x", "size")) == ()


def test_nearest_name_forgives_case_and_hyphens_but_not_everything() -> None:
    names = ["max_retries", "memory_limit_mb"]
    assert fields.nearest("Max-Retrys", names) == "max_retries"
    assert fields.nearest("zzz", names) is None
    assert fields.nearest("zzz", []) is None


def test_home_is_the_first_section_that_has_the_key() -> None:
    assert fields.home_of(Tree, "row") == "trunk"
    assert fields.home_of(Tree, "color") == "trunk.one"
    assert fields.home_of(Tree, "trunk") == ""
    assert fields.home_of(Tree, "max") is None


def test_section_is_a_model_that_may_not_be_absent() -> None:
    assert fields.is_section(Tree, ("trunk",))
    assert fields.is_section(Tree, ("trunk", "leaves", "x"))
    for path in (("trunk", "maybe"), ("trunk", "one"), ("trunk", "row"), ("again",)):
        assert not fields.is_section(Tree, path), path
