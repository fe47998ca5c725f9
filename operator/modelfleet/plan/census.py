"""A revision's pods, counted for decisions about replicas."""

from collections.abc import Iterable
from dataclasses import dataclass

from modelfleet.plan.world import Observed, Pod

NEVER_STARTS = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Why a container waits, where waiting longer seldom helps."""

QUOTA = "exceeded quota"
"""What the API server's quota admission says."""

MANY_RESTARTS = 2
"""One restart may be bad luck; the second says that the next will fail as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """One revision: what its Deployment asks for and what has come of it."""

    revision: str
    number: int = 0
    asked: int = 0
    alive: tuple[Pod, ...] = ()
    """Neither finished nor terminating."""
    leaving: int = 0
    """Terminating pods that still hold what they have; those on lost nodes will not let go."""
    over_quota: bool = False
    """A quota refuses its next pod. It is full as a node is full: less of the old makes room."""

    @property
    def placed(self) -> tuple[Pod, ...]:
        """Pods that have a node."""
        return tuple(pod for pod in self.alive if pod.node)

    @property
    def ready(self) -> int:
        """Ready pods that are here to stay. More than asked are left by a former Deployment."""
        return min(self.asked, sum(pod.ready for pod in self.alive))

    @property
    def useful(self) -> tuple[Pod, ...]:
        """Pods that serve or may serve by themselves soon; one not ready now may be so again."""
        return tuple(pod for pod in self.placed if not is_broken(pod))

    @property
    def unplaced(self) -> int:
        """Replicas that are asked for and hold no node yet."""
        return max(0, self.asked - len(self.placed))

    @property
    def in_flight(self) -> int:
        """Pods that have a node and are not ready yet."""
        return sum(not pod.ready for pod in self.placed)

    @property
    def broken(self) -> bool:
        """Whether some pod will not become ready by itself."""
        return any(is_broken(pod) for pod in self.alive)

    @property
    def blocked(self) -> bool:
        """Whether there is no place for some pod."""
        return self.over_quota or any(pod.unschedulable is not None for pod in self.alive)


def is_broken(pod: Pod) -> bool:
    """Return whether a pod fails again and again, so that time alone will not help."""
    if pod.ready:
        return False
    waits = pod.waiting is not None and pod.waiting.reason in NEVER_STARTS
    return waits or pod.restarts >= MANY_RESTARTS


def census_of(revision: str, seen: Observed) -> Census:
    """Count one revision."""
    deployment = seen.deployments.get(revision)
    pods = tuple(pod for pod in seen.pods if pod.revision == revision and not pod.finished)
    numbers = (one.number for one in seen.revisions if one.hash == revision)
    return Census(
        revision=revision,
        number=next(numbers, 0),
        asked=deployment.replicas if deployment else 0,
        alive=tuple(pod for pod in pods if not pod.terminating),
        leaving=sum(pod.terminating and pod.node not in seen.lost_nodes for pod in pods),
        over_quota=bool(deployment and QUOTA in (deployment.failure or "")),
    )


def old_revisions(wanted: str | None, seen: Observed) -> tuple[Census, ...]:
    """Count the other revisions that still have a pod or are to have one, in removal order.

    The least ready goes first and of equals the oldest, so that what serves stays longest.
    """
    live = {pod.revision for pod in seen.pods if not pod.finished} | set(seen.deployments)
    found = (census_of(revision, seen) for revision in live if revision != wanted)
    present = (one for one in found if one.leaving or one.alive or one.asked)
    return tuple(sorted(present, key=lambda one: (one.ready, one.number, one.revision)))


def ready_in(revisions: Iterable[Census]) -> int:
    """Return how many replicas are ready."""
    return sum(one.ready for one in revisions)
