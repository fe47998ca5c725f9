"""What a pool has, what its status says, and why a Model finds no place in any."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.api.conditions import Reason
from modelfleet.plan.pools import (
    candidates_for,
    facts_for,
    pool_status_for,
    pools_empty,
    why_unplaceable,
)
from modelfleet.plan.world import Node, Pool
from support.builders import (
    GPU,
    H100,
    NOON,
    a_model,
    a_node,
    a_pool,
    a_pool_object,
    a_world,
    later,
)

Member = tuple[Node, dict[str, int]]


def members() -> st.SearchStrategy[list[Member]]:
    """Nodes in every state, holding any number of GPUs, even more than they have."""
    labels = st.sampled_from(
        [{}, {"nvidia.com/gpu.product": H100}, {"amd.com/gpu.product-name": "x"}]
    )
    node = st.builds(
        a_node,
        gpus=st.integers(0, 8),
        ready=st.booleans(),
        schedulable=st.booleans(),
        labels=labels,
    )
    held = st.integers(0, 10).map(lambda gpus: {GPU: gpus})
    return st.lists(st.tuples(node, held), max_size=10).map(
        lambda found: [(replace(one, name=f"n{at}"), used) for at, (one, used) in enumerate(found)]
    )


@given(members())
def test_free_and_allocated_make_the_total(nodes: list[Member]) -> None:
    pool = facts_for(a_pool_object(), nodes)

    usable = [one for one, _ in nodes if one.ready and one.schedulable]
    assert pool.free + pool.allocated == pool.total
    assert pool.total == sum(dict(one.allocatable).get(GPU, 0) for one in usable)
    assert pool.ready_nodes == len(usable) <= pool.nodes == len(nodes)


@given(members())
def test_the_products_make_the_pool(nodes: list[Member]) -> None:
    pool = facts_for(a_pool_object(), nodes)

    assert sum(one.total for one in pool.accelerators) == pool.total
    assert sum(one.allocated for one in pool.accelerators) == pool.allocated
    largest = max((one.largest_free_block for one in pool.accelerators), default=0)
    assert largest == max(pool.free_blocks, default=0)


@given(members(), st.randoms())
def test_the_order_of_nodes_makes_no_difference(nodes: list[Member], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = random.sample(nodes, len(nodes))

    assert facts_for(a_pool_object(), shuffled) == facts_for(a_pool_object(), nodes)


@given(members())
def test_every_pool_has_a_status(nodes: list[Member]) -> None:
    pool = facts_for(a_pool_object(), nodes)

    status = pool_status_for(pool, NOON).status

    ready = status.conditions[0]
    assert ready.type == "Ready"
    assert (ready.status == "True") == (len(status.conditions) == 1)
    assert status.gpus.total == sum(one.total for one in status.accelerators)


@pytest.mark.parametrize(
    "facts", [{"ready": False}, {"schedulable": False}], ids=["not ready", "cordoned"]
)
def test_a_node_that_takes_no_pod_counts_for_nothing(facts: dict[str, bool]) -> None:
    pool = facts_for(a_pool_object(), [(a_node("a"), {}), (a_node("b", **facts), {GPU: 3})])

    assert (pool.nodes, pool.ready_nodes, pool.total, pool.allocated) == (2, 1, 8, 0)
    assert pool.free_blocks == {8: 1}
    assert pool.largest_node == 8


@pytest.mark.parametrize(
    ("labels", "product"),
    [
        ({"nvidia.com/gpu.product": H100}, H100),
        ({"amd.com/gpu.product-name": "MI300X"}, "MI300X"),
        ({"gpu.intel.com/product": "Max_1550"}, "Max_1550"),
        ({"karpenter.k8s.aws/instance-gpu-name": "l4"}, "l4"),
        ({"cloud.google.com/gke-accelerator": "nvidia-l4"}, "nvidia-l4"),
        ({}, "unknown"),
    ],
)
def test_the_product_is_read_from_whoever_labels_it(labels: dict[str, str], product: str) -> None:
    pool = facts_for(a_pool_object(), [(a_node(labels=labels), {})])

    assert [one.name for one in pool.accelerators] == [product]


# What a status says


def told(pool: Pool) -> tuple[str, str, list[str]]:
    """Return Ready's reason and message, and the abnormal conditions."""
    ready, *abnormal = pool_status_for(pool, NOON).status.conditions
    return ready.reason, ready.message, [condition.type for condition in abnormal]


def test_a_pool_is_ready_while_some_node_is() -> None:
    pool = facts_for(a_pool_object(), [(a_node("a"), {GPU: 3}), (a_node("b", ready=False), {})])

    assert told(pool) == ("PoolReady", "1 of 2 nodes ready", [])
    status = pool_status_for(pool, NOON).status
    assert (status.gpus.total, status.gpus.allocated, status.gpus.free) == (8, 3, 5)
    assert status.gpus.largest_free_block == 5
    assert status.observed_generation == 1


def test_no_node_matches() -> None:
    assert told(a_pool(free=[])) == (
        "NoNodeMatches",
        "no node has the labels pool=h100; waiting for such nodes, or correct spec.nodeSelector",
        ["Reconciling"],
    )


def test_nodes_without_the_resource_show_what_they_have() -> None:
    node = a_node(allocatable=(("amd.com/gpu", 8),))

    assert told(facts_for(a_pool_object(), [(node, {})])) == (
        "NoGPUs",
        "none of 1 node has nvidia.com/gpu; they have amd.com/gpu: "
        "wait for the device plugin, install it, or correct spec.resourceName",
        ["Reconciling"],
    )


def test_nodes_that_are_all_away() -> None:
    pool = facts_for(a_pool_object(), [(a_node(ready=False), {})])

    assert told(pool) == (
        "NodesNotReady",
        "none of 1 node is ready and schedulable",
        ["Reconciling"],
    )


def test_a_node_in_two_pools_needs_a_person() -> None:
    pool = facts_for(a_pool_object(), [(a_node(), {})], shared_with=("spot",), shared_node="node-1")

    reason, message, abnormal = told(pool)

    assert (reason, abnormal) == ("NodesOverlap", ["Stalled"])
    assert message.startswith("some nodes belong to pool spot as well, as node node-1; ")
    assert [one.type for one in pool_status_for(pool, NOON).notices] == ["Warning"]


def test_looking_later_at_the_same_pool_changes_nothing() -> None:
    first = pool_status_for(a_pool(), NOON)
    stored = a_pool().pool.model_copy(update={"status": first.status})

    again = pool_status_for(replace(a_pool(), pool=stored), later(a_world(), 60).now)

    assert again.status == first.status
    assert again.notices == ()


# Where a Model finds a place


def by_name(*pools: Pool) -> dict[str, Pool]:
    return {pool.name: pool for pool in pools}


def test_pools_are_taken_in_the_order_of_the_spec() -> None:
    pools = by_name(a_pool("a"), a_pool("b"), a_pool("c"))

    assert [one.name for one in candidates_for(a_model(nodePools=["c", "x", "a"]), pools)] == [
        "c",
        "a",
    ]
    assert [one.name for one in candidates_for(a_model(), pools)] == ["a", "b", "c"]
    assert candidates_for(a_model(gpus=0, nodePools=["a"]), pools) == ()


def test_a_missing_pool_is_named_with_those_that_exist() -> None:
    why = why_unplaceable(a_model(nodePools=["h100", "h200"]), by_name(a_pool(), a_pool("l4")))

    assert why == (
        Reason.POOL_MISSING,
        "spec.nodePools: there is no GPUNodePool h200; use one of h100, l4, or create it",
    )


def test_without_any_pool_one_must_be_made() -> None:
    why = why_unplaceable(a_model(), {})

    assert why is not None
    assert why[0] is Reason.POOL_MISSING
    assert "create one" in why[1]


def test_pools_of_two_resources_do_not_mix() -> None:
    pools = by_name(a_pool("amd", resourceName="amd.com/gpu"), a_pool("nvidia"))

    why = why_unplaceable(a_model(), pools)

    assert why is not None
    assert why[0] is Reason.POOLS_DIFFER
    assert "amd has amd.com/gpu, nvidia has nvidia.com/gpu" in why[1]
    assert why_unplaceable(a_model(nodePools=["amd"]), pools) is None


def test_a_replica_larger_than_every_node_needs_a_person() -> None:
    why = why_unplaceable(a_model(gpus=16), by_name(a_pool(free=[8, 8])))

    assert why is not None
    assert why[1].startswith("spec.resources.gpus: 16 GPUs on one node are asked")


def test_a_taken_node_is_large_enough() -> None:
    assert why_unplaceable(a_model(gpus=8), by_name(a_pool(free=[0]))) is None


def test_a_pool_without_nodes_may_get_large_ones() -> None:
    pools = by_name(a_pool(free=[8]), a_pool("later", free=[]))

    assert why_unplaceable(a_model(gpus=16), pools) is None


def test_an_empty_pool_is_waited_for() -> None:
    pools = by_name(a_pool(free=[]))

    assert why_unplaceable(a_model(), pools) is None
    assert pools_empty(a_model(), pools) == "pool h100 has no node: waiting for nodes with GPUs"


def test_a_model_without_gpus_needs_no_pool() -> None:
    assert why_unplaceable(a_model(gpus=0, nodePools=["x"]), {}) is None
    assert pools_empty(a_model(gpus=0), {}) is None
