"""Rollouts in random clusters, and the single decisions that are worth a sentence."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from modelfleet.plan.rollout import rollout_for
from modelfleet.plan.world import Pod
from support.builders import (
    GPU,
    a_crashing_pod,
    a_deployment,
    a_loading_pod,
    a_model,
    a_pending_pod,
    a_pod,
    a_pool,
    a_world,
)
from support.gpu_cluster import GpuCluster

SEEDS = range(12)
MOST_STEPS = 4000


def settled_on_a(
    seed: int, replicas: int, spare: int = 0, gpus: int = 1, per_node: int = 4
) -> GpuCluster:
    """Return a cluster in which revision a is fully ready, with `spare` GPUs free."""
    left = replicas * gpus + spare
    nodes: dict[str, int] = {}
    while left > 0:
        nodes[f"node-{len(nodes)}"] = min(left, per_node)
        left -= per_node
    cluster = GpuCluster(a_model(replicas=replicas, gpus=gpus), nodes, Random(seed))
    cluster.settle()
    assert cluster.ready == replicas
    return cluster


def lowest_on_the_way_to(cluster: GpuCluster, revision: str) -> int:
    """Roll out and return how few replicas were ready at the worst moment."""
    cluster.wanted = revision
    lowest = cluster.ready
    for _ in range(MOST_STEPS):
        cluster.step()
        lowest = min(lowest, cluster.ready)
        if _is_over(cluster):
            return lowest
    raise AssertionError(f"no end: {cluster.asked}, {cluster.ready} ready")


def _is_over(cluster: GpuCluster) -> bool:
    count = cluster.model.spec.replicas
    revisions = {pod.revision for pod in cluster.ours()}
    return set(cluster.asked) == revisions == {cluster.wanted} and cluster.ready == count


def rescale(cluster: GpuCluster, replicas: int) -> None:
    spec = cluster.model.spec.model_copy(update={"replicas": replicas})
    cluster.model = cluster.model.model_copy(update={"spec": spec})


# Random clusters


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spare", [1, 2, 5])
def test_where_there_is_room_no_replica_is_missed(seed: int, spare: int) -> None:
    replicas = 1 + seed % 5
    cluster = settled_on_a(seed, replicas, spare)

    assert lowest_on_the_way_to(cluster, "b") == replicas
    assert cluster.turned_down == 0
    assert cluster.looks <= 1, "a second look changes something"


@pytest.mark.parametrize("seed", SEEDS)
def test_on_a_full_pool_one_replica_is_given_up_at_a_time(seed: int) -> None:
    replicas = 1 + seed % 5
    cluster = settled_on_a(seed, replicas)

    assert lowest_on_the_way_to(cluster, "b") == replicas - 1
    assert cluster.turned_down == 0, "a pod waited for a GPU that we held ourselves"
    assert cluster.looks <= 1, "a second look changes something"


@pytest.mark.parametrize("seed", SEEDS)
def test_without_gpus_no_replica_is_missed_and_few_are_added(seed: int) -> None:
    replicas = 1 + seed % 9
    cluster = settled_on_a(seed, replicas, spare=1, gpus=0)

    assert lowest_on_the_way_to(cluster, "b") == replicas
    assert cluster.most_pods <= replicas + -(-replicas // 4)


@pytest.mark.parametrize("seed", SEEDS)
def test_replicas_of_a_whole_node_are_exchanged_as_well(seed: int) -> None:
    cluster = settled_on_a(seed, replicas=3, gpus=4)

    assert lowest_on_the_way_to(cluster, "b") == 2


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spare", [0, 1, 4])
def test_a_revision_that_never_starts_costs_one_replica_at_most(seed: int, spare: int) -> None:
    replicas = 1 + seed % 4
    cluster = settled_on_a(seed, replicas, spare)
    cluster.broken, cluster.wanted = {"b"}, "b"

    cluster.settle()

    assert len([pod for pod in cluster.alive("a") if pod.ready]) >= replicas - (spare == 0)
    assert lowest_on_the_way_to(cluster, "c") >= replicas - 1, "the correction gets through"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spare", [0, 2])
def test_going_back_in_the_middle_ends_where_it_began(seed: int, spare: int) -> None:
    replicas = 2 + seed % 4
    cluster = settled_on_a(seed, replicas, spare)
    cluster.wanted = "b"
    for _ in range(20 + seed * 3):
        cluster.step()

    assert lowest_on_the_way_to(cluster, "a") >= replicas - 1


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_users_nodes_and_neighbours_do_every_rollout_ends(seed: int) -> None:
    random = Random(seed)
    cluster = settled_on_a(seed, replicas=3, spare=random.choice([0, 0, 1, 3]))
    for _ in range(150):
        match random.randrange(40):
            case 0:
                cluster.wanted = random.choice("abcd")
            case 1:
                cluster.lose()
            case 2:
                cluster.somebody_else_comes()
            case 3:
                rescale(cluster, random.randint(1, 5))
            case 4:
                cluster.wanted = None
            case _:
                cluster.step()
    cluster.somebody_else_leaves()
    rescale(cluster, 3)

    lowest_on_the_way_to(cluster, "z")


@pytest.mark.parametrize("seed", SEEDS)
def test_neighbours_who_take_what_we_give_up_never_take_the_last_replica(seed: int) -> None:
    cluster = settled_on_a(seed, replicas=4)
    for _ in range(4):
        cluster.somebody_else_comes()
    cluster.wanted = "b"

    for _ in range(600):
        cluster.step()
        assert cluster.ready >= 1

    cluster.somebody_else_leaves()
    lowest_on_the_way_to(cluster, "b")


@pytest.mark.parametrize("seed", SEEDS)
def test_fewer_gpus_than_replicas_do_not_stop_an_update(seed: int) -> None:
    cluster = settled_on_a(seed, replicas=4)
    rescale(cluster, 6)
    cluster.settle()
    cluster.wanted = "b"

    cluster.settle()

    assert {pod.revision for pod in cluster.ours()} == {"b"}
    assert cluster.ready == 4


@pytest.mark.parametrize("seed", SEEDS)
def test_larger_replicas_take_the_place_of_several_small_ones(seed: int) -> None:
    cluster = settled_on_a(seed, replicas=4)
    resources = cluster.model.spec.resources.model_copy(update={"gpus": 4})
    spec = cluster.model.spec.model_copy(update={"resources": resources, "replicas": 1})
    cluster.model = cluster.model.model_copy(update={"spec": spec})

    lowest_on_the_way_to(cluster, "b")


# Single decisions


def test_the_only_revision_gets_what_the_spec_asks_at_once() -> None:
    rollout = rollout_for(a_model(replicas=5), "new", a_world([a_pod()]))

    assert dict(rollout.replicas) == {"new": 5}
    assert rollout.done
    assert not rollout.waits_for_capacity


def olds(count: int, **facts: Any) -> list[Pod]:
    return [a_pod(f"chat-old-{at}", revision="old", **facts) for at in range(count)]


def test_replicas_surge_as_far_as_room_is_proven() -> None:
    seen = a_world(olds(4), pools=[a_pool(free=[2, 1])])

    rollout = rollout_for(a_model(replicas=4), "new", seen)

    assert dict(rollout.replicas) == {"new": 3, "old": 4}
    assert rollout.because == "new replicas fit beside the old ones"
    assert rollout.waits_for_capacity


def test_new_replicas_that_have_their_place_need_no_more_room() -> None:
    seen = a_world([a_loading_pod(), *olds(1)], pools=[a_pool(free=[0])])

    rollout = rollout_for(a_model(), "new", seen)

    assert dict(rollout.replicas) == {"new": 1, "old": 1}
    assert rollout.because.startswith("every new replica has its place")


def test_scattered_gpus_are_no_room_for_a_larger_replica() -> None:
    pods = olds(1, requests=((GPU, 2),))
    seen = a_world(pods, pools=[a_pool(free=[1, 1])])

    rollout = rollout_for(a_model(replicas=1, gpus=2), "new", seen)

    assert dict(rollout.replicas) == {"new": 0, "old": 0}
    assert rollout.because == (
        "2 GPUs asked on one node; pool h100 has 2 free of 16, at most 1 on one node; "
        "the only replica gives way first, so nothing answers until the new is ready"
    )


def test_a_terminating_replica_still_holds_its_gpu() -> None:
    pods = [*olds(1), a_pod("chat-old-x", revision="old", terminating=True, ready=False)]
    seen = a_world(pods, pools=[a_pool(free=[0])])

    assert dict(rollout_for(a_model(replicas=2), "new", seen).replicas) == {"new": 0, "old": 1}


def test_a_replica_on_a_lost_node_is_not_waited_for() -> None:
    gone = a_pod("chat-old-x", revision="old", terminating=True, ready=False, node="lost")
    seen = a_world([*olds(2), gone], pools=[a_pool(free=[0])], lost_nodes=frozenset({"lost"}))

    assert dict(rollout_for(a_model(replicas=2), "new", seen).replicas) == {"new": 0, "old": 1}


def test_the_next_one_waits_until_the_new_one_is_ready() -> None:
    seen = a_world([a_loading_pod("chat-new-1"), *olds(2)], pools=[a_pool(free=[0])])

    assert dict(rollout_for(a_model(replicas=3), "new", seen).replicas) == {"new": 1, "old": 2}


def test_a_gpu_in_another_pool_is_not_given_up_for_nothing() -> None:
    pools = [a_pool("a100", free=[0]), a_pool("h100", free=[0])]
    seen = a_world(olds(2, pools=("a100",)), pools=pools)

    rollout = rollout_for(a_model(replicas=2, nodePools=["h100"]), "new", seen)

    assert dict(rollout.replicas) == {"new": 0, "old": 2}
    assert rollout.waits_for_capacity
    assert "no old replica holds such a GPU" in rollout.because


def test_an_old_revision_without_gpus_does_not_give_way_for_one_with() -> None:
    seen = a_world(olds(1, requests=()), pools=[a_pool(free=[0])])

    assert dict(rollout_for(a_model(), "new", seen).replicas) == {"new": 0, "old": 1}


def test_a_full_quota_is_a_full_pool() -> None:
    seen = a_world(
        olds(2),
        deployments={"new": 1, "old": 2},
        pools=[a_pool(free=[8])],
    )
    refused = a_deployment("new", 1, failure="pods is forbidden: exceeded quota: gpus")
    seen = replace(seen, deployments={**seen.deployments, "new": refused})

    assert rollout_for(a_model(replicas=2), "new", seen).replicas["old"] == 1


def test_old_replicas_that_serve_nobody_go_first() -> None:
    broken = a_crashing_pod("chat-old-9", revision="old")
    pending = a_pending_pod("chat-old-8", revision="old", unschedulable="0/1 nodes")
    seen = a_world([*olds(1), broken, pending], pools=[a_pool(free=[0])])

    assert dict(rollout_for(a_model(replicas=3), "new", seen).replicas) == {"new": 0, "old": 1}


def test_a_replica_that_is_not_ready_for_a_moment_is_kept() -> None:
    unready = a_loading_pod("chat-old-9", revision="old")
    seen = a_world([*olds(1), unready], pools=[a_pool(free=[2])])

    assert dict(rollout_for(a_model(replicas=2), "new", seen).replicas) == {"new": 2, "old": 2}


def test_of_several_old_revisions_the_least_ready_goes_first() -> None:
    pods = [
        a_pod("chat-new-1"),
        a_loading_pod("chat-b-1", revision="b"),
        a_pod("chat-a-1", revision="a"),
        a_pod("chat-a-2", revision="a"),
    ]
    seen = a_world(pods, pools=[a_pool(free=[4])])

    replicas = rollout_for(a_model(replicas=3), "new", seen).replicas

    assert dict(replicas) == {"new": 3, "b": 0, "a": 2}


def test_without_gpus_a_quarter_is_added_at_a_time() -> None:
    seen = a_world(olds(8, requests=()), pools=[])

    rollout = rollout_for(a_model(replicas=8, gpus=0), "new", seen)

    assert dict(rollout.replicas) == {"new": 2, "old": 8}
    assert not rollout.waits_for_capacity


def test_without_gpus_a_full_node_makes_the_old_give_way() -> None:
    pending = a_pending_pod(
        requests=(), unschedulable="0/1 nodes are available: 1 Insufficient cpu."
    )
    seen = a_world([pending, *olds(1, requests=())], pools=[])

    assert dict(rollout_for(a_model(gpus=0), "new", seen).replicas) == {"new": 1, "old": 0}


def test_while_the_spec_cannot_be_met_what_runs_stays_and_scales() -> None:
    rollout = rollout_for(a_model(replicas=3), None, a_world(olds(1)))

    assert dict(rollout.replicas) == {"old": 3}


def test_while_the_spec_cannot_be_met_a_half_done_exchange_holds() -> None:
    seen = a_world([a_pod(), *olds(2)])

    assert dict(rollout_for(a_model(replicas=3), None, seen).replicas) == {"new": 1, "old": 2}
    assert dict(rollout_for(a_model(replicas=1), None, seen).replicas) == {"new": 1, "old": 1}


def test_paused_means_nothing_moves() -> None:
    seen = a_world(olds(2))

    rollout = rollout_for(a_model(replicas=5, paused=True), "new", seen)

    assert dict(rollout.replicas) == {"old": 2}


def test_scaled_to_zero_in_the_middle_takes_everything_down() -> None:
    seen = a_world([a_pod(), *olds(2)])

    assert dict(rollout_for(a_model(replicas=0), "new", seen).replicas) == {"new": 0, "old": 0}


def test_pods_that_a_former_deployment_left_behind_prove_nothing() -> None:
    seen = a_world([a_pod(), *olds(1)], deployments={"old": 1}, pools=[a_pool(free=[0])])

    assert rollout_for(a_model(), "new", seen).replicas["old"] == 1


def test_while_the_new_revision_fails_the_old_one_grows_with_the_spec() -> None:
    pods = [a_crashing_pod("chat-new-1"), *olds(2)]
    seen = a_world(pods, pools=[a_pool(free=[2])])

    rollout = rollout_for(a_model(replicas=3), "new", seen)

    assert dict(rollout.replicas) == {"new": 1, "old": 3}
    assert rollout.because == "revision new fails, so the old replicas stay"


def test_min_available_counts_what_is_ready_of_whichever_revision() -> None:
    pods = [
        a_pod("chat-new-1"),
        a_pod("chat-a-1", revision="a"),
        a_pod("chat-b-1", revision="b"),
        a_loading_pod("chat-b-2", revision="b"),
    ]
    seen = a_world(pods, pools=[a_pool(free=[0])])

    careful = a_model(replicas=3, rollout={"minAvailable": 3})

    assert dict(rollout_for(careful, "new", seen).replicas) == {"new": 1, "a": 1, "b": 1}


def test_replace_that_may_give_nothing_up_says_how_to_go_on() -> None:
    model = a_model(replicas=2, rollout={"strategy": "Replace", "minAvailable": 2})

    rollout = rollout_for(model, "new", a_world(olds(2)))

    assert dict(rollout.replicas) == {"new": 0, "old": 2}
    assert rollout.because.endswith(
        "but minAvailable 2 lets none go: lower it, or choose another strategy"
    )


def test_a_paused_rollout_holds_and_what_serves_follows_the_spec() -> None:
    held = {"rollout": {"paused": True}}

    assert dict(rollout_for(a_model(replicas=5, **held), "new", a_world(olds(2))).replicas) == {
        "old": 5
    }
    seen = a_world([a_pod(), *olds(2)], route="old")
    rollout = rollout_for(a_model(replicas=3, **held), "new", seen)
    assert (dict(rollout.replicas), rollout.route) == ({"new": 1, "old": 3}, "old")


BLUE_GREEN = {"rollout": {"strategy": "BlueGreen"}}


def test_blue_green_stays_switched_while_the_old_replicas_leave() -> None:
    leaving = [a_pod("chat-old-1", revision="old", terminating=True, ready=False)]
    news = [a_pod("chat-new-1"), a_loading_pod("chat-new-2")]
    seen = a_world([*news, *leaving], route="new", pools=[a_pool(free=[0])])

    rollout = rollout_for(a_model(replicas=2, **BLUE_GREEN), "new", seen)

    assert rollout.route == "new"


def test_blue_green_goes_back_while_the_old_replicas_are_still_whole() -> None:
    news = [a_pod("chat-new-1"), a_loading_pod("chat-new-2")]
    seen = a_world([*news, *olds(2)], route="new", pools=[a_pool(free=[0])])

    rollout = rollout_for(a_model(replicas=2, **BLUE_GREEN), "new", seen)

    assert (rollout.route, rollout.replicas["old"]) == ("old", 2)


def test_of_several_old_revisions_blue_is_the_one_with_the_traffic() -> None:
    others = [a_pod(f"chat-green-{at}", revision="green") for at in range(2)]
    seen = a_world([*olds(1), *others], route="old", pools=[a_pool(free=[0])])

    rollout = rollout_for(a_model(replicas=2, **BLUE_GREEN), "new", seen)

    assert (rollout.route, rollout.replicas["green"]) == ("old", 0)
