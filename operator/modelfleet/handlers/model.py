"""Models."""

from typing import Any

import kopf

from modelfleet.api import labels
from modelfleet.handlers.feed import Feed


def register(registry: kopf.OperatorRegistry) -> None:
    """Subscribe to every event of a Model."""
    kopf.on.event(labels.GROUP, "v1alpha1", "models", registry=registry)(model_changed)


async def model_changed(event: kopf.RawEvent, memo: Feed, **_: Any) -> None:
    """A spec, a status or a deletion: whatever it was, look at it."""
    memo.wake("Model", event)
