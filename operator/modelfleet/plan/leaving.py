"""Which pods leave when a revision shrinks, and how they are told apart before they go.

A pod that is to leave is first taken out of the Service by its label and given the lowest deletion
cost, so that the ReplicaSet controller deletes just this one. Only a later look, which sees the
mark, lowers the Deployment's replicas. A mark that is not needed any more is taken back.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from modelfleet.plan.world import Observed, Pod, PodMark

LEAVES = -1000
"""Deletion cost of a pod that is to leave; all others have none, which counts as 0."""

_NEVER = datetime.max.replace(tzinfo=UTC)


def leavers_for(replicas: Mapping[str, int], seen: Observed) -> tuple[Pod, ...]:
    """Return the ready pods that go if each revision is to have so many replicas.

    A pod that is not ready needs no mark: the ReplicaSet controller takes such pods first.
    """
    return tuple(
        pod
        for revision, count in sorted(replicas.items())
        for pod in _going(_alive(revision, seen), count, seen)
    )


def _alive(revision: str, seen: Observed) -> list[Pod]:
    pods = (pod for pod in seen.pods if pod.revision == revision)
    return [pod for pod in pods if not pod.terminating and not pod.finished]


def _going(alive: Sequence[Pod], count: int, seen: Observed) -> Iterable[Pod]:
    excess = len(alive) - count
    if excess <= 0:
        return ()
    if count == 0:  # there is nothing to choose, so marks stay as they are
        return [pod for pod in alive if not pod.serving]
    order = sorted(alive, key=lambda pod: _removal_order(pod, seen))
    return [pod for pod in order[:excess] if pod.ready]


def _removal_order(pod: Pod, seen: Observed) -> tuple[bool, bool, float, float, str]:
    """Cheapest to lose first: not ready, marked already, least busy, youngest. Ties by name.

    A pod of which the load is not known counts as the busiest.
    """
    busy = seen.in_flight.get(pod.uid)
    age = (pod.created_at or _NEVER).timestamp()
    return (
        pod.ready,
        pod.serving,
        float("inf") if busy is None else float(busy),
        -age,
        pod.name,
    )


def marks_for(leavers: Iterable[Pod], seen: Observed) -> tuple[PodMark, ...]:
    """Return the pods whose mark must change: those that go and do not know, and the reverse."""
    going = {pod.uid for pod in leavers}
    living = (pod for pod in seen.pods if not pod.terminating and not pod.finished and pod.uid)
    return tuple(
        PodMark(namespace=pod.namespace, name=pod.name, uid=pod.uid, leaves=pod.uid in going)
        for pod in sorted(living, key=lambda one: one.name)
        if (pod.uid in going) == pod.serving
    )


def marked(revision: str, seen: Observed) -> int:
    """Return how many pods of a revision know that they go, or are not ready to serve anyhow."""
    return sum(not pod.serving or not pod.ready for pod in _alive(revision, seen))


def replicas_now(replicas: Mapping[str, int], seen: Observed) -> dict[str, int]:
    """Return the replicas that Deployments may have now: no ready pod goes without its mark.

    A step is taken whole: while one revision may not shrink yet, none grows. Else the next look
    would find the new replica without the room that was to be made for it.
    """
    allowed = {revision: _allowed(revision, count, seen) for revision, count in replicas.items()}
    if all(allowed[revision] <= count for revision, count in replicas.items()):
        return allowed
    return {revision: min(count, _asked(revision, seen)) for revision, count in allowed.items()}


def _asked(revision: str, seen: Observed) -> int:
    deployment = seen.deployments.get(revision)
    return deployment.replicas if deployment else 0


def _allowed(revision: str, count: int, seen: Observed) -> int:
    deployment = seen.deployments.get(revision)
    if count == 0 or deployment is None or count >= deployment.replicas:
        return count
    unmarked = len(_alive(revision, seen)) - marked(revision, seen)
    return max(count, min(deployment.replicas, unmarked))
