"""Containers that end, or take too long to be ready."""

from collections.abc import Sequence
from datetime import timedelta

from modelfleet.api.conditions import Reason
from modelfleet.plan.census import MANY_RESTARTS
from modelfleet.plan.diagnosis.case import Case, Diagnosis, patience, person
from modelfleet.plan.diagnosis.causes import remedy_for
from modelfleet.plan.diagnosis.text import quoted, telling_line
from modelfleet.plan.world import Exit, Pod

LONG_RUN = 600
"""Seconds after which the kubelet forgets earlier crashes; so do we."""

PROBE_SLACK = 60
"""Seconds between the deadline and the end: a probe's period, its timeout, a busy kubelet."""

MOST_NOTICED_END = 160
"""Bytes of last words in the message of a single restart."""


def out_of_memory(case: Case) -> Diagnosis | None:
    """The kernel ended the container at its memory limit: at its start that repeats itself."""
    pods = [pod for pod in case.waiting if pod.last_exit and pod.last_exit.reason == "OOMKilled"]
    if not pods:
        return None
    limit = _memory_limit(case)
    of = f" of {limit}" if limit else ""
    remedy = "Raise spec.resources.memory"
    if any(pod.unready_at is None or backs_off(pod) for pod in pods):
        fact = f"{case.those(pods)}: killed at the memory limit{of} while loading the model"
        return person(Reason.OUT_OF_MEMORY, fact, f"{remedy}, or choose a smaller model")
    fact = f"{case.those(pods)}: killed at the memory limit{of} while serving, and loads again"
    return patience(Reason.OUT_OF_MEMORY, fact, f"{remedy}, or lower what is served at once")


def _memory_limit(case: Case) -> str | None:
    if case.model.spec.resources.memory:
        return case.model.spec.resources.memory
    return case.seen.engine.spec.defaults.memory if case.seen.engine else None


def backs_off(pod: Pod) -> bool:
    """Return whether the kubelet waits before it starts the container again."""
    return pod.waiting is not None and pod.waiting.reason == "CrashLoopBackOff"


def crash_loop(case: Case) -> Diagnosis | None:
    """Tell the last words of the first pod that fails again and again."""
    pods = [pod for pod in case.waiting if _crashes(pod) and not _starved(case, pod)]
    if not pods:
        return None
    end = pods[0].last_exit
    words = telling_line(end.message) if end else ""
    fact = f"{case.those(pods)}: the engine ends again and again{_told(end, words)}"
    everything = quoted(end.message, most=4096) if end else ""
    remedy = remedy_for(everything, end.code if end else None)
    return person(Reason.CRASH_LOOP, fact, remedy)


def _told(end: Exit | None, words: str) -> str:
    if end is None:
        return ""
    return f", last with exit code {end.code}" + (f": {words}" if words else "")


def _crashes(pod: Pod) -> bool:
    if backs_off(pod):
        return True
    ran = pod.last_exit.seconds if pod.last_exit else None
    return pod.restarts >= MANY_RESTARTS and (ran is None or ran < LONG_RUN)


def deadline_passed(case: Case) -> Diagnosis | None:
    """A start counts from the node's choice; the startup probe ends a container that is late."""
    pods = [pod for pod in case.waiting if pod.node and _late(case, pod)]
    if not pods:
        return None
    seconds = case.model.spec.startup.deadline_seconds
    doing = "the engine still loads the model" if _has_started(pods[0]) else "no container runs yet"
    return person(
        Reason.STARTUP_DEADLINE_EXCEEDED,
        f"{case.those(pods)}: not ready within {seconds} s of its start, {doing}",
        "Raise spec.startup.deadlineSeconds, or see with kubectl describe and logs what takes "
        "so long",
    )


def _has_started(pod: Pod) -> bool:
    return pod.started_at is not None or pod.restarts > 0


def _late(case: Case, pod: Pod) -> bool:
    if pod.unready_at is not None:  # it was ready: this is no start
        return False
    if pod.restarts:
        return _starved(case, pod)
    since = pod.started_at or pod.scheduled_at
    deadline = timedelta(seconds=case.model.spec.startup.deadline_seconds)
    return since is not None and case.seen.now - since > deadline


def _starved(case: Case, pod: Pod) -> bool:
    """Return whether the startup probe ended the container, as far as is known.

    It ends one that was never ready at the deadline, so what ran for much longer did serve.
    """
    ran = pod.last_exit.seconds if pod.last_exit else None
    if ran is None or pod.unready_at is not None:
        return False
    deadline = case.model.spec.startup.deadline_seconds
    return deadline <= ran <= deadline + case.model.spec.drain.timeout_seconds + PROBE_SLACK


def restarting(case: Case) -> Diagnosis | None:
    """One restart is told, not judged."""
    pods = [pod for pod in case.waiting if pod.restarts]
    if not pods:
        return None
    end = pods[0].last_exit
    words = quoted(telling_line(end.message), MOST_NOTICED_END) if end else ""
    fact = f"{case.those(pods)}: the engine has ended{_told(end, words)}, and starts again"
    return patience(Reason.RESTARTING, fact)


def silent(case: Case) -> Diagnosis | None:
    """It was ready and runs, but its readiness probe fails."""
    pods = [pod for pod in case.waiting if pod.unready_at and pod.started_at]
    if not pods:
        return None
    fact = f"{case.those(pods)}: runs, and no longer answers its readiness probe"
    return patience(Reason.RESTARTING, fact, "Its log may tell why")


def evicted_often(case: Case) -> Diagnosis | None:
    """Two evictions and no replica that lasts: the next will be evicted as well."""
    evicted = _evicted(case)
    if len(evicted) < MANY_RESTARTS:
        return None
    remedy = "Lower what a replica uses there, use larger nodes, or a pvc:// source for the weights"
    return person(Reason.CRASH_LOOP, _eviction(evicted), remedy)


def replaced(case: Case) -> Diagnosis | None:
    """A pod that ended for good and whose successor is not ready yet."""
    if case.census.ready or not case.failed:
        return None
    pod = case.failed[0]
    said = quoted(pod.failure_message) or "no message"
    fact = f"pod {pod.name} ended for good ({quoted(pod.failure, 100)}): {said}; it is replaced"
    return patience(Reason.RESTARTING, fact)


def _evicted(case: Case) -> Sequence[Pod]:
    """Evicted pods stay for weeks, so they tell something only while nothing is ready."""
    if case.census.ready:
        return ()
    return [pod for pod in case.failed if pod.failure == "Evicted"]


def _eviction(evicted: Sequence[Pod]) -> str:
    said = quoted(evicted[0].failure_message)
    example = f"as pod {evicted[0].name}" + (f": {said}" if said else "")
    return f"{len(evicted)} pods of this revision were evicted and none is ready, {example}"
