"""Engines."""

from typing import Any

import kopf

from modelfleet.api import labels
from modelfleet.handlers.feed import Feed


def register(registry: kopf.OperatorRegistry) -> None:
    """Subscribe to every event of an Engine."""
    kopf.on.event(labels.GROUP, "v1alpha1", "engines", registry=registry)(engine_changed)


async def engine_changed(event: kopf.RawEvent, memo: Feed, **_: Any) -> None:
    """An Engine is looked at, and so is every Model that names it."""
    memo.wake("Engine", event)
