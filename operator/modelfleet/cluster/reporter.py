"""Writes statuses and the events that go with them, as seldom as users can bear."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

from pydantic import BaseModel

from modelfleet import clock
from modelfleet.api.schema import Kind
from modelfleet.api.v1alpha1.autoscalingpolicy import AutoscalingPolicy
from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool
from modelfleet.api.v1alpha1.model import Model, ModelStatus
from modelfleet.cluster import errors, rest
from modelfleet.cluster.caches import Caches
from modelfleet.cluster.events import Recorder
from modelfleet.cluster.session import Session
from modelfleet.plan.status import is_urgent
from modelfleet.plan.world import Key, Notice, Plan, Unreadable

STATUS_PAUSE = 2.0
"""Seconds between two writes of a status in which only a phase or a count has moved."""


class Verdict(Protocol):
    """What is reported of an object."""

    @property
    def status(self) -> BaseModel:
        """The new status."""

    @property
    def notices(self) -> tuple[Notice, ...]:
        """The events that go with it."""


class Reporter:
    """One author of every status. Raises Unavailable where a write is worth a retry."""

    def __init__(self, session: Session, caches: Caches, recorder: Recorder) -> None:
        self._session, self._caches, self._recorder = session, caches, recorder
        self._reported: dict[Key, float] = {}

    def forget(self, key: Key) -> None:
        """Forget when an object that is gone was reported."""
        self._reported.pop(key, None)

    async def model(self, key: Key, model: Model | Unreadable, plan: Plan) -> timedelta:
        """Write the status if a user would act on the difference. Return when to look again."""
        old = model.old if isinstance(model, Unreadable) else model.status
        if plan.status == old:
            return plan.look_again_in
        if pause := self._pause(key, old, plan.status):
            return min(pause, plan.look_again_in)
        uid = model.uid if isinstance(model, Unreadable) else model.metadata.uid
        self._reported[key] = clock.monotonic()
        await self._patch_status(key, uid, plan)
        return plan.look_again_in

    def _pause(self, key: Key, old: ModelStatus, new: ModelStatus) -> timedelta | None:
        if is_urgent(old, new):
            return None
        left = self._reported.get(key, -STATUS_PAUSE) + STATUS_PAUSE - clock.monotonic()
        return timedelta(seconds=left) if left > 0 else None

    async def kind(self, key: Key, found: Kind, plan: Verdict) -> None:
        """Write the status of a pool, an Engine or a policy where it differs."""
        store = self._caches.customs()[key.kind]
        known: GPUNodePool | Engine | AutoscalingPolicy | None = store.get(key.namespace, key.name)
        if known is not None and known.status != plan.status:
            await self._patch_status(key, found.metadata.uid, plan)

    async def _patch_status(self, key: Key, uid: str, plan: Verdict) -> None:
        """Replace the status. The uid makes sure that it is not a namesake's."""
        resource = rest.BY_KIND[key.kind]
        body = {"metadata": {"uid": uid}, "status": _dumped(plan.status)}
        try:
            reply = await self._session.patch(resource.at(key.namespace, key.name, "status"), body)
        except errors.NotFound:
            self._caches.customs()[key.kind].drop((key.namespace, key.name), uid)
            return
        self._caches.customs()[key.kind].put(reply.body)
        for notice in plan.notices:
            self._recorder.record(_regarding(key, uid, reply.body), notice)


def _dumped(status: BaseModel) -> dict[str, Any]:
    """Return a status for a merge patch, in which null removes what is not known any more."""
    return status.model_dump(mode="json", by_alias=True)


def _regarding(key: Key, uid: str, raw: Mapping[str, Any]) -> dict[str, str]:
    return {
        "apiVersion": raw.get("apiVersion", ""),
        "kind": key.kind,
        "namespace": key.namespace,
        "name": key.name,
        "uid": uid,
        "resourceVersion": raw["metadata"].get("resourceVersion", ""),
    }
