"""`GPUNodePool`: which nodes form a pool, and what of their GPUs is taken and free."""

from typing import Annotated, ClassVar

from pydantic import Field

from modelfleet.api.conditions import Conditions
from modelfleet.api.fields import Count, Generation, Labels, ResourceName
from modelfleet.api.schema import Column, Kind, Names, Schema, list_map
from modelfleet.api.v1alpha1.pod import Tolerations


class GPUNodePoolSpec(Schema):
    """Nodes are chosen by label; a node belongs to one pool."""

    node_selector: Annotated[Labels, Field(min_length=1)]
    resource_name: ResourceName = Field(
        default="nvidia.com/gpu", description="the resource that a pod asks for, as in amd.com/gpu"
    )
    tolerations: Tolerations = Field(
        default=(), description="given to every pod that may use this pool"
    )


class GPUs(Schema):
    """GPUs of ready, schedulable nodes; `allocated` counts pods of any owner."""

    total: Count = 0
    allocated: Count = 0
    free: Count = 0
    largest_free_block: Count = Field(
        default=0, description="most GPUs free on one node: the largest replica that starts now"
    )


class Accelerator(GPUs):
    """The same figures for one product."""

    name: Annotated[str, Field(max_length=63)]
    nodes: Count = 0


class GPUNodePoolStatus(Schema):
    """What the pool has."""

    observed_generation: Generation = -1
    conditions: Conditions = ()
    nodes: Count = 0
    ready_nodes: Count = 0
    gpus: GPUs = Field(default_factory=GPUs)
    accelerators: Annotated[
        tuple[Accelerator, ...], Field(max_length=32, json_schema_extra=list_map("name"))
    ] = ()


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
        Column(name="Status", path='.status.conditions[?(@.type=="Ready")].reason'),
        Column(name="Accelerator", path=".status.accelerators[*].name", priority=1),
        Column(name="Age", path=".metadata.creationTimestamp", type="date"),
    )

    spec: GPUNodePoolSpec
    status: GPUNodePoolStatus = Field(default_factory=GPUNodePoolStatus)
