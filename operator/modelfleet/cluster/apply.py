"""Turns a manifest into one server-side apply, or into nothing where all is as it should be."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import orjson

from modelfleet import telemetry
from modelfleet.api.labels import APPLIED, FIELD_MANAGER, MANAGED_BY
from modelfleet.cluster import errors
from modelfleet.cluster.covers import covers
from modelfleet.cluster.rest import Endpoint, endpoint_of, resource_of
from modelfleet.cluster.session import APPLY, Object, Reply, Session
from modelfleet.plan.world import Manifest, Ref

Live = Mapping[str, Any]
"""An object as it was last seen, with `metadata.uid` and `resourceVersion`. Neither its status nor
its managedFields are looked at."""

Action = Literal["created", "configured", "unchanged"]
Propagation = Literal["Background", "Foreground", "Orphan"]

NEVER = "1"
"""A resourceVersion that no object has: etcd's first revision is before all of them. An apply that
names it creates an object, or is refused with a 409 where one exists. (Seen on 1.36; the check is
the one that guards every update.)"""

REPLACED = frozenset({"Service"})
"""Kinds that are nobody's but ours down to the last entry of a list."""

REMEMBERED = 20_000
"""Objects whose last comparison is remembered; some 300 bytes each."""


class Applied(NamedTuple):
    """The object as it is now, and what that took. Unchanged, it is the very one given."""

    raw: Mapping[str, Any]
    action: Action


@dataclass(frozen=True, slots=True)
class _Verdict:
    """This version of this object has all that the manifest with this hash wants."""

    uid: str
    version: str
    wanted: str


class Applier:
    """Applies and deletes under our field manager. Never sends what would change nothing."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._verdicts: OrderedDict[Endpoint, _Verdict] = OrderedDict()

    async def apply(self, manifest: Manifest, live: Live | None) -> Applied:
        """Make the cluster's object have every field of `manifest`.

        `live` is the object as we know it, None if we know of none. Raises ApiError: NameTaken if
        the object exists but is not ours, Conflict if it is not the one that we know.
        """
        where = endpoint_of(manifest)
        wanted = fingerprint(manifest)
        if live is not None and self._is_as_wanted(where, manifest, wanted, live):
            return self._done(where, Applied(live, "unchanged"))
        body = _stamped(manifest, wanted, live)
        reply = await (self._create(where, body) if live is None else self._correct(where, body))
        metadata = reply.body["metadata"]
        self._remember(where, _Verdict(metadata["uid"], metadata["resourceVersion"], wanted))
        return self._done(where, Applied(reply.body, _action(reply, live)))

    async def delete(
        self, ref: Ref, *, version: str | None = None, propagation: Propagation = "Background"
    ) -> Object | None:
        """Delete the object of exactly this uid; return the server's answer, None if it is gone.

        With `version`, raises Conflict if the object has changed since.
        """
        where = resource_of({"kind": ref.kind}).at(ref.namespace, ref.name)
        preconditions = {"uid": ref.uid} if ref.uid else {}
        if version is not None:
            preconditions["resourceVersion"] = version
        options = {"preconditions": preconditions, "propagationPolicy": propagation}
        self._verdicts.pop(where, None)
        try:
            answer = await self._session.delete(where, options)
        except errors.NotFound:
            return None
        except errors.Conflict:
            if version is not None:
                raise
            return None  # a namesake lives; the object that was meant does not
        telemetry.WRITES.labels(ref.kind, "deleted").inc()
        return answer

    def _is_as_wanted(self, where: Endpoint, manifest: Manifest, wanted: str, live: Live) -> bool:
        metadata = live["metadata"]
        verdict = _Verdict(metadata["uid"], metadata["resourceVersion"], wanted)
        if self._verdicts.get(where) == verdict:
            return True
        # The stamp tells of fields that we do not want any more, `covers` of those that others
        # have changed.
        stamp = (metadata.get("annotations") or {}).get(APPLIED)
        if stamp != wanted or not covers(live, manifest):
            return False
        self._remember(where, verdict)
        return True

    async def _create(self, where: Endpoint, body: Mapping[str, Any]) -> Reply:
        """Apply what should not exist yet, and touch nobody's namesake."""
        never = {**body, "metadata": {**body["metadata"], "resourceVersion": NEVER}}
        try:
            return await self._force(where, never)
        except errors.Conflict as conflict:
            if not _is_ours(await self._session.get(where), body):
                raise errors.NameTaken(
                    f"{where.kind} {body['metadata']['name']} exists and is not ours",
                    code=conflict.code,
                    reason=conflict.reason,
                ) from conflict
        return await self._force(where, body)

    async def _correct(self, where: Endpoint, body: Mapping[str, Any]) -> Reply:
        """Apply to what exists. Where others' entries in its lists clash with ours, these go.

        An apply merges a Service's ports by number: one that was renumbered by hand keeps its
        name, which ours has as well, and so no apply would ever be valid again.
        """
        try:
            return await self._force(where, body)
        except errors.Invalid:
            if where.kind not in REPLACED:
                raise
            same = {"metadata": {"uid": body["metadata"]["uid"]}}
            await self._session.patch(where, {**same, "spec": body["spec"]})
        return await self._force(where, body)

    async def _force(self, where: Endpoint, body: Mapping[str, Any]) -> Reply:
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._session.patch(where, body, APPLY, query=query)

    def _remember(self, where: Endpoint, verdict: _Verdict) -> None:
        self._verdicts[where] = verdict
        self._verdicts.move_to_end(where)
        if len(self._verdicts) > REMEMBERED:
            self._verdicts.popitem(last=False)

    def _done(self, where: Endpoint, applied: Applied) -> Applied:
        telemetry.WRITES.labels(where.kind, applied.action).inc()
        return applied


def fingerprint(manifest: Manifest) -> str:
    """Return a hash of all that we want of an object."""
    body = orjson.dumps(manifest, default=dict, option=orjson.OPT_SORT_KEYS)
    return blake2b(body, digest_size=8).hexdigest()


def _stamped(manifest: Manifest, wanted: str, live: Live | None) -> dict[str, Any]:
    metadata = dict(manifest["metadata"])
    metadata["annotations"] = {**(metadata.get("annotations") or {}), APPLIED: wanted}
    if live is not None:
        # Not its namesake, and not a new one where it was deleted meanwhile: 409 says so.
        metadata["uid"] = live["metadata"]["uid"]
    return {**manifest, "metadata": metadata}


def _action(reply: Reply, live: Live | None) -> Action:
    if reply.code == 201:
        return "created"
    before = live["metadata"]["resourceVersion"] if live is not None else None
    return "unchanged" if reply.body["metadata"]["resourceVersion"] == before else "configured"


def _is_ours(found: Object, body: Mapping[str, Any]) -> bool:
    """Whether one controller owns both, or none owns an object that carries our label."""
    owner = _controller(found)
    if owner is not None:
        return owner == _controller(body)
    return (found["metadata"].get("labels") or {}).get(MANAGED_BY) == FIELD_MANAGER


def _controller(body: Mapping[str, Any]) -> str | None:
    owners = body["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)
