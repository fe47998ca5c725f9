"""What a diagnosis looks at, and what it says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from modelfleet.api.conditions import ConditionType, Reason
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.census import Census, census_of
from modelfleet.plan.verdict import MOST_BYTES, Verdict, within
from modelfleet.plan.world import Observed, Pod


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a revision is not fully ready: facts, then what to do about it, in one line."""

    reason: Reason
    message: str
    stalled: bool
    """A person must act; else time or another object will help."""

    def verdict(self) -> Verdict:
        """Return what the conditions say."""
        abnormal = ConditionType.STALLED if self.stalled else ConditionType.RECONCILING
        return Verdict(self.reason, self.message, abnormal)


class Case:
    """One revision that is not fully ready. Pods are sorted, so that order makes no difference."""

    def __init__(self, model: Model, seen: Observed, wanted: str) -> None:
        self.model, self.seen, self.wanted = model, seen, wanted

    @cached_property
    def census(self) -> Census:
        """The revision's pods, counted."""
        return census_of(self.wanted, self.seen)

    @cached_property
    def waiting(self) -> tuple[Pod, ...]:
        """Pods that are to become ready, by name."""
        alive = (pod for pod in self.census.alive if not pod.ready)
        return tuple(sorted(alive, key=lambda pod: pod.name))

    @cached_property
    def failed(self) -> tuple[Pod, ...]:
        """Pods that ended for good, by name: evicted, refused by a kubelet."""
        ours = (pod for pod in self.seen.pods if pod.revision == self.wanted and pod.finished)
        return tuple(sorted((pod for pod in ours if pod.failure), key=lambda pod: pod.name))

    @property
    def replicas(self) -> int:
        """How many are asked for."""
        return self.model.spec.replicas

    @property
    def image_field(self) -> str:
        """Where the image is chosen."""
        engine = self.model.spec.engine
        return f"spec.engine.image{'' if engine.image else f' (now that of Engine {engine.name})'}"

    def those(self, pods: Sequence[Pod]) -> str:
        """Return whom a message is about: how many, and one of them by name."""
        return f"{len(pods)} of {self.replicas} replicas, as pod {pods[0].name}"

    def homeless(self, pods: Sequence[Pod]) -> str:
        """Return how many pods have no node."""
        waits = "waits" if len(pods) == 1 else "wait"
        return f"{len(pods)} of {self.replicas} replicas {waits} for a node"


Check = Callable[[Case], Diagnosis | None]


def person(reason: Reason, fact: str, remedy: str) -> Diagnosis:
    """Return a diagnosis that somebody must act on."""
    return Diagnosis(reason, _joined(fact, remedy), stalled=True)


def patience(reason: Reason, fact: str, remedy: str = "") -> Diagnosis:
    """Return a diagnosis that passes by itself, with what would speed it up."""
    return Diagnosis(reason, _joined(fact, remedy), stalled=False)


def _joined(fact: str, remedy: str) -> str:
    """Keep the remedy whole: where both are too long, the fact is cut."""
    if not remedy:
        return within(fact, MOST_BYTES)
    room = MOST_BYTES - len(remedy.encode()) - 2
    return f"{within(fact, room)}. {remedy}"
