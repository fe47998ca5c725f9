"""Nothing is wrong: what the replicas that are not ready yet are doing."""

from modelfleet.api.conditions import Reason
from modelfleet.plan.diagnosis.case import Case, Diagnosis, patience, person


def paused(case: Case) -> Diagnosis | None:
    """Pods still start while the Model is paused; what is left to do waits for a person."""
    others = any(pod.revision != case.wanted for pod in case.seen.pods if not pod.finished)
    settled = case.census.asked == case.replicas and not others
    if not case.model.spec.paused or settled:
        return None
    fact = f"spec.paused holds revision {case.wanted} back"
    return person(Reason.PAUSED, fact, "Set spec.paused to false to go on")


def starting(case: Case) -> Diagnosis | None:
    """Count the replicas by phase; the earliest phase gives the reason."""
    placed = [pod for pod in case.waiting if pod.node]
    loading = sum(pod.started_at is not None for pod in placed)
    phases = (
        (len(case.waiting) - len(placed), Reason.SCHEDULING, "for a node"),
        (len(placed) - loading, Reason.PULLING_IMAGE, "for image and volumes"),
        (loading, Reason.LOADING_MODEL, "for the engine to load the model"),
    )
    present = [phase for phase in phases if phase[0]]
    if not present:
        return None
    waits = ", ".join(f"{count} {what}" for count, _, what in present)
    fact = f"{case.census.ready} of {case.replicas} replicas ready; waiting {waits}"
    return patience(present[0][1], fact)


def creating(case: Case) -> Diagnosis | None:
    """Some pods are not there yet."""
    missing = case.replicas - len(case.census.alive)
    if missing <= 0:
        return None
    fact = f"{missing} of {case.replicas} replicas of revision {case.wanted} are being created"
    return patience(Reason.CREATING, fact)
