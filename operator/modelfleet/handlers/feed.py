"""The bridge from kopf's thread to ours."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from modelfleet.plan.world import Key


class Feed:
    """kopf's memo. Its handlers run in kopf's own loop; the keys go over to the main loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wake: Callable[[Key], None]) -> None:
        self._loop, self._wake = loop, wake

    def wake(self, kind: str, event: Mapping[str, Any]) -> None:
        """Have an object looked at. Safe from any thread; nothing is done after the loop's end."""
        metadata = event["object"]["metadata"]
        key = Key(kind, metadata.get("namespace") or "", metadata["name"])
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, key)

    def __copy__(self) -> "Feed":
        """kopf copies the memo for each object; the bridge stays the same."""
        return self
