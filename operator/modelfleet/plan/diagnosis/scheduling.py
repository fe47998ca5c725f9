"""Pods that find no node for another reason than GPUs, in the scheduler's words."""

import re
from collections.abc import Callable, Sequence

from modelfleet.api.conditions import Reason
from modelfleet.plan import weights
from modelfleet.plan.diagnosis.case import Case, Diagnosis, patience, person
from modelfleet.plan.diagnosis.text import quoted
from modelfleet.plan.world import Pod

_AFTERWARDS = re.compile(
    r"(?:\.? ?(?:preemption:|no new claims to deallocate)|\. not found).*", re.DOTALL
)
"""What the scheduler tried when it had found no node: nothing that a user can act on."""

_ABSENT = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
_LACKS = re.compile(r"Insufficient (cpu|memory)\b")
_HOPELESS = re.compile(
    r"preemption: 0/(\d+) nodes are available: \1 Preemption is not helpful for scheduling"
)
"""Of every node. The scheduler says so of one that is too small, and of one that the pod may not
use; of one that is merely full it says that no victims were found."""


def claim_missing(case: Case) -> Diagnosis | None:
    """Name the claim, and the field that names it."""
    pods = _refused(case)
    absent = next((found for pod in pods if (found := _ABSENT.search(_said(pod)))), None)
    if absent is None:
        return None
    name = quoted(absent[1], 253)
    namespace = case.model.metadata.namespace
    fact = f"{case.homeless(pods)}: there is no PersistentVolumeClaim {name} in {namespace}"
    fields = [field for field, claim in _claims(case) if claim == name]
    remedy = f"Create it, or correct {' and '.join(fields)}" if fields else "Create it"
    return person(Reason.CLAIM_MISSING, fact, remedy)


def too_large(case: Case) -> Diagnosis | None:
    """No node would do even if it were empty. It is waited for: larger nodes may be on their way.

    How large the largest is, the scheduler does not tell.
    """
    pods = [pod for pod in _refused(case) if _HOPELESS.search(pod.unschedulable or "")]
    lacking = sorted(set(_LACKS.findall(_said(pods[0])))) if pods else []
    if not lacking:
        return None
    asked = " and ".join(_asked(case, resource) for resource in lacking)
    fact = (
        f"{case.homeless(pods)}: no node that it may use is large enough for {asked}, "
        f"however empty ({quoted(_said(pods[0]))})"
    )
    remedy = "It never starts on these nodes: ask for less, or add larger nodes"
    return patience(Reason.WAITING_FOR_CAPACITY, fact, remedy)


def unschedulable(case: Case) -> Diagnosis | None:
    """Some other demand of the pod is met by no node."""
    pods = _refused(case)
    if not pods:
        return None
    said = quoted(_said(pods[0]))
    fact = f"{case.homeless(pods)}: {said}"
    if "Insufficient" in said:
        remedy = "It starts when nodes have room; add nodes, or lower spec.resources"
        return patience(Reason.WAITING_FOR_CAPACITY, fact, remedy)
    remedies = [remedy(case) for pattern, remedy in _CAUSES if pattern.search(said)]
    return patience(Reason.SCHEDULING, fact, ". Or: ".join(remedies) or _ELSE)


def _refused(case: Case) -> Sequence[Pod]:
    return [pod for pod in case.waiting if not pod.node and pod.unschedulable is not None]


def _said(pod: Pod) -> str:
    return _AFTERWARDS.sub("", pod.unschedulable or "")


def _claims(case: Case) -> list[tuple[str, str]]:
    """Return each claim that the Model names, after the field that names it."""
    return [
        (f"{field}.uri", weights.claim_of(source)[0])
        for field, source in weights.sources_of(case.model)
        if weights.scheme_of(source) == "pvc"
    ]


def _asked(case: Case, resource: str) -> str:
    resources = case.model.spec.resources
    given = resources.cpu if resource == "cpu" else resources.memory
    engine = case.model.spec.engine.name
    return f"spec.resources.{resource} ({given or f'now the default of Engine {engine}'})"


def _bind(case: Case) -> str:
    which = " ".join(sorted({claim for _, claim in _claims(case)}))
    return f"See with kubectl describe pvc {which}".rstrip() + " why the volume is not bound"


def _reach(_: Case) -> str:
    return "Use nodes in the zone of the claim's volume, or a volume that these nodes reach"


def _select(case: Case) -> str:
    pools = "spec.nodePools or " if case.model.spec.resources.gpus else ""
    return f"Correct {pools}spec.podTemplate.nodeSelector, or label the nodes"


def _tolerate(_: Case) -> str:
    return "Tolerate the nodes' taints in spec.tolerations of the GPUNodePool or spec.podTemplate"


def _uncordon(_: Case) -> str:
    return "Let the nodes take pods again with kubectl uncordon, or add nodes"


_CAUSES: tuple[tuple[re.Pattern[str], Callable[[Case], str]], ...] = (
    (re.compile(r"(?i)unbound immediate|persistent ?volumes? to bind|volumeclaim"), _bind),
    (re.compile(r"(?i)volume node affinity"), _reach),
    (re.compile(r"(?i)(?<!volume )node affinity|node selector"), _select),
    (re.compile(r"(?i)untolerated taint"), _tolerate),
    (re.compile(r"(?i)node\(s\) were unschedulable"), _uncordon),
)
"""Nodes differ in what is against them, so more than one may be said."""

_ELSE = "Read what the scheduler says with kubectl describe"
