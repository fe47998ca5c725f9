"""How often objects were created and deleted, told by the API server itself."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from modelfleet.api import labels
from modelfleet.cluster import rest
from modelfleet.cluster.session import Session

MANAGED = f"{labels.MANAGED_BY}={labels.FIELD_MANAGER}"

Deed = tuple[str, str, str]
"""What happened, the kind, and the object; a pod is called by its revision."""


class Chronicle:
    """Watches all that the operator and the controllers make for Models."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seen: dict[str, set[tuple[Deed, str]]] = {}

    def of(self, namespace: str) -> Counter[Deed]:
        """Return how often what happened there."""
        return Counter(deed for deed, _ in self._seen.get(namespace, ()))

    async def follow(self, kind: str) -> None:
        """Watch one kind until cancelled. A watch that ends begins again with all there is."""
        where = rest.BY_KIND[kind].all()
        while True:
            async for event in self._session.watch(where, {"labelSelector": MANAGED}):
                self._note(kind, event["type"], event["object"]["metadata"])

    def _note(self, kind: str, what: str, metadata: dict[str, Any]) -> None:
        if what == "MODIFIED":
            return
        name = metadata["labels"][labels.REVISION] if kind == "Pod" else metadata["name"]
        seen = self._seen.setdefault(metadata["namespace"], set())
        seen.add(((what, kind, name), metadata["uid"]))


@asynccontextmanager
async def chronicle(session: Session) -> AsyncIterator[Chronicle]:
    """Keep a chronicle for the time of the block."""
    kinds = ("Deployment", "Pod", "Service", "ServiceAccount", "ControllerRevision")
    one = Chronicle(session)
    tasks = [asyncio.create_task(one.follow(kind)) for kind in (*kinds, "PodDisruptionBudget")]
    try:
        yield one
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
