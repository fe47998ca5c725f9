"""Requests through a fleet: what comes in comes out, and replicas live as they do in a cluster."""

import itertools
import math
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfleet.plan.simulation import generated
from modelfleet.plan.simulation.baselines import Bounds, Hpa, Kpa
from modelfleet.plan.simulation.generated import Shape
from modelfleet.plan.simulation.outcome import Measure, Outcome, outcome_of, percentile
from modelfleet.plan.simulation.profiles import EngineFigures, Profile
from modelfleet.plan.simulation.replay import Scaler, Seen, Wish, replay
from modelfleet.plan.simulation.traces import Trace, trace_of
from support.chance import examples

QUICK = EngineFigures(prefill_tokens_per_second=1000, decode_tokens_per_second=10)
PROFILE = Profile(name="test", gpus=2, dollars_per_gpu_hour=3, cold_start_seconds=60, engine=QUICK)


@dataclass
class Planned:
    """Wants a number of replicas from an instant on."""

    wishes: dict[float, int]
    period: float = 15.0
    settings: str = ""
    seen: list[tuple[float, int, int]] = field(default_factory=list)

    def decide(self, seen: Seen) -> Wish:
        self.seen.append((seen.now, len(seen.replicas), len(seen.ready)))
        return Wish(max((at, n) for at, n in self.wishes.items() if at <= seen.now)[1])


def outcome(trace: Trace, scaler: Scaler, start: int = 1, profile: Profile = PROFILE) -> Outcome:
    measure = Measure(profile=profile, objective=2.0)
    return outcome_of("test", "", measure, trace, replay(trace, profile, scaler, start))


def first_tokens(trace: Trace, scaler: Scaler, start: int = 1) -> list[float]:
    return list(replay(trace, PROFILE, scaler, start).record.first_token)


def test_one_request_waits_for_its_prefill() -> None:
    trace = trace_of([(1.0, 500, 10)], 60.0)

    assert first_tokens(trace, Planned({0: 1})) == [1.5]


def test_prompts_are_computed_one_after_another() -> None:
    trace = trace_of([(1.0, 500, 10), (1.0, 500, 10)], 60.0)

    assert first_tokens(trace, Planned({0: 1})) == [1.5, 2.0]


def test_sequences_that_decode_slow_each_other_down() -> None:
    profile = PROFILE.model_copy(
        update={"engine": QUICK.model_copy(update={"decode_slowdown": 1.0})}
    )
    trace = trace_of([(0.0, 1, 101), (0.0, 1, 101)], 60.0)

    finished = replay(trace, profile, Planned({0: 1}), 1).record.finished

    assert list(finished) == pytest.approx([20.0, 20.0], abs=0.1)


def test_a_request_waits_for_a_place_in_the_batch() -> None:
    engine = QUICK.model_copy(update={"max_running": 1})
    profile = PROFILE.model_copy(update={"engine": engine})
    trace = trace_of([(0.0, 1000, 11), (0.5, 1000, 11)], 60.0)

    record = replay(trace, profile, Planned({0: 1}), 1).record

    assert list(record.finished) == pytest.approx([2.0, 4.0])


def test_a_request_waits_for_room_in_the_kv_cache() -> None:
    engine = QUICK.model_copy(update={"kv_tokens": 1500})
    profile = PROFILE.model_copy(update={"engine": engine})
    trace = trace_of([(0.0, 1000, 11), (0.5, 1000, 11)], 60.0)

    record = replay(trace, profile, Planned({0: 1}), 1).record

    assert list(record.first_token) == pytest.approx([1.0, 3.0])


def test_what_is_larger_than_the_kv_cache_is_served_alone() -> None:
    engine = QUICK.model_copy(update={"kv_tokens": 10})
    profile = PROFILE.model_copy(update={"engine": engine})

    assert outcome(trace_of([(0.0, 1000, 11)], 60.0), Planned({0: 1}), 1, profile).unfinished == 0


def test_requests_are_held_while_nothing_is_ready() -> None:
    trace = trace_of([(20.0, 500, 10)], 300.0)

    # decided at 30 s, ready a cold start later
    assert first_tokens(trace, Planned({0: 0, 30: 1}), start=0) == [90.5]


def test_a_new_replica_takes_requests_only_after_its_cold_start() -> None:
    scaler = Planned({0: 1, 30: 3, 120: 1})

    replay(trace_of([], 180.0), PROFILE, scaler, 1)

    ready = {at: (replicas, ready) for at, replicas, ready in scaler.seen}
    assert ready[45] == ready[75] == (3, 1)
    assert ready[90] == ready[120] == (3, 3)
    assert ready[135] == ready[180] == (1, 1)


def test_a_surplus_goes_that_is_not_ready_before_one_that_is() -> None:
    scaler = Planned({0: 1, 30: 2, 60: 1})
    trace = trace_of([(at, 10, 10) for at in range(0, 180, 5)], 180.0)

    result = outcome(trace, scaler)

    assert result.unfinished == 0
    assert [change.after for change in result.changes] == [2, 1]
    assert all(ready == 1 for _, _, ready in scaler.seen)


def test_a_leaving_replica_finishes_what_it_has_within_its_time() -> None:
    trace = trace_of([(10.0, 100, 1000)] * 8, 600.0)  # 100 s each
    wishes = Planned({0: 2, 15: 1})

    assert outcome(trace, wishes, 2).unfinished == 0
    hurried = PROFILE.model_copy(update={"drain_seconds": 20.0})
    assert 0 < outcome(trace, Planned({0: 2, 15: 1}), 2, hurried).unfinished < 8


def test_every_replica_costs_from_its_creation_to_its_end() -> None:
    result = outcome(trace_of([], 3600.0), Planned({0: 1, 1800: 3, 2700: 1}))

    # one for an hour; two for a quarter, of which they load a minute, until the look that follows
    assert result.gpu_hours == pytest.approx(2 * (1 + 2 * 915 / 3600))
    assert result.dollars == pytest.approx(3 * result.gpu_hours)
    assert (result.scale_changes, result.cold_starts) == (2, 2)


def test_what_comes_before_the_measured_part_only_warms_up() -> None:
    trace = trace_of([(10.0, 1000, 1), (2000.0, 1000, 1), (2100.0, 1, 1)], 3600.0)
    scaler, measure = Planned({0: 1, 900: 2, 2700: 1}), Measure(profile=PROFILE, objective=0.5)

    history = replay(trace, PROFILE, scaler, 1)
    late = outcome_of("late", "", replace(measure, since=1800.0), trace, history)

    assert (late.requests, late.over_objective, late.scale_changes) == (2, 1, 1)
    assert late.gpu_hours == pytest.approx(2 * (0.5 + 915 / 3600))
    assert late.cold_starts == 0
    assert outcome_of("all", "", measure, trace, history).cold_starts == 1


def test_without_any_replica_nothing_is_answered() -> None:
    result = outcome(trace_of([(1.0, 1, 1)], 60.0), Planned({0: 0}), start=0)

    assert (result.unfinished, result.over_objective, result.p50) == (1, 1, math.inf)


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(value) for value in range(1, 101)]

    assert [percentile(values, share) for share in (0.5, 0.95, 0.99)] == [50, 95, 99]
    assert percentile([7.0], 0.5) == 7.0
    assert percentile([], 0.5) == 0.0


REQUEST = st.tuples(
    st.floats(min_value=0, max_value=600),
    st.integers(min_value=0, max_value=20_000),
    st.integers(min_value=0, max_value=300),
)
ENGINES = st.builds(
    EngineFigures,
    prefill_tokens_per_second=st.floats(min_value=500, max_value=20_000),
    decode_slowdown=st.floats(min_value=0, max_value=1),
    kv_tokens=st.integers(min_value=10, max_value=100_000),
    max_running=st.integers(min_value=1, max_value=20),
)
SCALERS = st.one_of(
    st.builds(Hpa, st.just(Bounds(1, 4)), st.floats(0.5, 8), st.just(30.0)),
    st.builds(Kpa, st.just(Bounds(0, 4)), st.floats(0.5, 8), st.just(30.0)),
    st.builds(Planned, st.just({0: 1, 100: 3, 200: 0, 300: 2})),
)


@settings(max_examples=examples(60))
@given(
    st.lists(REQUEST, max_size=40), ENGINES, SCALERS, st.sampled_from(["Random", "LeastRequests"])
)
def test_each_request_is_answered_once_or_counted(
    requests: list[tuple[float, int, int]], engine: EngineFigures, scaler: Scaler, routing: str
) -> None:
    trace = trace_of(requests, 600.0)
    profile = Profile.model_validate({"name": "any", "engine": engine, "routing": routing})

    history = replay(trace, profile, scaler, 1)

    result = outcome_of("any", "", Measure(profile=profile, objective=2.0), trace, history)
    answered = sum(not math.isnan(end) for end in history.record.finished)
    assert answered + result.unfinished == result.requests == len(requests)
    for at, first, end in zip(
        trace.at, history.record.first_token, history.record.finished, strict=True
    ):
        assert math.isnan(end) or at <= first <= end
    assert 0 <= result.gpu_hours <= 4 * 1.2 * profile.gpus * 600 / 3600


@pytest.mark.parametrize("routing", ["Random", "LeastRequests"])
def test_more_replicas_are_no_worse_on_average(routing: str) -> None:
    trace = generated.steps(Shape(hours=1, requests_per_second=2))
    profile = PROFILE.model_copy(update={"routing": routing})

    waits = [outcome(trace, Planned({0: n}), n, profile) for n in (2, 3, 4, 6, 8)]

    for fewer, more in itertools.pairwise(waits):
        assert more.p50 <= fewer.p50
        assert more.p95 <= fewer.p95


def test_a_replay_of_the_same_is_the_same() -> None:
    trace = generated.diurnal(Shape(hours=2, requests_per_second=1))

    first, second = (outcome(trace, Kpa(Bounds(1, 5), 4.0)) for _ in range(2))

    assert first == second
