"""Decisions as tables: what is asked for, what limits it, and what speaks against it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modelfleet.plan.scaling import (
    Memory,
    Reading,
    Samples,
    Schedule,
    Targets,
    ToZero,
    Why,
    Window,
)
from modelfleet.plan.scaling.memory import Level
from modelfleet.plan.scaling.policy import zone_of
from support.builders import NOON, seconds_ago
from unit.plan.scaling.cases import (
    WAITED_OUT,
    a_policy,
    decided,
    followed,
    some_facts,
    told,
)

DEAR = 3_000_000
UTC = zone_of("UTC")
assert UTC


def low(count: int, ago: float = 1000) -> Memory:
    """Return the memory of load that has asked for so many for a long time."""
    return Memory(
        highs=(Level(NOON - timedelta(seconds=15), count),),
        quiet_since=seconds_ago(ago) if not count else None,
        seen_until=seconds_ago(15),
    )


# --- up ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_flight", "desired", "replicas", "why"),
    [
        pytest.param((10,), 1, 1, Why.FOLLOWS_LOAD, id="as many as are needed"),
        pytest.param((11,), 1, 2, Why.FOLLOWS_LOAD, id="one too many"),
        pytest.param((35,), 1, 4, Why.FOLLOWS_LOAD, id="several at once"),
        pytest.param((1000,), 1, 10, Why.LIMITED, id="no more than the most"),
        pytest.param((100, 100), 2, 10, Why.LIMITED, id="of all replicas together"),
        pytest.param((None, 30), 2, 3, Why.FOLLOWS_LOAD, id="one that is silent counts as idle"),
    ],
)
def test_what_is_needed_comes_at_once(
    in_flight: tuple[float, ...], desired: int, replicas: int, why: Why
) -> None:
    decision = decided(a_policy(), some_facts(desired), told(*in_flight))

    assert (decision.replicas, decision.why) == (replicas, why)


@pytest.mark.parametrize(
    ("load", "replicas"),
    [(22, 2), (22.1, 3), (18, 2), (13, 2)],
)
def test_the_tolerance_is_a_dead_band(load: float, replicas: int) -> None:
    policy = a_policy(tolerance=0.1, down=WAITED_OUT)

    assert decided(policy, some_facts(2), told(load / 2, load / 2)).replicas == replicas


def test_fewer_come_only_where_those_that_stay_are_below_the_dead_band() -> None:
    """With 9 of 10 each two are enough for 18; a little more and three stay."""
    policy = a_policy(tolerance=0.1, down=WAITED_OUT)

    assert decided(policy, some_facts(3), told(6, 6, 6)).replicas == 2
    assert decided(policy, some_facts(3), told(6, 6, 6.1)).replicas == 3


@pytest.mark.parametrize(
    ("targets", "reading", "replicas"),
    [
        pytest.param(Targets(queue=4), {"running": 8, "waiting": 9}, 3, id="queue"),
        pytest.param(Targets(kv_cache=0.4), {"kv_cache": 0.9}, 3, id="cache"),
        pytest.param(Targets(tokens_per_second=100), {"tokens_per_second": 350}, 4, id="tokens"),
        pytest.param(
            Targets(first_token_seconds=1.0),
            {"first_token_seconds": 1.2, "first_tokens": 9},
            2,
            id="a slow first token asks for one more",
        ),
        pytest.param(
            Targets(first_token_seconds=1.0),
            {"first_token_seconds": 60, "first_tokens": 9},
            2,
            id="and for twice as many at most",
        ),
        pytest.param(
            Targets(concurrency=10, kv_cache=0.4),
            {"running": 35, "waiting": 0, "kv_cache": 0.9},
            4,
            id="the signal that asks for most wins",
        ),
    ],
)
def test_each_signal_asks_for_replicas(
    targets: Targets, reading: dict[str, Any], replicas: int
) -> None:
    load = Samples((Reading("pod-0", NOON, **reading),))

    assert decided(a_policy(targets=targets), some_facts(1), load).replicas == replicas


def test_a_full_cache_asks_for_more_whatever_the_tolerance() -> None:
    load = Samples((Reading("pod-0", NOON, kv_cache=1.0),))
    policy = a_policy(targets=Targets(kv_cache=0.95), tolerance=0.5)

    assert decided(policy, some_facts(1), load).replicas == 2


def test_what_piles_up_while_replicas_load_brings_no_others() -> None:
    policy, facts = a_policy(), some_facts(4, ready=2, loading=2)

    assert decided(policy, facts, told(30, 40)).why is Why.WAITS
    assert decided(policy, facts, told(30, 40)).replicas == 4
    assert decided(policy, facts, told(50, 40)).replicas == 9


def test_a_slow_first_token_asks_for_no_more_than_are_coming() -> None:
    slow = Reading("pod-0", NOON, first_token_seconds=9.0, first_tokens=50)
    policy = a_policy(targets=Targets(first_token_seconds=1.0))
    facts = some_facts(2, ready=1, loading=1)

    assert decided(policy, facts, Samples((slow,))).replicas == 2


def test_a_window_for_more_waits_for_load_to_last() -> None:
    policy = a_policy(up=Window(seconds=60))
    found = followed(policy, some_facts(1), [5, 5, 35, 35, 35, 35, 35, 35])

    assert [one.replicas for one in found] == [1, 1, 1, 1, 1, 1, 4, 4]
    assert found[2].why is Why.STABILIZING


# --- down ------------------------------------------------------------------------------------


def test_fewer_come_when_the_window_is_over_and_only_to_its_peak() -> None:
    policy = a_policy(down=Window(seconds=60))
    loads = [45.0, 5, 5, 25, 5, 5, 5, 5, 5, 5]

    found = followed(policy, some_facts(5), loads)

    assert [one.replicas for one in found] == [5, 5, 5, 5, 5, 3, 3, 3, 1, 1]


def test_a_window_is_two_cold_starts_and_ten_minutes_at_least() -> None:
    falls = [35.0] + [5.0] * 80
    slow = followed(a_policy(), some_facts(4, cold_start=450.0), falls)
    quick = followed(a_policy(), some_facts(4, cold_start=1.0), falls)

    assert [one.replicas for one in slow].index(1) == 1 + 900 // 15
    assert [one.replicas for one in quick].index(1) == 1 + 600 // 15


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        pytest.param({"rolling_out": True}, Why.ROLLING_OUT, id="during a rollout"),
        pytest.param({"ready": 3, "loading": 1}, Why.LOADING, id="while one loads"),
    ],
)
def test_what_speaks_against_fewer(facts: dict[str, Any], why: Why) -> None:
    policy, model = a_policy(down=WAITED_OUT), some_facts(4, **facts)
    load = told(*[1] * model.ready)

    decision = decided(policy, model, load, low(1))

    assert (decision.replicas, decision.why) == (4, why)


def test_what_waits_for_a_gpu_does_not_keep_the_number_up() -> None:
    """Or it would wait for ever, and keep the GPU from others."""
    model = some_facts(4, ready=2, pending=2)

    assert decided(a_policy(down=WAITED_OUT), model, told(1, 1), low(1)).replicas == 1


def test_all_signals_must_agree_that_fewer_would_do() -> None:
    policy = a_policy(targets=Targets(concurrency=10, kv_cache=0.5), down=WAITED_OUT)
    busy = told(1, 1, 1, kv_cache=0.45)

    assert decided(policy, some_facts(3), busy, low(1)).replicas == 3


def test_a_leaving_replicas_requests_count_as_waiting_elsewhere() -> None:
    """Nobody waits, but three replicas run eight requests each: two might queue eight."""
    policy = a_policy(targets=Targets(queue=3), down=WAITED_OUT)

    assert decided(policy, some_facts(3), told(8, 8, 8)).replicas == 3
    assert decided(policy, some_facts(3), told(1, 1, 1)).replicas == 1


def test_an_engine_that_never_tells_what_runs_loses_one_at_a_time() -> None:
    policy = a_policy(targets=Targets(queue=3), down=WAITED_OUT)
    load = Samples(tuple(Reading(f"pod-{one}", NOON, waiting=0.0) for one in range(4)))

    assert decided(policy, some_facts(4), load).why is Why.NO_DATA
    facts = some_facts(4, untold=frozenset({"running"}))
    assert decided(policy, facts, load).replicas == 3


def test_a_quick_first_token_allows_one_less() -> None:
    policy = a_policy(targets=Targets(first_token_seconds=1.0), down=WAITED_OUT)

    def load(seconds: float) -> Samples:
        one = Reading("pod", NOON, running=1, first_token_seconds=seconds, first_tokens=9)
        return Samples(tuple(replace(one, pod=f"pod-{at}") for at in range(4)))

    assert decided(policy, some_facts(4), load(0.4)).replicas == 3
    assert decided(policy, some_facts(4), load(0.6)).replicas == 4


def test_a_replica_with_requests_and_no_first_token_is_stuck_and_not_idle() -> None:
    policy = a_policy(targets=Targets(first_token_seconds=1.0), down=WAITED_OUT)
    stuck = Reading("pod-0", NOON, running=3, waiting=0, first_tokens=0)

    assert decided(policy, some_facts(2, ready=1), Samples((stuck,))).why is Why.NO_DATA
    idle = replace(stuck, running=0)
    assert decided(policy, some_facts(2, ready=1, pending=1), Samples((idle,))).replicas == 1


# --- what it costs --------------------------------------------------------------------------


def test_a_scale_down_must_be_worth_another_start() -> None:
    """Lulls lasted 150 s, and 120 s of this one are over: 30 s are not worth 100 s of start."""
    policy = a_policy(down=Window(seconds=120))
    memory = replace(low(1), lulls=(150.0, 150.0), low_since=seconds_ago(120), low_from=3)

    decision = decided(policy, some_facts(3, price=DEAR), told(1, 1, 1), memory)

    assert (decision.replicas, decision.why) == (3, Why.NOT_WORTH_IT)
    assert "2 x 3.00/h x 30 s idle = 0.05 is no more than 0.17 for a start of 100 s" in (
        decision.message
    )
    longer = replace(memory, lulls=(1000.0, 150.0))
    assert decided(policy, some_facts(3, price=DEAR), told(1, 1, 1), longer).replicas == 1


def test_without_a_price_nothing_is_weighed_and_that_is_said() -> None:
    policy = a_policy(down=Window(seconds=120))
    memory = replace(low(1), lulls=(150.0, 150.0), low_since=seconds_ago(120), low_from=3)

    decision = decided(policy, some_facts(3), told(1, 1, 1), memory)

    assert decision.replicas == 1
    assert "no price is known, so cost is not weighed" in decision.message


def test_what_a_schedule_will_ask_for_soon_is_kept() -> None:
    soon = Schedule(
        "soon", UTC, NOON.time().replace(minute=15), NOON.time().replace(minute=45), least=3
    )
    policy = a_policy(down=Window(seconds=120), schedules=(soon,))
    facts = some_facts(3, cold_start=600.0, price=DEAR)

    assert decided(policy, facts, told(1, 1, 1), low(1)).why is Why.NOT_WORTH_IT


def test_the_ceiling_holds_and_leaves_one() -> None:
    policy = a_policy(ceiling=9_000_000)

    assert decided(policy, some_facts(1, price=DEAR), told(99)).replicas == 3
    assert decided(policy, some_facts(5, price=DEAR), told(*[20] * 5)).replicas == 3
    dear = decided(policy, some_facts(1, gpus=4, price=DEAR), told(99))
    assert dear.replicas == 1
    assert [one.reason for one in dear.complaints] == ["CeilingTooLow"]


# --- without data -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(told(1, None), id="one is silent"),
        pytest.param(told(), id="all are"),
        pytest.param(told(1, 1, at=seconds_ago(60)), id="stale"),
        pytest.param(told(1, 1, at=NOON + timedelta(hours=1)), id="from a future that is not"),
        pytest.param(told(1, float("nan")), id="not a number"),
        pytest.param(told(1, -1.0), id="negative"),
        pytest.param(told(1, 1, waiting=None), id="half of it"),
    ],
)
def test_what_is_unknown_takes_nothing_away(load: Samples) -> None:
    decision = decided(a_policy(down=WAITED_OUT), some_facts(2), load, low(1))

    assert (decision.replicas, decision.why) == (2, Why.NO_DATA)
    assert [one.reason for one in decision.complaints] == ["MetricsMissing"]


def test_replicas_that_have_just_become_ready_may_be_silent() -> None:
    decision = decided(a_policy(down=WAITED_OUT), some_facts(2, young=1), told(1, None), low(1))

    assert (decision.replicas, decision.why) == (2, Why.NO_DATA)
    assert decision.complaints == ()


def test_a_model_that_loads_for_the_first_time_lacks_nothing() -> None:
    decision = decided(a_policy(), some_facts(1, ready=0, loading=1), told())

    assert (decision.replicas, decision.why) == (1, Why.LOADING)
    assert decision.complaints == ()


def test_a_moment_without_data_begins_the_window_anew() -> None:
    policy = a_policy(down=Window(seconds=60))

    found = followed(policy, some_facts(2), [15, 5, 5, 5, None, 5, 5, 5, 5, 5])

    assert [one.replicas for one in found] == [2] * 9 + [1]


# --- no replica at all ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to_zero", "quiet", "replicas", "complaints"),
    [
        pytest.param(None, 9000, 1, ["ZeroRefused"], id="nobody asked for sleep"),
        pytest.param(ToZero(), 9000, 1, ["ZeroRefused"], id="nothing holds requests"),
        pytest.param(ToZero(without_hold=True), 9000, 0, [], id="nobody minds"),
        pytest.param(ToZero(without_hold=True), 500, 1, [], id="not quiet for long enough"),
        pytest.param(ToZero(after=300, without_hold=True), 301, 0, [], id="as long as is said"),
    ],
)
def test_no_replica_at_all(
    to_zero: ToZero | None, quiet: float, replicas: int, complaints: list[str]
) -> None:
    policy = a_policy(least=0, to_zero=to_zero, down=WAITED_OUT)

    decision = decided(policy, some_facts(1), told(0), low(0, quiet))

    assert decision.replicas == replicas
    assert [str(one.reason) for one in decision.complaints] == complaints


def test_the_last_replica_sleeps_when_it_was_idle_for_long_enough_whatever_the_window() -> None:
    policy = a_policy(least=0, to_zero=ToZero(after=60, without_hold=True))

    found = followed(policy, some_facts(1), [5.0] * 10 + [0.0] * 8)

    assert [one.replicas for one in found].index(0) == 10 + 60 // 15


def test_of_several_the_window_takes_all_but_one_before_it_sleeps() -> None:
    policy = a_policy(least=0, to_zero=ToZero(after=60, without_hold=True))

    found = followed(policy, some_facts(2), [15.0] + [0.0] * 50)

    assert [one.replicas for one in found][: 1 + 600 // 15] == [2] * (1 + 600 // 15)
    assert found[-1].replicas == 0


def test_requests_between_two_readings_are_seen_in_the_counters() -> None:
    policy = a_policy(least=0, to_zero=ToZero(without_hold=True), down=WAITED_OUT)

    assert decided(policy, some_facts(1), told(0, tokens_per_second=3.0), low(0)).replicas == 1


def test_a_sleeping_model_wakes_for_a_schedule_or_requests_that_are_held() -> None:
    policy = a_policy(least=0, to_zero=ToZero(without_hold=True))
    asleep = some_facts(0)

    assert decided(policy, asleep, told()).why is Why.ASLEEP
    assert decided(policy, asleep, Samples(held=25)).replicas == 3
    day = Schedule("day", UTC, NOON.time(), NOON.time(), least=2)
    assert decided(replace(policy, schedules=(day,)), asleep, told()).replicas == 2


def test_the_decision_is_one_line() -> None:
    decision = decided(a_policy(), some_facts(1, price=DEAR), told(23, kv_cache=0.5))

    assert decision.message == (
        "3 replicas: concurrency asks for 3. concurrency: 23 of 10 requests each asks for 3"
    )
