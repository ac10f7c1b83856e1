"""How many examples are drawn, and seeds tried: few, the same each time; MOMENTS_EXAMPLES=50: fifty times as many."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("MOMENTS_EXAMPLES", "1"))


def drawn(examples: int) -> settings:
    """Settings of a property test; more examples than usual are drawn anew each time."""
    return settings(
        max_examples=examples * FACTOR,
        deadline=None,
        derandomize=FACTOR == 1,
        suppress_health_check=list(HealthCheck),
    )
