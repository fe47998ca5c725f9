"""AutoscalingPolicies."""

from typing import Any

import kopf

from modelfleet.api import labels
from modelfleet.handlers.feed import Feed


def register(registry: kopf.OperatorRegistry) -> None:
    """Subscribe to every event of an AutoscalingPolicy."""
    kopf.on.event(labels.GROUP, "v1alpha1", "autoscalingpolicies", registry=registry)(
        policy_changed
    )


async def policy_changed(event: kopf.RawEvent, memo: Feed, **_: Any) -> None:
    """A policy is looked at; the Models that refer to it are woken by the cache."""
    memo.wake("AutoscalingPolicy", event)
