"""Canaries in random clusters, and the single decisions that are worth a sentence.

`ROLLOUT_SEEDS=2000 pytest tests/unit/plan/test_canary.py` runs them for longer.
"""

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any

import pytest

from support.builders import a_model
from support.chance import seeds
from support.gpu_cluster import GpuCluster

SEEDS = seeds(4)
MOST_STEPS = 8000
ANALYSIS = {"intervalSeconds": 30, "warmUpSeconds": 0}
WEIGHTS = ([10], [25], [10, 50], [30, 60, 90], [99])


def steps_of(*weights: int) -> list[dict[str, int]]:
    return [{"weight": weight, "durationSeconds": 60} for weight in weights]


def a_cluster(seed: int, spare: int = 0, per_node: int = 4, **spec: Any) -> GpuCluster:
    """Return a cluster in which revision a is fully ready, and what a seed makes of the rest."""
    random = Random(seed)
    spec = {"replicas": random.randint(2, 7), "gpus": random.choice([1, 1, 2]), **spec}
    canary = {"steps": steps_of(*random.choice(WEIGHTS)), "analysis": ANALYSIS}
    rollout = {"strategy": "Canary", "canary": canary, **spec.pop("rollout", {})}
    model = a_model(rollout=rollout, **spec)
    gpus = model.spec.resources.gpus
    each = max(1, per_node // max(1, gpus) * gpus)
    left, nodes = max(1, (model.spec.replicas + spare) * gpus), {}
    while left > 0:
        nodes[f"node-{len(nodes)}"] = min(each, left)
        left -= each
    cluster = GpuCluster(model, nodes, random)
    cluster.settle()
    assert cluster.ready == model.spec.replicas
    cluster.turned_down = cluster.most_pods = 0
    return cluster


def steps_to(cluster: GpuCluster, revision: str, end: str | None = None) -> Iterator[None]:
    """Ask for a revision and stop after each step, until all replicas are of the one at the end."""
    cluster.wanted = revision
    for _ in range(MOST_STEPS):
        cluster.step()
        yield
        if is_whole(cluster, end or revision):
            return
    raise AssertionError(f"no end: {cluster.asked}, {cluster.ready} ready, {cluster.told}")


def is_whole(cluster: GpuCluster, revision: str) -> bool:
    """Return whether a rollout is over, and all replicas are of one revision."""
    count = cluster.model.spec.replicas
    asked = {one for one, replicas in cluster.asked.items() if replicas} | {revision}
    pods = [pod.revision for pod in cluster.ours()]
    given_up = cluster.told.failed_revision if cluster.told else None
    over = cluster.told is None if revision == cluster.wanted else given_up == cluster.wanted
    ready = cluster.ready == count and pods == [revision] * count
    return over and ready and asked == {revision} and cluster.route is None


def ready_of(cluster: GpuCluster, revision: str) -> int:
    return sum(pod.ready for pod in cluster.ours() if pod.revision == revision)


def serving(cluster: GpuCluster) -> int:
    """Return how many ready replicas get requests."""
    return sum(ready_of(cluster, one) for one in cluster.answering)


def rise_and_fall(counts: list[int]) -> bool:
    """Return whether numbers only grow, and then only shrink."""
    top = counts.index(max(counts))
    return counts[:top] == sorted(counts[:top]) and counts[top:] == sorted(counts[top:])[::-1]


# Good ones


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spare", [0, 1, 9])
def test_a_good_canary_gets_to_all_replicas_with_the_gpus_that_there_are(
    seed: int, spare: int
) -> None:
    cluster = a_cluster(seed, spare)
    count = cluster.model.spec.replicas
    asked = [0]

    for _ in steps_to(cluster, "b"):
        asked.append(cluster.asked.get("b", 0))
        assert serving(cluster) >= count - (0 if spare else 1)

    assert asked == sorted(asked), "no replica of the canary comes and goes"
    assert cluster.turned_down == 0, "no pod waits for a GPU"


@pytest.mark.parametrize("seed", SEEDS)
def test_without_gpus_one_in_four_comes_beside(seed: int) -> None:
    cluster = a_cluster(seed, gpus=0)
    count = cluster.model.spec.replicas

    assert all(serving(cluster) >= count for _ in steps_to(cluster, "b"))

    assert cluster.most_pods <= count + -(-count // 4)


@pytest.mark.parametrize("seed", SEEDS)
def test_while_a_step_is_judged_it_has_the_share_that_it_tells(seed: int) -> None:
    cluster = a_cluster(seed)
    count = cluster.model.spec.replicas
    steps = cluster.model.spec.rollout.canary.steps

    for _ in steps_to(cluster, "b"):
        told = cluster.told
        if told and told.step_started_at and told.step and told.step <= len(steps):
            share = max(1, count * steps[told.step - 1].weight // 100)
            assert ready_of(cluster, "b") == share
            assert ready_of(cluster, "a") == count - share
            assert (told.message or "").startswith(
                f"canary step {told.step} of {len(steps)}: {share} new and {count - share} old "
                f"replicas, {round(100 * share / count)} % of the requests"
            )


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_decided_back_and_forth(seed: int) -> None:
    cluster = a_cluster(seed, spare=seed % 3)

    for _ in steps_to(cluster, "b"):
        cluster.decide()

    assert cluster.looks <= 4


# Bad ones


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spare", [0, 1, 9])
def test_a_bad_canary_is_gone_for_good(seed: int, spare: int) -> None:
    cluster = a_cluster(seed, spare)
    count, asked, routes = cluster.model.spec.replicas, [0], [cluster.route]
    cluster.failing = {"b"}

    for _ in steps_to(cluster, "b", end="a"):
        asked.append(cluster.asked.get("b", 0))
        routes += [cluster.route] if routes[-1] != cluster.route else []
        assert serving(cluster) >= 1
        assert cluster.ready >= count - max(asked) - (0 if spare else 1)

    assert max(asked) > 0
    assert rise_and_fall(asked)
    assert routes == [None, "a", None]
    assert cluster.turned_down == 0

    asked_at_the_end, told = dict(cluster.asked), cluster.told
    for _ in range(100):
        cluster.step()
        assert (cluster.asked, cluster.told) == (asked_at_the_end, told)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spare", [0, 2])
def test_one_that_never_starts_gives_its_gpu_back(seed: int, spare: int) -> None:
    cluster = a_cluster(seed, spare)
    count = cluster.model.spec.replicas
    cluster.broken = {"b"}

    for _ in steps_to(cluster, "b", end="a"):
        assert serving(cluster) >= count - (0 if spare else 1)
        if cluster.told and cluster.told.failed_revision:
            break
    assert all(serving(cluster) >= count - 1 for _ in steps_to(cluster, "b", end="a"))

    assert cluster.told
    assert cluster.told.failed_revision == "b"


@pytest.mark.parametrize("seed", SEEDS)
def test_once_it_has_failed_nobody_reaches_it(seed: int) -> None:
    cluster = a_cluster(seed)
    cluster.failing = {"b"}

    for _ in steps_to(cluster, "b", end="a"):
        if cluster.told and cluster.told.failed_revision:
            cluster.decide()
            assert "b" not in cluster.answering


@pytest.mark.parametrize("seed", SEEDS)
def test_while_no_stable_replica_is_ready_a_bad_one_is_better_than_none(seed: int) -> None:
    cluster = a_cluster(seed, spare=0)
    cluster.failing = {"b"}
    for _ in steps_to(cluster, "b", end="a"):
        if cluster.told and cluster.told.verdict == "Inconclusive" and ready_of(cluster, "b"):
            break
    for name in [pod.name for pod in cluster.ours() if pod.revision == "a"]:
        del cluster.pods[name]
    annotations = {"modelfleet.dev/abort": "b"}
    metadata = cluster.model.metadata.model_copy(update={"annotations": annotations})
    cluster.model = cluster.model.model_copy(update={"metadata": metadata})

    for _ in steps_to(cluster, "b", end="a"):
        assert serving(cluster) >= 1


# Nobody asks


@pytest.mark.parametrize("seed", SEEDS)
def test_without_traffic_it_stays_in_its_first_step(seed: int) -> None:
    cluster = a_cluster(seed)
    cluster.rate, cluster.wanted = 0, "b"
    for _ in range(1500):
        cluster.step()

    assert cluster.told
    assert (cluster.told.step, cluster.told.verdict) == (1, "Inconclusive")
    before = (cluster.told, dict(cluster.asked))
    for _ in range(300):
        cluster.step()
        assert (cluster.told, cluster.asked) == before

    cluster.rate = 20
    assert all(serving(cluster) >= cluster.model.spec.replicas - 1 for _ in steps_to(cluster, "b"))


# What happens meanwhile


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bad", [False, True])
def test_replicas_that_are_lost_meanwhile_come_back(seed: int, bad: bool) -> None:
    cluster = a_cluster(seed, spare=seed % 2)
    cluster.failing = {"b"} if bad else set()

    for at, _ in enumerate(steps_to(cluster, "b", end="a" if bad else "b")):
        if at % 41 == seed % 41 and at < 600:
            cluster.lose()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bad", [False, True])
def test_with_fewer_gpus_than_replicas_it_ends_as_soon_as_there_are_enough(
    seed: int, bad: bool
) -> None:
    cluster = a_cluster(seed, spare=0, per_node=2, replicas=6, gpus=1)
    cluster.failing, cluster.wanted = {"b"} if bad else set(), "b"
    for _ in range(seed * 40):
        cluster.step()
    cluster.vanish("node-1")
    for _ in range(1500):
        cluster.step()
    assert cluster.ready >= 3
    assert ready_of(cluster, "b") > 0 or bad, "the canary has a place all the same"

    cluster.nodes["node-1"] = 2
    for _ in steps_to(cluster, "b", end="a" if bad else "b"):
        pass


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("target", ["a", "c"])
@pytest.mark.parametrize("bad", [False, True])
def test_a_spec_that_changes_in_the_middle_comes_to_its_end(
    seed: int, target: str, bad: bool
) -> None:
    cluster = a_cluster(seed, spare=seed % 2)
    count = cluster.model.spec.replicas
    cluster.failing = {"b"} if bad else set()
    for _ in islice(steps_to(cluster, "b", end="a" if bad else "b"), 20 + seed * 37 % 800):
        pass

    for _ in steps_to(cluster, target):
        assert cluster.ready >= 1
    assert ready_of(cluster, target) == count


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("replicas", [1, 2, 5, 9])
def test_scaled_in_the_middle_it_comes_to_its_end(seed: int, replicas: int) -> None:
    cluster = a_cluster(seed, spare=9, gpus=1, per_node=8)
    for _ in islice(steps_to(cluster, "b"), 20 + seed * 37 % 800):
        pass

    cluster.write(replicas=replicas)

    for _ in steps_to(cluster, "b"):
        assert cluster.ready >= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_that_change_in_the_middle_do_no_harm(seed: int) -> None:
    random = Random(seed)
    cluster = a_cluster(seed, spare=0)
    count = cluster.model.spec.replicas
    for _ in islice(steps_to(cluster, "b"), 20 + seed * 37 % 800):
        pass

    other = a_model(rollout={"canary": {"steps": steps_of(*random.choice(WEIGHTS))}})
    canary = cluster.model.spec.rollout.canary.model_copy(
        update={"steps": other.spec.rollout.canary.steps}
    )
    cluster.write(rollout=cluster.model.spec.rollout.model_copy(update={"canary": canary}))

    assert all(serving(cluster) >= count - 1 for _ in steps_to(cluster, "b"))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("before", ["Auto", "Surge", "Replace", "BlueGreen"])
def test_another_strategy_may_become_a_canary_and_a_canary_another(seed: int, before: str) -> None:
    cluster = a_cluster(seed, spare=8, gpus=1, per_node=8)
    canary = cluster.model.spec.rollout
    cluster.write(rollout=canary.model_copy(update={"strategy": before}))
    for _ in islice(steps_to(cluster, "b"), 5 + seed * 7 % 60):
        pass

    cluster.write(rollout=canary)
    for _ in islice(steps_to(cluster, "b"), 5 + seed * 37 % 600):
        pass
    cluster.write(rollout=canary.model_copy(update={"strategy": before}))

    assert all(serving(cluster) >= 1 for _ in steps_to(cluster, "b"))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("floor", [1, 2, 3])
def test_min_available_waits_for_room_and_says_so(seed: int, floor: int) -> None:
    rollout = {"minAvailable": floor, "canary": {"steps": steps_of(10), "analysis": ANALYSIS}}
    cluster = a_cluster(seed, replicas=3, gpus=1, rollout=rollout)
    cluster.wanted = "b"
    for _ in range(1500):
        cluster.step()
        assert cluster.ready >= floor

    if floor == 3:
        assert cluster.told
        assert "minAvailable 3 lets no old replica give way" in (cluster.told.message or "")
        assert not cluster.alive("b")
    cluster.nodes["new"] = 1
    assert all(cluster.ready >= floor for _ in steps_to(cluster, "b"))


@pytest.mark.parametrize("seed", SEEDS)
def test_to_larger_replicas_on_a_full_pool_it_ends(seed: int) -> None:
    cluster = a_cluster(seed, replicas=4, gpus=1, per_node=4)
    for _ in range(20):
        cluster.step()
    resources = cluster.model.spec.resources.model_copy(update={"gpus": 2})
    cluster.write(resources=resources)
    cluster.wanted = "b"
    for _ in range(3000):
        cluster.step()
        assert cluster.ready >= 1
    cluster.nodes["new"] = 8

    for _ in steps_to(cluster, "b"):
        assert cluster.ready >= 1
