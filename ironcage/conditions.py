"""What must be the same for all candidates, as the configuration states it."""

from __future__ import annotations

import hashlib

from ironcage.settings import Loaded


def conditions_of(loaded: Loaded) -> dict[str, str]:
    """Digests of the constraints and of the policies that apply them."""
    policies = loaded.settings.policies.model_dump_json()
    return {
        "constraints": loaded.constraints.digest(),
        "policies": hashlib.blake2b(policies.encode(), digest_size=16).hexdigest(),
    }
