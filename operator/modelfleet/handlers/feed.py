"""The bridge from kopf's thread to ours."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

Sink = Callable[[str, str, Mapping[str, Any]], None]
"""Takes the kind, the event's type (`""` for what was there at the start) and the object."""


class Feed:
    """kopf's memo. Its handlers run in kopf's own loop; the objects go over to the main loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        self._loop, self._sink = loop, sink

    def pass_on(self, kind: str, event: Mapping[str, Any]) -> None:
        """Hand an event to the main loop. Safe from any thread; nothing is done after its end."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(
                self._sink, kind, event.get("type") or "", event["object"]
            )

    def __copy__(self) -> "Feed":
        """kopf copies the memo for each object; the bridge stays the same."""
        return self
