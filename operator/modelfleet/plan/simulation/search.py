"""Baselines at their best: every setting of a grid is replayed, and one is chosen."""

from collections.abc import Callable, Iterable, Mapping
from itertools import product

from modelfleet.plan.simulation.baselines import Bounds, Hpa, Kpa
from modelfleet.plan.simulation.outcome import Outcome
from modelfleet.plan.simulation.replay import Scaler

TARGETS = (1, 2, 4, 8, 16, 32)
"""Requests in flight per pod."""

HPA_WINDOWS = (300, 900, 1800)
"""Seconds of stabilisation; 300 is the default."""

KPA_WINDOWS, KPA_DELAYS = (60, 300), (0, 900)
"""Seconds of the stable window and of the scale-down delay; 60 and 0 are the defaults."""

RULE = "fewest GPU hours with p95 within the objective, or else the least p95"


def hpa(bounds: Bounds) -> list[Scaler]:
    """Return an HPA for each setting."""
    return [Hpa(bounds, target, window) for target, window in product(TARGETS, HPA_WINDOWS)]


def kpa(bounds: Bounds) -> list[Scaler]:
    """Return a KPA for each setting."""
    grid = product(TARGETS, KPA_WINDOWS, KPA_DELAYS)
    return [Kpa(bounds, target, window, delay) for target, window, delay in grid]


GRIDS: Mapping[str, Callable[[Bounds], list[Scaler]]] = {"hpa": hpa, "kpa": kpa}


def best(outcomes: Iterable[Outcome]) -> int:
    """Return the place of the outcome that `RULE` chooses."""
    return min(enumerate(outcomes), key=lambda one: (_rank(one[1]), one[0]))[0]


def _rank(one: Outcome) -> tuple[float, float, int]:
    within = one.p95 <= one.objective_seconds
    return (0.0 if within else one.p95, one.gpu_hours, one.scale_changes)
