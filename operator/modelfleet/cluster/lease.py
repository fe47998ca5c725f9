"""One Lease object: who leads, since when, and the version that guards against a second writer."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from modelfleet.cluster import errors
from modelfleet.cluster.events import micro_time
from modelfleet.cluster.rest import LEASES
from modelfleet.cluster.session import Object, Session


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease as one candidate reads or writes it."""

    holder: str
    """Identity of the leader; empty when it was released."""
    seconds: int
    """How long others must wait after the last renewal that they saw."""
    acquired_at: str
    renewed_at: str
    transitions: int = 0
    version: str = ""
    """resourceVersion. Empty: not created yet."""

    def taken_by(self, identity: str, now: datetime, seconds: int) -> "Lease":
        """Return the lease that `identity` wants to write: renewed, or with a change of leader."""
        moment = micro_time(now)
        if self.holder == identity:
            return replace(self, renewed_at=moment, seconds=seconds)
        return Lease(identity, seconds, moment, moment, self.transitions + 1, self.version)

    def released(self, now: datetime) -> "Lease":
        """Return the lease that lets anybody lead at once. 1 s is the least that is allowed."""
        return replace(self, holder="", seconds=1, renewed_at=micro_time(now))


class LeaseClient:
    """Reads and writes one Lease; never retries: the elector does, by its own clock."""

    def __init__(self, session: Session, namespace: str, name: str) -> None:
        self._session = session
        self._namespace, self._name = namespace, name
        self._where = LEASES.at(namespace, name)

    async def read(self) -> Lease | None:
        """Return the Lease, None if there is none. Raises ApiError."""
        try:
            return _lease(await self._session.get(self._where))
        except errors.NotFound:
            return None

    async def write(self, lease: Lease) -> Lease:
        """Create or update. Raises Conflict if somebody else has written since; other ApiErrors
        leave open whether it was written."""
        body = self._body(lease)
        if lease.version:
            return _lease(await self._session.replace(self._where, body))
        return _lease(await self._session.create(LEASES.all(self._namespace), body))

    def _body(self, lease: Lease) -> dict[str, Any]:
        metadata = {"name": self._name, "namespace": self._namespace}
        if lease.version:
            metadata["resourceVersion"] = lease.version
        spec = {
            "holderIdentity": lease.holder,
            "leaseDurationSeconds": lease.seconds,
            "acquireTime": lease.acquired_at,
            "renewTime": lease.renewed_at,
            "leaseTransitions": lease.transitions,
        }
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": metadata,
            "spec": spec,
        }


def _lease(raw: Object) -> Lease:
    spec = raw.get("spec") or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        seconds=int(spec.get("leaseDurationSeconds") or 0),
        acquired_at=spec.get("acquireTime") or "",
        renewed_at=spec.get("renewTime") or "",
        transitions=int(spec.get("leaseTransitions") or 0),
        version=raw["metadata"]["resourceVersion"],
    )
