"""Where a replica may run: the nodes of its pools, the preferred pool first."""

from collections.abc import Iterable, Sequence
from typing import Any

from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool
from modelfleet.api.v1alpha1.model import Model, Toleration
from modelfleet.plan.world import Manifest

HEAVIEST = 100
"""The largest weight that the scheduler takes."""

GPU = "nvidia.com/gpu"
"""The resource of a Model whose pools are not known yet."""


def resource_name(pools: Sequence[GPUNodePool]) -> str:
    """Return the resource that a GPU is asked by; all candidates share it."""
    return pools[0].spec.resource_name if pools else GPU


def placement_for(model: Model, pools: Sequence[GPUNodePool]) -> Manifest:
    """Return the fields of a pod's spec that choose its node; none without GPUs."""
    candidates = pools if model.spec.resources.gpus else ()
    template = model.spec.pod_template
    wanted = [toleration for pool in candidates for toleration in pool.spec.tolerations]
    fields = {
        "nodeSelector": dict(template.node_selector),
        "tolerations": _written_once([*wanted, *template.tolerations]),
        "affinity": _affinity(candidates, ranked=bool(model.spec.node_pools)),
    }
    return {key: value for key, value in fields.items() if value}


def _affinity(pools: Sequence[GPUNodePool], ranked: bool) -> Manifest | None:
    if not pools:
        return None
    terms = [_term(pool) for pool in pools]
    rules: dict[str, Any] = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}
    }
    if ranked and len(terms) > 1:
        rules["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": _weight(rank, len(terms)), "preference": term}
            for rank, term in enumerate(terms)
        ]
    return {"nodeAffinity": rules}


def _weight(rank: int, of: int) -> int:
    """Fall evenly from 100, so that a pool's lead outweighs the scheduler's own scores."""
    return HEAVIEST - rank * HEAVIEST // of


def _term(pool: GPUNodePool) -> Manifest:
    return {
        "matchExpressions": [
            {"key": key, "operator": "In", "values": [value]}
            for key, value in sorted(pool.spec.node_selector.items())
        ]
    }


def _written_once(tolerations: Iterable[Toleration]) -> list[Manifest]:
    written = [_written(toleration) for toleration in tolerations]
    return [one for place, one in enumerate(written) if one not in written[:place]]


def _written(toleration: Toleration) -> Manifest:
    fields = toleration.model_dump(by_alias=True, exclude_none=True)
    return {key: value for key, value in fields.items() if value != ""}
