"""What a pool has, counted from its nodes and what pods hold there."""

from collections import Counter
from collections.abc import Iterable, Mapping

from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool
from modelfleet.plan.world import AcceleratorFacts, Node, Pool

Held = Mapping[str, int]
"""Extended resource → how much of it the pods of one node hold."""

PRODUCT_LABELS = (
    "nvidia.com/gpu.product",
    "amd.com/gpu.product-name",
    "gpu.intel.com/product",
    "karpenter.k8s.aws/instance-gpu-name",
    "cloud.google.com/gke-accelerator",
)
UNKNOWN_PRODUCT = "unknown"
MOST_ACCELERATORS = 32
"""As the API bounds the list."""


def facts_for(
    pool: GPUNodePool,
    nodes: Iterable[tuple[Node, Held]],
    shared_with: tuple[str, ...] = (),
    shared_node: str = "",
) -> Pool:
    """Count a pool's GPUs. `nodes` are those that its selector matches, with what pods hold there.

    Pods of every owner count. Only ready, schedulable nodes count, so free + allocated = total.
    """
    members = sorted(nodes, key=lambda member: member[0].name)
    resource = pool.spec.resource_name
    usable = [(node, held) for node, held in members if node.ready and node.schedulable]
    blocks = [(_product(node), *_split(node, held, resource)) for node, held in usable]
    free = Counter(total - taken for _, total, taken in blocks if total > taken)
    largest = max((_amount(node, resource) for node, _ in members), default=0)
    return Pool(
        pool=pool,
        nodes=len(members),
        ready_nodes=len(usable),
        total=sum(total for _, total, _ in blocks),
        allocated=sum(taken for _, _, taken in blocks),
        free_blocks=dict(sorted(free.items())),
        accelerators=_accelerators(blocks),
        shared_with=tuple(sorted(shared_with)),
        shared_node=shared_node,
        largest_node=largest,
        other_resources=() if largest else _resources(node for node, _ in members),
    )


def _amount(node: Node, resource: str) -> int:
    return max(0, dict(node.allocatable).get(resource, 0))


def _split(node: Node, held: Held, resource: str) -> tuple[int, int]:
    """Return a node's GPUs and how many are taken: no more than there are.

    More are held than there are where a device failed under a running pod.
    """
    total = _amount(node, resource)
    return total, min(total, max(0, held.get(resource, 0)))


def _product(node: Node) -> str:
    found = (node.labels[label] for label in PRODUCT_LABELS if node.labels.get(label))
    return next(found, UNKNOWN_PRODUCT)


def _resources(nodes: Iterable[Node]) -> tuple[str, ...]:
    return tuple(sorted({name for node in nodes for name, amount in node.allocatable if amount}))


def _accelerators(blocks: list[tuple[str, int, int]]) -> tuple[AcceleratorFacts, ...]:
    products = sorted({product for product, total, _ in blocks if total})[:MOST_ACCELERATORS]
    return tuple(
        _accelerator(product, [(total, taken) for one, total, taken in blocks if one == product])
        for product in products
    )


def _accelerator(product: str, blocks: list[tuple[int, int]]) -> AcceleratorFacts:
    return AcceleratorFacts(
        name=product,
        nodes=sum(1 for total, _ in blocks if total),
        total=sum(total for total, _ in blocks),
        allocated=sum(taken for _, taken in blocks),
        largest_free_block=max(total - taken for total, taken in blocks),
    )
