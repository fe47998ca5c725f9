"""`GPUNodePool`: which nodes form a pool, and what of their GPUs is taken and free."""

from typing import Annotated, ClassVar

from pydantic import Field

from modelfleet.api.conditions import Conditions
from modelfleet.api.fields import Count, Generation, Labels, ResourceName
from modelfleet.api.schema import Column, Kind, Names, Schema, list_map
from modelfleet.api.v1alpha1.cost import PoolCost
from modelfleet.api.v1alpha1.pod import Tolerations
from modelfleet.api.v1alpha1.price import Price


class GPUNodePoolSpec(Schema):
    """Nodes are chosen by label; a node belongs to one pool."""

    node_selector: Annotated[Labels, Field(min_length=1)] = Field(
        description="Labels that the nodes of this pool have, all of them."
    )
    resource_name: ResourceName = Field(
        default="nvidia.com/gpu",
        description="The resource that a pod asks for, as in amd.com/gpu; default: nvidia.com/gpu.",
    )
    tolerations: Tolerations = Field(
        default=(),
        description="Given to every pod that may use this pool, for its taints; default: none.",
    )
    price: Price | None = Field(
        default=None,
        description="What its nodes cost; default: the price book, where it has the instance "
        "type, else they are unpriced.",
    )


class GPUs(Schema):
    """GPUs of ready, schedulable nodes; `allocated` counts pods of any owner."""

    total: Count = Field(default=0, description="GPUs in all.")
    allocated: Count = Field(default=0, description="GPUs that pods hold.")
    free: Count = Field(default=0, description="GPUs that no pod holds.")
    largest_free_block: Count = Field(
        default=0,
        description="Most GPUs that are free on one node: the largest replica that starts now.",
    )


class Accelerator(GPUs):
    """The same figures for one product."""

    name: Annotated[str, Field(max_length=63)] = Field(
        description="The product, as the node's labels call it."
    )
    nodes: Count = Field(default=0, description="Ready, schedulable nodes that have it.")


class GPUNodePoolStatus(Schema):
    """What the pool has."""

    observed_generation: Generation = Field(
        default=-1, description="The metadata.generation that this status is about."
    )
    conditions: Conditions = Field(
        default=(), description="Ready sums up; Reconciling waits; Stalled needs a person."
    )
    nodes: Count = Field(default=0, description="Nodes that the selector matches.")
    ready_nodes: Count = Field(default=0, description="Those that are ready and not cordoned.")
    gpus: GPUs = Field(default_factory=GPUs)
    accelerators: Annotated[
        tuple[Accelerator, ...], Field(max_length=32, json_schema_extra=list_map("name"))
    ] = Field(default=(), description="The same figures for each product of the pool.")
    cost: PoolCost | None = None


class GPUNodePool(Kind):
    """A set of nodes with GPUs of one resource name."""

    names: ClassVar[Names] = Names(
        kind="GPUNodePool", plural="gpunodepools", short="gpool", scope="Cluster"
    )
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="Nodes", path=".status.nodes", type="integer"),
        Column(name="GPUs", path=".status.gpus.total", type="integer"),
        Column(name="Allocated", path=".status.gpus.allocated", type="integer"),
        Column(name="Free", path=".status.gpus.free", type="integer"),
        Column(name="Block", path=".status.gpus.largestFreeBlock", type="integer"),
        Column(name="$/h", path=".status.cost.hourly"),
        Column(name="Idle $/h", path=".status.cost.idleHourly"),
        Column(name="Month $", path=".status.cost.monthToDate"),
        Column(name="Status", path='.status.conditions[?(@.type=="Ready")].reason'),
        Column(name="Accelerator", path=".status.accelerators[*].name", priority=1),
        Column(name="Age", path=".metadata.creationTimestamp", type="date"),
    )

    spec: GPUNodePoolSpec
    status: GPUNodePoolStatus = Field(default_factory=GPUNodePoolStatus)
