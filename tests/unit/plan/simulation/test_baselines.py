"""HPA's and KPA's formulas, look for look."""

import pytest

from modelfleet.plan.simulation.baselines import Bounds, Hpa, Kpa
from modelfleet.plan.simulation.engine import Engine, Record
from modelfleet.plan.simulation.fleet import Replica
from modelfleet.plan.simulation.profiles import EngineFigures
from modelfleet.plan.simulation.replay import Scaler, Seen

ANY = Bounds(1, 100)


def replica(in_flight: int, ready_at: float = 0.0) -> Replica:
    engine = Engine(EngineFigures(), Record.of(in_flight), 0.0)
    for request in range(in_flight):
        engine.submit(request, 1000, 100, 0.0)
    return Replica(0, 0.0, ready_at, engine)


def seen(now: float, *loads: int, loading: int = 0, held: int = 0) -> Seen:
    replicas = [*(replica(load) for load in loads), *(replica(0, 1e9) for _ in range(loading))]
    return Seen(now, len(replicas), replicas, held)


def wishes(scaler: Scaler, *looks: Seen) -> list[int]:
    return [scaler.decide(look).replicas for look in looks]


@pytest.mark.parametrize(
    ("look", "replicas"),
    [
        pytest.param(seen(0, 10, 10), 2, id="on target"),
        pytest.param(seen(0, 10, 11), 2, id="within the tolerance"),
        pytest.param(seen(0, 12, 12), 3, id="above"),
        pytest.param(seen(0, 90, 90), 6, id="four more at once where that is more than double"),
        pytest.param(seen(0, *[90] * 10), 20, id="double at once"),
        pytest.param(seen(0, 12, 12, loading=1), 3, id="a loading one counts as nothing: held"),
        pytest.param(seen(0, 30, 30, loading=1), 6, id="not enough although one loads"),
        pytest.param(
            seen(0, 1, 1, loading=2), 3, id="a loading one counts as full on the way down"
        ),
        pytest.param(seen(0, loading=2), 2, id="no metrics"),
    ],
)
def test_hpa(look: Seen, replicas: int) -> None:
    assert Hpa(ANY, target=10).decide(look).replicas == replicas


def test_hpa_scales_down_to_the_largest_wish_of_its_window() -> None:
    hpa = Hpa(ANY, target=10, window=60)

    looks = [seen(15.0 * turn, *([5] * 4)) for turn in range(1, 6)]

    assert wishes(hpa, seen(0, 9, 9, 9, 9), *looks) == [4, 4, 4, 4, 2, 2]


def test_hpa_keeps_its_bounds() -> None:
    assert Hpa(Bounds(2, 3), target=1).decide(seen(0, 50, 50)).replicas == 3
    assert Hpa(Bounds(2, 3), target=100, window=0.1).decide(seen(0, 0, 0, 0)).replicas == 2


def test_kpa_follows_the_mean_of_its_stable_window() -> None:
    kpa = Kpa(ANY, target=10, window=6)

    assert wishes(kpa, seen(0, 9, 9), seen(2, 15, 15), seen(4, 14, 15)) == [2, 3, 3]


def test_kpa_panics_at_twice_what_is_ready_and_then_never_scales_down() -> None:
    kpa = Kpa(ANY, target=10, window=60)

    assert wishes(kpa, seen(0, 45), seen(2, 5), seen(30, 5), seen(59, 5)) == [5, 5, 5, 5]
    assert wishes(kpa, seen(62, 5)) == [1]


def test_kpa_halves_at_most() -> None:
    assert Kpa(ANY, target=10).decide(seen(0, *[0] * 8)).replicas == 4


def test_kpa_with_a_delay_keeps_the_largest_wish() -> None:
    kpa = Kpa(ANY, target=10, window=2, delay=30)

    assert wishes(kpa, seen(0, 19, 19), seen(10, 1, 1), seen(30, 1, 1), seen(31, 1, 1)) == [
        *(4, 4, 4),
        1,
    ]


def test_kpa_counts_what_is_held_for_a_sleeping_model() -> None:
    assert Kpa(Bounds(0, 9), target=10).decide(seen(0, held=25)).replicas == 3
