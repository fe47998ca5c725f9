"""How much a test tries: all of it in `make test`, a fifth of it in `make check`."""

import os

from hypothesis import settings

EXAMPLES = 100
"""Of a property in `make test`, unless it says otherwise."""


def examples(most: int) -> int:
    """Return how many examples a property gets under the chosen profile; `most` in `make test`."""
    return max(2, most * settings().max_examples // EXAMPLES)


def seeds(most: int) -> range:
    """Return as many seeds. ROLLOUT_SEEDS asks for more, or fewer."""
    return range(int(os.environ.get("ROLLOUT_SEEDS", examples(most))))
