"""How much of a GPU one unit of an extended resource is, and how many GPUs a node really has.

| Device                           | One unit is                | Known from               |
|----------------------------------|----------------------------|--------------------------|
| whole GPU                        | 1                          | the pool's resource name |
| MIG, `nvidia.com/mig-3g.40gb`    | 3/7, and 3/4 on an A30     | the resource's name      |
| time-sliced or MPS               | 1/`nvidia.com/gpu.replicas`| the node's label         |
| renamed, `nvidia.com/gpu.shared` | likewise                   | the resource's name      |
"""

import re
from collections.abc import Iterable, Mapping

from modelfleet.plan.ledger.units import GPU, Parts

COUNT = "nvidia.com/gpu.count"
REPLICAS = "nvidia.com/gpu.replicas"
PRODUCT = "nvidia.com/gpu.product"
SHARED = ".shared"
_MIG = re.compile(r"nvidia\.com/mig-([1-9])g\.[0-9]+gb(\.[a-z0-9.]+)?")

SLICES = 7
SLICES_OF_A30 = 4


def unit_of(resource: str, whole: str, labels: Mapping[str, str]) -> Parts:
    """Return what one unit of a resource is of a GPU; 0 where it is none of this pool's.

    `whole` is the pool's resource name.
    """
    if mig := _MIG.fullmatch(resource):
        slices = SLICES_OF_A30 if "A30" in labels.get(PRODUCT, "") else SLICES
        return min(GPU, GPU * int(mig[1]) // slices)
    if resource in (whole, whole + SHARED):
        return GPU // _number(labels.get(REPLICAS), 1)
    return 0


def held(amounts: Iterable[tuple[str, int]], whole: str, labels: Mapping[str, str]) -> Parts:
    """Return how much of a node's GPUs a list of resources is."""
    return sum(unit_of(name, whole, labels) * amount for name, amount in amounts)


def capacity_of(amounts: Iterable[tuple[str, int]], whole: str, labels: Mapping[str, str]) -> Parts:
    """Return a node's GPUs: those that it says it has, slices of them that nobody can ask for
    included; never less than what is offered."""
    offered = held(amounts, whole, labels)
    if not offered:
        return 0
    return max(offered, GPU * _number(labels.get(COUNT), 0))


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isdigit() and 0 < int(text) <= GPU else otherwise
