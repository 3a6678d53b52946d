from __future__ import annotations

import pytest
from pydantic import ValidationError

from policies.redaction.settings import KINDS, RedactionSettings


def test_defaults_detect_every_built_in_kind_and_never_restore_secrets() -> None:
    settings = RedactionSettings()
    assert settings.types == KINDS
    assert settings.restore
    assert settings.never_restore == ("SECRET",)


def test_each_field_has_a_sentence() -> None:
    for name, field in RedactionSettings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(ValidationError, match="typos"):
        RedactionSettings.model_validate({"typos": ["EMAIL"]})


def test_an_unknown_kind_names_those_that_exist() -> None:
    with pytest.raises(ValidationError, match="choose from EMAIL, CARD"):
        RedactionSettings.model_validate({"types": ["EMAIL", "NAME"]})


def test_a_list_of_known_values_gets_the_kind_known() -> None:
    settings = RedactionSettings.model_validate({"known_values": [" S6534835 ", "S6534835"]})
    assert settings.known_values == {"KNOWN": ("S6534835",)}


def test_a_mapping_of_known_values_keeps_its_kinds() -> None:
    settings = RedactionSettings.model_validate({"known_values": {"PATIENT": ["S6534835"], "STAFF": ["Dr. Who"]}})
    assert settings.known_values == {"PATIENT": ("S6534835",), "STAFF": ("Dr. Who",)}


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        (["abc "], "known value 1 of KNOWN has 3 characters; at least 4 are needed"),
        ({"PATIENT": ["S6534835", "  x  "]}, "known value 2 of PATIENT has 1 characters"),
        ("S6534835", "this is a single string"),
        ({"PATIENT": "S6534835"}, "the known values of PATIENT are a list"),
        ({"PATIENT": [6534835]}, "known value 1 of PATIENT is not a string"),
        ({"patient": ["S6534835"]}, "2 to 16 capital letters"),
    ],
)
def test_a_bad_known_value_is_named_by_place_and_never_quoted(declared: object, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RedactionSettings.model_validate({"known_values": declared})
    assert sentence in caught.value.errors()[0]["msg"]


def test_known_values_do_not_show_in_a_printed_setting() -> None:
    assert "S6534835" not in repr(RedactionSettings.model_validate({"known_values": ["S6534835"]}))
