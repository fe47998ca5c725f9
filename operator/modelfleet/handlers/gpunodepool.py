"""GPU node pools."""

from typing import Any

import kopf

from modelfleet.api import labels
from modelfleet.handlers.feed import Feed


def register(registry: kopf.OperatorRegistry) -> None:
    """Subscribe to every event of a GPUNodePool."""
    kopf.on.event(labels.GROUP, "v1alpha1", "gpunodepools", registry=registry)(pool_changed)


async def pool_changed(event: kopf.RawEvent, memo: Feed, **_: Any) -> None:
    """A pool is looked at, and so is every Model that may use it."""
    memo.wake("GPUNodePool", event)
