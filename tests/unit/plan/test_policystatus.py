"""What an AutoscalingPolicy's status says."""

from typing import Any

from modelfleet.api.v1alpha1.autoscalingpolicy import AutoscalingPolicy
from modelfleet.plan.policystatus import policy_status_for
from support.builders import NOON


def a_policy(zone: str = "Europe/Berlin", **more: Any) -> AutoscalingPolicy:
    office = {"name": "office", "timeZone": zone, "from": "08:00", "to": "18:00", "minReplicas": 2}
    spec = {"signals": {"kvCachePercent": 80}, "maxReplicas": 4, "schedules": [office]}
    return AutoscalingPolicy.model_validate(
        {"metadata": {"name": "chat", "generation": 3}, "spec": spec, **more}
    )


def test_one_that_can_be_followed_is_valid() -> None:
    status = policy_status_for(a_policy(), NOON).status

    assert [(one.type, one.status, one.reason) for one in status.conditions] == [
        ("Ready", "True", "Valid")
    ]
    assert status.observed_generation == 3


def test_a_time_zone_that_is_not_is_named() -> None:
    plan = policy_status_for(a_policy("Europe/Atlantis"), NOON)

    ready, stalled = plan.status.conditions
    assert (ready.status, stalled.type, stalled.reason) == ("False", "Stalled", "InvalidSpec")
    assert stalled.message == "spec.schedules: office: there is no time zone Europe/Atlantis"
    assert [one.type for one in plan.notices] == ["Warning"]
