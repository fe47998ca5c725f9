"""What holds for every policy, model and load."""

from dataclasses import replace
from datetime import timedelta
from math import inf, nan

from hypothesis import given, settings
from hypothesis import strategies as st

from modelfleet.plan.scaling import Facts, Memory, Policy, Reading, Samples, Targets, ToZero, Window
from modelfleet.plan.scaling.bounds import bounds_for
from modelfleet.plan.scaling.memory import Level
from support.builders import NOON
from support.chance import examples
from unit.plan.scaling.cases import a_policy, decided, followed, some_facts

THOROUGH = settings(max_examples=examples(60), deadline=None)

amounts = st.floats(0, 500)
anything = st.one_of(amounts, st.sampled_from([nan, inf, -inf, -1.0, 1e300]), st.none())
windows = st.one_of(
    st.builds(Window, cold_starts=st.floats(0, 5)), st.builds(Window, seconds=st.floats(0, 1000))
)
targets = st.builds(
    Targets,
    concurrency=st.one_of(st.none(), st.integers(1, 100)),
    queue=st.one_of(st.none(), st.integers(1, 20)),
    kv_cache=st.one_of(st.none(), st.floats(0.01, 0.99)),
    tokens_per_second=st.one_of(st.none(), st.integers(1, 5000)),
    first_token_seconds=st.one_of(st.none(), st.floats(0.01, 10)),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    least = draw(st.integers(0, 6))
    zero = st.builds(ToZero, st.one_of(st.none(), st.floats(60, 1000)), st.booleans())
    return Policy(
        targets=draw(targets),
        least=least,
        most=draw(st.integers(max(1, least), 12)),
        tolerance=draw(st.floats(0, 0.9)),
        up=draw(windows),
        down=draw(windows),
        to_zero=draw(st.one_of(st.none(), zero)),
        ceiling=draw(st.one_of(st.none(), st.integers(0, 40_000_000))),
    )


facts = st.builds(
    Facts,
    desired=st.integers(0, 15),
    ready=st.integers(0, 15),
    young=st.integers(0, 3),
    loading=st.integers(0, 5),
    pending=st.integers(0, 5),
    cold_start=st.one_of(st.none(), st.floats(1, 1000)),
    gpus=st.integers(0, 8),
    price=st.one_of(st.none(), st.integers(0, 5_000_000)),
    rolling_out=st.booleans(),
)


def readings(values: st.SearchStrategy[float | None]) -> st.SearchStrategy[Reading]:
    return st.builds(
        Reading,
        pod=st.text("abcdef", min_size=3, max_size=3),
        at=st.integers(0, 100).map(lambda ago: NOON - timedelta(seconds=ago)),
        running=values,
        waiting=values,
        kv_cache=values,
        tokens_per_second=values,
        requests_per_second=values,
        first_token_seconds=values,
        first_tokens=values,
    )


def samples(values: st.SearchStrategy[float | None] = anything) -> st.SearchStrategy[Samples]:
    return st.lists(readings(values), max_size=8).map(lambda found: Samples(tuple(found)))


levels = st.lists(
    st.builds(
        Level, st.integers(0, 900).map(lambda s: NOON - timedelta(seconds=s)), st.integers(0, 12)
    ),
    max_size=4,
).map(tuple)
memories = st.builds(
    Memory,
    highs=levels,
    lows=levels,
    low_since=st.one_of(st.none(), st.just(NOON - timedelta(seconds=500))),
    quiet_since=st.one_of(st.none(), st.just(NOON - timedelta(hours=3))),
    lulls=st.lists(st.floats(0, 5000), max_size=8).map(tuple),
    seen_until=st.just(NOON - timedelta(seconds=15)),
)


@THOROUGH
@given(policies(), facts, samples(), memories)
def test_every_input_has_a_decision_within_bounds(
    policy: Policy, model: Facts, load: Samples, memory: Memory
) -> None:
    decision = decided(policy, model, load, memory)

    bounds = bounds_for(policy, model, None, NOON)
    assert bounds.least <= decision.replicas <= bounds.most
    assert bounds.most <= policy.most
    if policy.ceiling is not None and model.price and model.gpus:
        cost = decision.replicas * model.price * model.gpus
        assert cost <= policy.ceiling or decision.replicas == 1
    assert decision.message


# --- a model that nothing keeps from losing replicas -------------------------------------------

idle = Targets(
    concurrency=10, queue=4, kv_cache=0.8, tokens_per_second=100, first_token_seconds=1.0
)
SIGNALS = st.sampled_from(["concurrency", "queue", "kv_cache", "tokens_per_second"])
NOTHING = st.sampled_from([None, nan, inf, -1.0])


def idling(count: int) -> tuple[Reading, ...]:
    """Return replicas with so little to do that one would be enough."""
    return tuple(
        Reading(
            pod=f"pod-{number}",
            at=NOON,
            running=0.1,
            waiting=0.0,
            kv_cache=0.01,
            tokens_per_second=1.0,
            requests_per_second=0.1,
            first_token_seconds=0.05,
            first_tokens=5.0,
        )
        for number in range(count)
    )


def goes_down(policy: Policy, load: Samples, count: int, silent: int = 0) -> int:
    """Return the replicas of a model that has long had too many of them."""
    memory = Memory(
        highs=(Level(NOON - timedelta(seconds=15), 1),), seen_until=NOON - timedelta(seconds=15)
    )
    facts = some_facts(count + silent)
    return decided(policy, facts, load, memory).replicas


@st.composite
def single_signals(draw: st.DrawFn) -> Policy:
    """Draw a policy that looks at some of the signals."""
    names = draw(st.sets(SIGNALS, min_size=1))
    chosen = {name: getattr(idle, name) for name in names}
    return a_policy(targets=Targets(**chosen), tolerance=draw(st.floats(0, 0.5)))


@THOROUGH
@given(single_signals(), st.integers(2, 8))
def test_replicas_with_nothing_to_do_go(policy: Policy, count: int) -> None:
    """Else the properties below would hold for want of an occasion."""
    assert goes_down(policy, Samples(idling(count)), count) < count


@THOROUGH
@given(single_signals(), st.integers(1, 6), st.integers(1, 4))
def test_without_data_of_every_replica_nothing_is_taken_away(
    policy: Policy, count: int, silent: int
) -> None:
    assert goes_down(policy, Samples(idling(count)), count, silent) == count + silent


@THOROUGH
@given(single_signals(), st.integers(2, 8), NOTHING, st.data())
def test_a_signal_that_makes_no_sense_takes_nothing_away(
    policy: Policy, count: int, junk: float | None, data: st.DataObject
) -> None:
    """Renamed, missing, not a number: one signal of one of many replicas is enough."""
    looked_at = [
        ("running", policy.targets.concurrency),
        ("waiting", policy.targets.queue),
        ("kv_cache", policy.targets.kv_cache),
        ("tokens_per_second", policy.targets.tokens_per_second),
    ]
    lost = data.draw(st.sampled_from([name for name, target in looked_at if target is not None]))
    first, *rest = idling(count)
    lacking = replace(first, **{lost: junk})

    assert goes_down(policy, Samples((lacking, *rest)), count) == count


@THOROUGH
@given(single_signals(), st.integers(2, 8), st.floats(46, 10_000))
def test_a_stale_reading_takes_nothing_away(policy: Policy, count: int, ago: float) -> None:
    first, *rest = idling(count)
    stale = replace(first, at=NOON - timedelta(seconds=ago))

    assert goes_down(policy, Samples((stale, *rest)), count) == count


@THOROUGH
@given(policies(), facts, memories, st.data())
def test_more_load_never_means_fewer_replicas(
    policy: Policy, model: Facts, memory: Memory, data: st.DataObject
) -> None:
    less = data.draw(samples(amounts))
    growth = data.draw(st.floats(1, 5))
    more = Samples(
        tuple(
            replace(
                one,
                running=_grown(one.running, growth),
                waiting=_grown(one.waiting, growth),
                kv_cache=_grown(one.kv_cache, growth),
                tokens_per_second=_grown(one.tokens_per_second, growth),
                requests_per_second=_grown(one.requests_per_second, growth),
                first_token_seconds=_grown(one.first_token_seconds, growth),
            )
            for one in less.readings
        )
    )

    assert (
        decided(policy, model, more, memory).replicas
        >= decided(policy, model, less, memory).replicas
    )


def _grown(value: float | None, growth: float) -> float | None:
    return None if value is None else value * growth


@THOROUGH
@given(policies(), facts, samples(), memories, st.randoms(use_true_random=False))
def test_the_order_of_replicas_changes_nothing(
    policy: Policy, model: Facts, load: Samples, memory: Memory, chance: object
) -> None:
    shuffled = list(load.readings)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    one, other = (decided(policy, model, it, memory) for it in (load, Samples(tuple(shuffled))))

    assert (one.replicas, one.why, one.complaints) == (other.replicas, other.why, other.complaints)


@THOROUGH
@given(
    mean=st.floats(5, 90),
    tolerance=st.floats(0.02, 0.5),
    noise=st.lists(st.sampled_from([-0.999, -0.5, 0.0, 0.5, 0.999]), min_size=60, max_size=60),
    start=st.integers(1, 10),
)
def test_noise_within_the_tolerance_never_brings_back_what_was_taken_away(
    mean: float, tolerance: float, noise: list[float], start: int
) -> None:
    """With a window of two rounds, so that many a peak of noise is not in it."""
    policy = a_policy(tolerance=tolerance, down=Window(seconds=30))
    loads = [mean * (1 + tolerance * one) for one in noise]

    found = [one for one in followed(policy, some_facts(start), loads) if one.changes]

    falls = [at for at, one in enumerate(found) if one.replicas < one.before]
    rises = [at for at, one in enumerate(found) if one.replicas > one.before]
    assert not falls or not rises or max(rises) < min(falls)
