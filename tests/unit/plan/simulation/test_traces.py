"""Traces that are made, cut and multiplied."""

import pytest

from modelfleet.plan.simulation import generated
from modelfleet.plan.simulation.chance import Chance
from modelfleet.plan.simulation.generated import Shape
from modelfleet.plan.simulation.traces import Trace, multiplied, part, trace_of

DRAWN = [0.6497043364684558, 0.549374324919324, 0.6042348053683146]
SHAPE = Shape(hours=24, requests_per_second=0.1)


def per_hour(trace: Trace) -> list[int]:
    counts = [0] * 24
    for at in trace.at:
        counts[int(at // 3600)] += 1
    return counts


@pytest.mark.parametrize("make", generated.SHAPES.values(), ids=generated.SHAPES)
def test_a_seed_makes_one_trace(make: generated.Make) -> None:
    assert make(SHAPE) == make(SHAPE)
    assert make(SHAPE) != make(Shape(hours=24, requests_per_second=0.1, seed=2))


@pytest.mark.parametrize("make", generated.SHAPES.values(), ids=generated.SHAPES)
def test_a_trace_is_as_long_and_as_busy_as_was_asked(make: generated.Make) -> None:
    trace = make(SHAPE)

    assert trace.seconds == 86_400
    assert list(trace.at) == sorted(trace.at)
    assert 0 <= trace.at[0] <= trace.at[-1] < 86_400
    assert len(trace) == pytest.approx(0.1 * 86_400, rel=0.1)
    assert sum(trace.prompt) / len(trace) == pytest.approx(1200, rel=0.05)
    assert sum(trace.output) / len(trace) == pytest.approx(200, rel=0.05)


def test_a_day_is_quiet_at_night_and_busy_in_the_afternoon() -> None:
    counts = per_hour(generated.diurnal(SHAPE))

    assert sum(counts[2:6]) * 3 < sum(counts[14:18])


def test_steps_go_up_at_once() -> None:
    counts = per_hour(generated.steps(SHAPE))

    assert counts[2] * 2 < counts[4]  # the first step is after 15 % of the day: at 3:36


def test_impossible_shapes_are_refused() -> None:
    assert generated.is_possible(SHAPE)
    for shape in (Shape(hours=0), Shape(hours=1e9), Shape(requests_per_second=1e9)):
        assert not generated.is_possible(shape)
    assert not generated.is_possible(Shape(prompt_tokens=float("nan")))


def test_a_part_begins_at_zero() -> None:
    trace = trace_of([(5.0, 1, 1), (12.0, 2, 2), (20.0, 3, 3)], 30.0)

    cut = part(trace, 10.0, 20.0)

    assert (list(cut), cut.seconds) == ([(2.0, 2, 2)], 10.0)


@pytest.mark.parametrize("times", [0.5, 1.0, 2.5])
def test_times_as_many_requests(times: float) -> None:
    trace = generated.steps(SHAPE)

    more = multiplied(trace, times)

    assert len(more) == pytest.approx(times * len(trace), rel=0.05)
    assert more.seconds == trace.seconds
    assert list(more.at) == sorted(more.at)


def test_chance_is_the_same_everywhere() -> None:
    chance = Chance(7)

    drawn = [chance.uniform() for _ in range(3)]

    assert drawn == pytest.approx(DRAWN)


def test_chance_has_the_moments_that_it_says() -> None:
    chance, count = Chance(1), 20_000
    normal = [chance.normal() for _ in range(count)]

    assert sum(normal) / count == pytest.approx(0, abs=0.03)
    assert sum(one * one for one in normal) / count == pytest.approx(1, abs=0.05)
    assert sum(chance.exponential(3) for _ in range(count)) / count == pytest.approx(3, rel=0.05)
    assert sum(chance.lognormal(5, 0.8) for _ in range(count)) / count == pytest.approx(5, rel=0.05)
