from __future__ import annotations

import pytest
from pydantic import ValidationError

from policies.redaction.settings import RedactionSettings
from policies.settings import PolicySettings


def test_defaults_refuse_filter_and_count_both() -> None:
    settings = PolicySettings()
    assert settings.retries.on_exhausted == "refuse"
    assert settings.tools.offered == "filter"
    assert settings.egress.count == "both"
    assert settings.egress.hosts is None
    assert settings.redaction is None


def test_redaction_written_as_an_empty_mapping_is_on() -> None:
    assert PolicySettings.model_validate({"redaction": {}}).redaction == RedactionSettings()


@pytest.mark.parametrize(
    "data",
    [
        {"tols": {}},
        {"retries": {"on_exhausted": "ignore"}},
        {"tools": {"offered": "allow"}},
        {"egress": {"count": "none"}},
        {"egress": {"hosts": ["http://a.test"]}},
        {"egress": {"hosts": "a.test"}},
        {"redaction": True},
        {"tools": None},
    ],
)
def test_setting_that_cannot_be_meant_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PolicySettings.model_validate(data)


def test_every_key_has_a_sentence() -> None:
    made = PolicySettings.model_json_schema()
    for section in [made, *made["$defs"].values()]:
        for key, value in section["properties"].items():
            assert value["description"].endswith("."), key
