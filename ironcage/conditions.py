"""What must be the same for all candidates, as the configuration states it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ironcage.settings import Loaded
from replay.plan import Plan


def conditions_of(loaded: Loaded) -> dict[str, str]:
    """Digests of the constraints and of the policies that apply them."""
    policies = loaded.settings.policies.model_dump_json()
    return {
        "constraints": loaded.constraints.digest(),
        "policies": hashlib.blake2b(policies.encode(), digest_size=16).hexdigest(),
    }


def constrained(plan: Plan, loaded: Loaded) -> Plan:
    """The plan under the configured limits, scored with the configured weights."""
    limits = loaded.constraints
    return replace(
        plan,
        limits=limits.limits(),
        constraints=limits.model_dump(mode="json"),
        weights=limits.scoring.model_dump(),
    )
