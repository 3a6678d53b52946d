from __future__ import annotations

from trajectory.runs import Limits


def test_values_given_the_same_fields_share_their_names_and_a_changed_copy_has_its_own() -> None:
    one, other = Limits(memory_mb=1.0), Limits(memory_mb=2.0)
    assert one.model_fields_set is other.model_fields_set
    changed = one.model_copy(update={"cpu_s": 3.0})
    assert changed.model_fields_set == {"memory_mb", "cpu_s"}
    assert one.model_fields_set == {"memory_mb"}
    assert Limits.model_validate_json(changed.model_dump_json(exclude_unset=True)) == changed
