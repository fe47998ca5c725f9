"""The phases of the last cold start."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.api.v1alpha1.model import StartupPhases
from modelfleet.plan.startup import phases_for
from support.builders import NOON, a_loading_pod, a_pod, seconds_ago


def test_each_phase_ends_where_the_next_begins() -> None:
    assert phases_for([a_pod()]) == StartupPhases(
        scheduling_seconds=1, pulling_seconds=19, loading_seconds=60, total_seconds=80
    )


def test_the_replica_that_became_ready_last_counts() -> None:
    late = a_pod("chat-new-2", ready_at=seconds_ago(10))
    early = a_pod("chat-new-9", ready_at=seconds_ago(50))

    phases = phases_for([late, early])

    assert phases is not None
    assert phases.total_seconds == 90


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"restarts": 1}, id="restarted"),
        pytest.param({"started_at": None}, id="no start is known"),
        pytest.param({"scheduled_at": None}, id="no scheduling is known"),
        pytest.param({"created_at": None}, id="no creation is known"),
        pytest.param({"ready": False}, id="not ready any more"),
        pytest.param({"started_at": seconds_ago(10)}, id="started after it was ready"),
    ],
)
def test_a_start_that_is_not_fully_known_tells_nothing(facts: dict[str, Any]) -> None:
    assert phases_for([a_pod(**facts)]) is None


def test_replicas_that_still_load_tell_nothing() -> None:
    assert phases_for([a_loading_pod()]) is None
    assert phases_for([]) is None


@given(st.lists(st.floats(0, 1e5), min_size=3, max_size=3))
def test_the_phases_sum_to_the_total(gaps: list[float]) -> None:
    at = [NOON + timedelta(seconds=sum(gaps[:until])) for until in range(4)]
    pod = a_pod(created_at=at[0], scheduled_at=at[1], started_at=at[2], ready_at=at[3])

    phases = phases_for([pod])

    assert phases is not None
    assert phases.total_seconds == (
        phases.scheduling_seconds + phases.pulling_seconds + phases.loading_seconds
    )
    assert abs(phases.total_seconds - sum(gaps)) <= 0.51
