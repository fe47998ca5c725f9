"""Bounds: schedules in their time zones, a Model's own, the ceiling."""

import pickle
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any

import pytest

from modelfleet.api.v1alpha1.autoscaling import Autoscaling
from modelfleet.api.v1alpha1.autoscalingpolicy import AutoscalingPolicySpec
from modelfleet.plan.scaling import Policy, Schedule, policy_for
from modelfleet.plan.scaling.bounds import bounds_for, holds
from modelfleet.plan.scaling.policy import zone_of
from unit.plan.scaling.cases import a_policy, some_facts

BERLIN = zone_of("Europe/Berlin")
assert BERLIN


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(begins: str, ends: str, days: frozenset[int] = frozenset(range(7))) -> Schedule:
    assert BERLIN
    return Schedule(
        "s", BERLIN, time.fromisoformat(begins), time.fromisoformat(ends), days, least=3
    )


@pytest.mark.parametrize(
    ("schedule", "instant", "held"),
    [
        pytest.param(hours("08:00", "18:00"), "2026-01-13T07:00", True, id="winter: an hour off"),
        pytest.param(hours("08:00", "18:00"), "2026-07-14T06:00", True, id="summer: two"),
        pytest.param(hours("08:00", "18:00"), "2026-07-14T05:59", False, id="before"),
        pytest.param(hours("08:00", "18:00"), "2026-07-14T16:00", False, id="the end is outside"),
        pytest.param(hours("22:00", "06:00"), "2026-07-14T21:00", True, id="before midnight"),
        pytest.param(hours("22:00", "06:00"), "2026-07-14T03:00", True, id="after midnight"),
        pytest.param(hours("22:00", "06:00"), "2026-07-14T12:00", False, id="by day"),
        pytest.param(hours("00:00", "00:00"), "2026-07-14T12:00", True, id="all day"),
        pytest.param(
            hours("22:00", "06:00", frozenset({4})), "2026-07-18T02:00", True, id="of Friday"
        ),
        pytest.param(
            hours("22:00", "06:00", frozenset({4})), "2026-07-17T02:00", False, id="of Thursday"
        ),
        pytest.param(
            hours("08:00", "18:00", frozenset({5, 6})), "2026-07-17T12:00", False, id="no weekend"
        ),
        pytest.param(hours("02:30", "03:30"), "2026-03-29T01:15", True, id="an hour that is not"),
    ],
)
def test_hours_hold_by_the_clock_of_their_zone(
    schedule: Schedule, instant: str, held: bool
) -> None:
    assert holds(schedule, at(instant)) is held


def bounds(policy: Policy, instant: str, **facts: Any) -> tuple[int, int]:
    found = bounds_for(policy, some_facts(**facts), None, at(instant))
    return found.least, found.most


def test_schedules_go_before_the_policy_and_the_highest_counts() -> None:
    one, other = hours("08:00", "18:00"), replace(hours("09:00", "10:00"), least=5, most=6)
    policy = a_policy(least=2, most=4, schedules=(one, other))

    assert bounds(policy, "2026-07-14T02:00") == (2, 4)
    assert bounds(policy, "2026-07-14T12:00") == (3, 4)
    assert bounds(policy, "2026-07-14T07:30") == (5, 6)


def test_what_is_to_be_ready_begins_a_cold_start_early() -> None:
    policy = a_policy(schedules=(hours("08:00", "18:00"),))

    assert bounds(policy, "2026-07-14T05:50", cold_start=300.0) == (1, 10)
    assert bounds(policy, "2026-07-14T05:50", cold_start=900.0) == (3, 10)


def test_hours_that_are_about_to_begin_lift_the_most_as_well() -> None:
    night = replace(hours("22:00", "08:00"), least=None, most=1)
    policy = a_policy(schedules=(night, hours("08:00", "18:00")))

    assert bounds(policy, "2026-07-14T05:00", cold_start=300.0) == (1, 1)
    assert bounds(policy, "2026-07-14T05:58", cold_start=300.0) == (3, 3)


SPEC = {
    "signals": {"concurrencyPerReplica": 10},
    "minReplicas": 2,
    "maxReplicas": 6,
    "schedules": [
        {"name": "day", "timeZone": "UTC", "from": "08:00", "to": "18:00", "minReplicas": 5},
        {
            "name": "lost",
            "timeZone": "Mars/Olympus",
            "from": "08:00",
            "to": "18:00",
            "minReplicas": 9,
        },
    ],
    "windows": {"down": {"coldStartPercent": 150}, "up": {"seconds": 30}},
    "costCeilingPerHour": "12.5",
    "scaleToZero": {"withoutHold": True},
}


@pytest.mark.parametrize(
    ("own", "night", "day"),
    [
        pytest.param({}, (2, 6), (5, 6), id="none"),
        pytest.param({"minReplicas": 0, "maxReplicas": 8}, (0, 8), (5, 8), id="wider"),
        pytest.param({"maxReplicas": 3}, (2, 3), (3, 3), id="less than a schedule asks for"),
        pytest.param({"maxReplicas": 1}, (1, 1), (1, 1), id="less than the policy's least"),
        pytest.param({"minReplicas": 7}, (7, 7), (7, 7), id="more than the policy's most"),
    ],
)
def test_a_models_own_bounds_hold_always(
    own: dict[str, int], night: tuple[int, int], day: tuple[int, int]
) -> None:
    chosen = Autoscaling.model_validate({"policyRef": {"name": "chat"}, **own})
    policy = policy_for(AutoscalingPolicySpec.model_validate(SPEC), chosen)

    assert bounds(policy, "2026-07-14T02:00") == night
    assert bounds(policy, "2026-07-14T12:00") == day


def test_a_policy_becomes_plain_values() -> None:
    policy = policy_for(AutoscalingPolicySpec.model_validate(SPEC))

    assert policy.mistakes == {"lost": "there is no time zone Mars/Olympus"}
    assert [one.name for one in policy.schedules] == ["day"]
    assert policy.ceiling == 12_500_000
    assert (policy.up.length(100), policy.down.length(100)) == (30, 150)
    assert policy.to_zero is not None
    assert policy.to_zero.without_hold


def test_a_schedule_of_no_replica_needs_leave_as_well() -> None:
    night = replace(hours("22:00", "08:00"), least=0, most=0)
    policy = a_policy(schedules=(night,))

    found = bounds_for(policy, some_facts(), None, at("2026-07-14T02:00"))

    assert (found.least, found.most, found.zero_refused) == (1, 1, True)


@pytest.mark.parametrize(
    ("given", "quick", "slow"),
    [
        pytest.param(None, 600, 1800, id="two cold starts, ten minutes at least"),
        pytest.param({"coldStartPercent": 150}, 60, 1350, id="given: a minute at least"),
        pytest.param({"seconds": 5}, 5, 5, id="seconds are taken as they are"),
    ],
)
def test_a_window_downwards_follows_the_cold_start(
    given: dict[str, int] | None, quick: int, slow: int
) -> None:
    windows = {} if given is None else {"down": given}
    policy = policy_for(AutoscalingPolicySpec.model_validate({**SPEC, "windows": windows}))

    assert (policy.down.length(20), policy.down.length(900)) == (quick, slow)


def test_a_policy_can_be_sent_to_another_process() -> None:
    policy = a_policy()

    assert pickle.loads(pickle.dumps(policy)) == policy
