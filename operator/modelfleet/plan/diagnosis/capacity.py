"""GPUs and nodes that are not there."""

from datetime import timedelta

from modelfleet.api.conditions import Reason
from modelfleet.plan.diagnosis.case import Case, Diagnosis, patience
from modelfleet.plan.headroom import room_for, shortfall
from modelfleet.plan.pools import candidates_for, pools_empty

OVERDUE = timedelta(seconds=60)
"""A kubelet needs seconds after the grace period; a pod that is there a minute later is stuck."""


def stuck_leaving(case: Case) -> Diagnosis | None:
    """A pod that should be gone still holds what it has."""
    pods = sorted(
        pod.name
        for pod in case.seen.pods
        if pod.terminating
        and not pod.finished
        and pod.gone_by is not None
        and case.seen.now - pod.gone_by > OVERDUE
    )
    if not pods:
        return None
    fact = f"{_pods(len(pods))} still there after the grace period, as pod {pods[0]}"
    remedy = "Look at its node and its finalizers with kubectl describe"
    return patience(Reason.TERMINATING, fact, remedy)


def node_lost(case: Case) -> Diagnosis | None:
    """The node's kubelet does not report; its pods are replaced after a while."""
    ours = sorted(case.seen.pods, key=lambda pod: pod.name)
    nodes = [pod.node for pod in ours if not pod.finished and pod.node in case.seen.lost_nodes]
    if not nodes:
        return None
    fact = f"{_pods(len(nodes))} on nodes that are not ready or gone, as node {nodes[0]}"
    remedy = "Kubernetes replaces them in some minutes; delete the node if it will not come back"
    return patience(Reason.NODE_LOST, fact, remedy)


def _pods(count: int) -> str:
    return "1 pod is" if count == 1 else f"{count} pods are"


def no_capacity(case: Case) -> Diagnosis | None:
    """Count GPUs ourselves: the scheduler's words do not say how many are free where."""
    pods = [pod for pod in case.waiting if not pod.node]
    gpus = case.model.spec.resources.gpus
    if not pods or not gpus:
        return None
    if empty := pools_empty(case.model, case.seen.pools):
        return patience(Reason.POOL_EMPTY, f"{case.homeless(pods)}: {empty}")
    candidates = candidates_for(case.model, case.seen.pools)
    if not candidates or room_for(gpus, candidates):
        return None
    fact = f"{case.homeless(pods)}: {shortfall(gpus, candidates)}"
    remedy = "It starts when GPUs become free; add nodes, or lower replicas here or elsewhere"
    return patience(Reason.WAITING_FOR_CAPACITY, fact, remedy)
