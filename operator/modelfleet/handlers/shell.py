"""kopf in its own thread and loop, supervised: if it ends, it is started again.

kopf's own state is switched off (no annotations, no finalizers, no peering, no events): the
operator is level-triggered and keeps what it must remember in its objects' status.
"""

import asyncio
import itertools
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import aiohttp
import kopf

from modelfleet.handlers import autoscalingpolicy, engine, gpunodepool, model
from modelfleet.handlers.feed import Feed

logger = logging.getLogger(__name__)

Login = Callable[[], Awaitable[tuple[str, aiohttp.ClientSession]]]
"""Makes a session in the running loop: the API server's URL, and a client that authenticates."""


class NoDiffBase(kopf.DiffBaseStorage):
    """Remembers nothing on the objects: there are only low-level handlers."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Keep no essence."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Know of no earlier essence."""
        return None

    def store(self, **_: Any) -> None:
        """Write nothing."""


class NoProgress(kopf.ProgressStorage):
    """The same for the progress of handlers."""

    def fetch(self, **_: Any) -> None:
        """Know of no progress."""

    def store(self, **_: Any) -> None:
        """Write nothing."""

    def purge(self, **_: Any) -> None:
        """Write nothing."""

    def touch(self, **_: Any) -> None:
        """Write nothing."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """Leave the object as it is."""
        return essence


class Backoff:
    """Endless jittered delays in seconds: a long outage must not end the watch."""

    def __iter__(self) -> Iterator[float]:
        steps = itertools.chain((0.5, 1, 2, 5), itertools.repeat(10))
        return (step * random.uniform(0.5, 1.0) for step in steps)


def settings_for(server_timeout: int = 300) -> kopf.OperatorSettings:
    """Return kopf's settings: no state, no posting, no peering, and patience with the server."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.persistence.finalizer = "modelfleet.dev/unused"
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.watching.server_timeout = server_timeout
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = Backoff()
    settings.queueing.idle_timeout = 1.0
    return settings


class Shell:
    """Runs kopf while started. `restarts` counts the times that it ended without being asked."""

    def __init__(self, feed: Feed, login: Login, namespaces: Sequence[str] = ()) -> None:
        self._feed, self._login, self._namespaces = feed, login, namespaces
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self.restarts = 0

    @property
    def ready(self) -> bool:
        """Whether kopf has found our kinds and watches them."""
        return self._ready.is_set()

    def start(self) -> None:
        """Start kopf's thread."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._supervise, name="kopf", daemon=True)
        self._thread.start()

    async def stop(self, timeout: float = 10.0) -> None:
        """Ask kopf to end and wait for it, at most `timeout` seconds."""
        self._stop.set()
        if self._thread:
            await asyncio.to_thread(self._thread.join, timeout)

    def _supervise(self) -> None:
        for delay in Backoff():
            try:
                asyncio.run(self._run())
            except Exception:
                logger.exception("kopf ended; starting it again")
            self._ready.clear()
            if self._stop.wait(delay):
                return
            self.restarts += 1

    async def _run(self) -> None:
        await kopf.operator(
            registry=self._registry(),
            settings=settings_for(),
            memo=self._feed,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            standalone=True,
            stop_flag=self._stop,
            ready_flag=self._ready,
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._session)
        for kind in (model, gpunodepool, engine, autoscalingpolicy):
            kind.register(registry)
        return registry

    async def _session(self, **_: Any) -> kopf.AiohttpSession:
        server, client = await self._login()
        return kopf.AiohttpSession(server=server, aiohttp_session=client)
