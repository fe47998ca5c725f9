"""How long the last cold start took, phase by phase."""

from collections.abc import Iterable
from datetime import datetime

from modelfleet.api.v1alpha1.model import StartupPhases
from modelfleet.plan.world import Pod

Instants = tuple[datetime, datetime, datetime, datetime]


def phases_for(pods: Iterable[Pod]) -> StartupPhases | None:
    """Return the phases of the start that ended last, or None where no start is fully known.

    A container that was started again hides when it started first, so its pod tells nothing.
    """
    starts = [known for pod in pods if (known := _instants(pod))]
    if not starts:
        return None
    created, scheduled, started, ready = max(starts, key=lambda start: (start[3], start))
    # Rounded from the same beginning, so that the phases sum to the total exactly.
    until = [round((at - created).total_seconds()) for at in (scheduled, started, ready)]
    return StartupPhases(
        scheduling_seconds=until[0],
        pulling_seconds=until[1] - until[0],
        loading_seconds=until[2] - until[1],
        total_seconds=until[2],
    )


def _instants(pod: Pod) -> Instants | None:
    """Return creation, scheduling, start and readiness; None where one lacks or precedes another.

    They come from several clocks (API server, scheduler, kubelet) and may be out of order.
    """
    instants = (pod.created_at, pod.scheduled_at, pod.started_at, pod.ready_at)
    created, scheduled, started, ready = instants
    if pod.restarts or not pod.ready:
        return None
    if created is None or scheduled is None or started is None or ready is None:
        return None
    in_order = created <= scheduled <= started <= ready
    return (created, scheduled, started, ready) if in_order else None
