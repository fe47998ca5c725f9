"""How a node's price is divided: between its resources, and of each between those who hold it.

The price of the whole node is what is known; what a core or a GPU of it costs is a choice, so the
policy is written into every record. Whatever the choice, the parts sum to the price of the node.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from modelfleet.plan.ledger.units import GPU, MILLION, Parts, Rate, split
from modelfleet.plan.ledger.values import Policy, Quantities

CPU_RATE = 31_611
"""Micro-dollars per core and hour, and below per GiB and GPU: the list of OpenCost
(configs/default.json). They are weights here, never prices: they change who pays, not how much."""
MEMORY_RATE = 4_237
GPU_RATE = 950_000

THOUSAND = 1_000
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Components:
    """A node's rate by resource, and the policy that divided it."""

    cpu: Rate
    memory: Rate
    gpu: Rate
    policy: Policy


@dataclass(frozen=True, slots=True)
class Share:
    """What one holder pays per hour, and how much of the GPUs is counted as his."""

    rate: Rate
    gpu_rate: Rate
    gpu: Parts


def components_for(rate: Rate, capacity: Quantities, policy: Policy) -> Components:
    """Divide a node's rate. The parts sum to it exactly, and without a GPU none is for GPUs.

    | Policy   | CPU and memory                          | GPU                |
    |----------|-----------------------------------------|--------------------|
    | Residual | at list                                 | the rest           |
    | Ratio    | by list, with a GPU's, normalised       | likewise           |
    | GPUOnly  | nothing                                 | all                |

    Where CPU and memory at list would cost as much as the whole node, Residual leaves nothing for
    the GPUs; there it is Ratio, and says so. A node without GPUs is divided by list.
    """
    if policy == "GPUOnly" and capacity.gpu:
        return Components(0, 0, rate, policy)
    cpu, memory = capacity.cpu * CPU_RATE // THOUSAND, capacity.memory * MEMORY_RATE // GIB
    if policy == "Residual" and capacity.gpu and cpu + memory < rate:
        return Components(cpu, memory, rate - cpu - memory, policy)
    gpu = capacity.gpu * GPU_RATE // GPU
    parts = split(rate, [cpu, memory, gpu])
    return Components(parts[0], parts[1], parts[2], "Ratio")


def shares_for(
    components: Components, capacity: Quantities, asks: Mapping[str, Quantities]
) -> dict[str, Share]:
    """Return what each holder pays. Rounded down: what is left over is the node's idle part.

    Where more is held than there is, as when a device fails under a running pod, what there is is
    divided by what is held: no GPU is ever charged twice.
    """
    held = sum(asks.values(), Quantities())
    whole = Quantities(
        max(capacity.cpu, held.cpu), max(capacity.memory, held.memory), max(capacity.gpu, held.gpu)
    )
    return {who: _share(components, capacity, whole, ask) for who, ask in asks.items()}


def _share(
    components: Components, capacity: Quantities, whole: Quantities, ask: Quantities
) -> Share:
    gpu = _part(components.gpu, ask.gpu, whole.gpu)
    cpu = _part(components.cpu, ask.cpu, whole.cpu)
    memory = _part(components.memory, ask.memory, whole.memory)
    return Share(cpu + memory + gpu, gpu, _part(capacity.gpu, ask.gpu, whole.gpu))


def _part(amount: int, ask: int, whole: int) -> int:
    return amount * ask // whole if whole else 0


def busy_part(share: Share, busy: int) -> Share:
    """Return the part of a share that was in use for so many millionths of the time."""
    return Share(
        share.rate * busy // MILLION, share.gpu_rate * busy // MILLION, share.gpu * busy // MILLION
    )


def rest_of(share: Share, used: Share) -> Share:
    """Return what of a share is left beside `used`."""
    return Share(share.rate - used.rate, share.gpu_rate - used.gpu_rate, share.gpu - used.gpu)
