"""Strategies, minAvailable, pins and pauses in random clusters, and many Models in one pool.

`ROLLOUT_SEEDS=2000 pytest tests/unit/plan/test_strategies.py` runs them for longer.
"""

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any

import pytest

from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.claims import standing_claim
from support.builders import a_model
from support.chance import seeds
from support.gpu_cluster import GpuCluster

SEEDS = seeds(12)
MOST_STEPS = 6000
STRATEGIES = ("Auto", "Surge", "Replace", "BlueGreen", "Canary")


def a_cluster(
    seed: int, strategy: str, replicas: int, spare: int = 0, gpus: int = 1, **rollout: Any
) -> GpuCluster:
    """Return a cluster in which revision a is fully ready, with `spare` GPUs free."""
    model = a_model(replicas=replicas, gpus=gpus, rollout={"strategy": strategy, **rollout})
    cluster = GpuCluster(model, nodes_of(max(1, replicas * gpus + spare)), Random(seed))
    cluster.settle()
    assert cluster.ready == replicas
    return cluster


def nodes_of(gpus: int, per_node: int = 4) -> dict[str, int]:
    sizes = [min(per_node, gpus - at) for at in range(0, gpus, per_node)]
    return {f"node-{at}": size for at, size in enumerate(sizes)}


def roll(cluster: GpuCluster, **spec: Any) -> None:
    """Change fields of spec.rollout, by their names in Python."""
    cluster.write(rollout=cluster.model.spec.rollout.model_copy(update=spec))


def steps_to(cluster: GpuCluster, revision: str) -> Iterator[None]:
    """Roll out and stop after each step; fail where there is no end."""
    cluster.wanted = revision
    for _ in range(MOST_STEPS):
        cluster.step()
        yield
        if is_over(cluster):
            return
    raise AssertionError(f"no end: {cluster.asked}, {cluster.ready} ready")


def is_over(cluster: GpuCluster) -> bool:
    revisions = {pod.revision for pod in cluster.ours()}
    alone = set(cluster.asked) == {cluster.wanted} and revisions <= {cluster.wanted}
    return alone and cluster.ready == cluster.model.spec.replicas and cluster.route is None


def ready_of(cluster: GpuCluster, revision: str) -> int:
    return sum(pod.ready for pod in cluster.ours() if pod.revision == revision)


def staying(cluster: GpuCluster) -> int:
    """Return how many ready replicas are left once the Deployments have done as they are told."""
    ready = {pod.revision: ready_of(cluster, pod.revision) for pod in cluster.ours()}
    return sum(min(count, cluster.asked.get(one, 0)) for one, count in ready.items())


def serving(cluster: GpuCluster) -> int:
    """Return how many ready replicas get requests."""
    return sum(ready_of(cluster, one) for one in cluster.answering)


# Surge


@pytest.mark.parametrize("seed", SEEDS)
def test_surge_misses_no_replica_and_waits_on_a_full_pool(seed: int) -> None:
    replicas = 1 + seed % 5
    cluster = a_cluster(seed, "Surge", replicas)
    cluster.wanted = "b"

    cluster.settle()
    assert ready_of(cluster, "a") == replicas
    assert cluster.turned_down == 0

    cluster.nodes["new"] = 1
    assert all(cluster.ready >= replicas for _ in steps_to(cluster, "b"))
    assert cluster.turned_down == 0


# Replace


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("gpus", [0, 1])
def test_replace_needs_no_more_places_and_gives_up_one_at_a_time(seed: int, gpus: int) -> None:
    replicas = 1 + seed % 5
    cluster = a_cluster(seed, "Replace", replicas, spare=4, gpus=gpus)
    cluster.most_pods = 0

    lowest = min(cluster.ready for _ in steps_to(cluster, "b"))

    assert cluster.most_pods <= replicas
    assert lowest == replicas - 1
    assert cluster.turned_down == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_replace_keeps_all_but_one_when_the_new_revision_fails(seed: int) -> None:
    cluster = a_cluster(seed, "Replace", 4, spare=2)
    cluster.broken, cluster.wanted = {"b"}, "b"

    cluster.settle()

    assert ready_of(cluster, "a") == 3
    assert all(cluster.ready >= 2 for _ in steps_to(cluster, "c"))


# BlueGreen


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("gpus", [0, 1, 2])
def test_blue_green_moves_all_traffic_at_once_to_what_is_ready(seed: int, gpus: int) -> None:
    replicas = 1 + seed % 4
    cluster = a_cluster(seed, "BlueGreen", replicas, spare=replicas * gpus, gpus=gpus)
    cluster.most_pods = 0
    before = {"a"}

    for _ in steps_to(cluster, "b"):
        if "a" not in cluster.asked:
            break  # the switch was seen: nobody reaches the old pods, and they leave
        assert cluster.answering in ({"a"}, {"b"}) or cluster.route is None
        if (now := cluster.answering) != before and cluster.route == "b":
            assert ready_of(cluster, "b") == replicas
            before = now
        assert serving(cluster) == replicas
    assert cluster.most_pods == 2 * replicas
    assert cluster.turned_down == 0
    assert all(serving(cluster) == replicas for _ in steps_to(cluster, "b"))


@pytest.mark.parametrize("seed", SEEDS)
def test_blue_green_starts_only_when_all_fit(seed: int) -> None:
    cluster = a_cluster(seed, "BlueGreen", replicas=3, spare=2)
    cluster.wanted = "b"

    cluster.settle()
    assert ready_of(cluster, "a") == 3
    assert not cluster.alive("b")

    cluster.nodes["new"] = 1
    assert all(serving(cluster) == 3 for _ in steps_to(cluster, "b"))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("way", ["back", "on"])
def test_a_broken_green_gets_no_traffic_and_blue_stays(seed: int, way: str) -> None:
    cluster = a_cluster(seed, "BlueGreen", replicas=3, spare=3)
    cluster.broken, cluster.wanted = {"b"}, "b"

    cluster.settle()
    assert cluster.answering == {"a"}
    assert serving(cluster) == 3

    for _ in steps_to(cluster, "a" if way == "back" else "c"):
        assert "b" not in cluster.answering
        assert serving(cluster) == 3


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("target", ["a", "c"])
def test_blue_green_changed_in_the_middle_misses_no_replica(seed: int, target: str) -> None:
    cluster = a_cluster(seed, "BlueGreen", replicas=3, spare=3)
    for _ in islice(steps_to(cluster, "b"), 5 + seed * 7 % 120):
        assert serving(cluster) >= 3

    assert all(serving(cluster) >= 3 for _ in steps_to(cluster, target))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spare", [3, 9])
@pytest.mark.parametrize("replicas", [1, 2, 5])
def test_blue_green_scaled_in_the_middle_ends(seed: int, spare: int, replicas: int) -> None:
    """Green has begun. Before that the blue fleet takes the room, and green rightly waits."""
    cluster = a_cluster(seed, "BlueGreen", replicas=3, spare=spare)
    cluster.wanted = "b"
    cluster.decide()
    for _ in islice(steps_to(cluster, "b"), 10 + seed * 7 % 120):
        pass

    cluster.write(replicas=replicas)

    assert all(serving(cluster) >= min(3, replicas) for _ in steps_to(cluster, "b"))
    assert cluster.turned_down == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_while_blue_green_waits_the_old_fleet_follows_the_spec(seed: int) -> None:
    cluster = a_cluster(seed, "BlueGreen", replicas=3, spare=2)
    cluster.wanted = "b"
    cluster.settle()

    cluster.write(replicas=5)
    waits = cluster.settle()
    assert serving(cluster) == 5
    assert "needs room for 5 more at once" in waits.because
    assert waits.waits_for_capacity

    cluster.write(replicas=2)
    assert all(serving(cluster) >= 2 for _ in steps_to(cluster, "b"))


@pytest.mark.parametrize("seed", SEEDS)
def test_replicas_lost_during_blue_green_come_back(seed: int) -> None:
    cluster = a_cluster(seed, "BlueGreen", replicas=3, spare=3)
    for at, _ in enumerate(steps_to(cluster, "b")):
        if at % 17 == seed % 17 and at < 200:
            cluster.lose()

    assert ready_of(cluster, "b") == 3


# minAvailable, pins and pauses


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("floor", [1, 2, 3])
def test_min_available_is_never_broken(seed: int, strategy: str, floor: int) -> None:
    cluster = a_cluster(seed, strategy, replicas=3, min_available=floor)
    cluster.wanted = "b"
    for _ in range(400):
        cluster.step()
        assert cluster.ready >= floor

    if strategy == "Replace" and floor == 3:
        roll(cluster, strategy="Auto")  # it says that these two never end
    cluster.nodes["new"] = 3
    assert all(cluster.ready >= floor for _ in steps_to(cluster, "b"))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_crashes_by_itself_is_not_made_worse_than_min_available(
    seed: int, strategy: str
) -> None:
    """A replica that crashes after another was told to go, and before it has gone, is no one's."""
    floor = 3 + seed % 2
    cluster = a_cluster(seed, strategy, replicas=4, spare=seed % 3, min_available=floor)
    cluster.wanted = "b"
    for at in range(400):
        before = staying(cluster)
        cluster.step()
        assert staying(cluster) >= min(before, floor)
        if at % 60 == 59:
            cluster.lose()
        if at % 120 == 59:
            cluster.somebody_else_comes()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_paused_rollout_holds_and_goes_on(seed: int, strategy: str) -> None:
    cluster = a_cluster(seed, strategy, replicas=3, spare=3)
    for _ in islice(steps_to(cluster, "b"), 10 + seed * 5):
        pass
    roll(cluster, paused=True)
    cluster.settle()
    asked, ready = dict(cluster.asked), cluster.ready

    cluster.wanted = "c"
    cluster.settle()
    held = {one: count for one, count in cluster.asked.items() if count}
    assert held == {one: count for one, count in asked.items() if count} or "c" in held
    assert cluster.ready == ready

    roll(cluster, paused=False)
    assert all(serving(cluster) >= 2 for _ in steps_to(cluster, "c"))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_changed_in_the_middle_goes_on(seed: int, strategy: str) -> None:
    random = Random(seed)
    cluster = a_cluster(seed, random.choice(STRATEGIES), replicas=3, spare=3)
    for _ in islice(steps_to(cluster, "b"), 5 + seed * 7 % 120):
        pass

    roll(cluster, strategy=strategy)

    assert all(serving(cluster) >= 2 for _ in steps_to(cluster, "b"))


# Many Models in one pool


class Fleet:
    """Several Models whose rollouts compete for the GPUs of one pool."""

    def __init__(
        self, seed: int, choices: tuple[str, ...] = STRATEGIES, sizes: tuple[int, ...] = (1,)
    ) -> None:
        self.random = Random(seed)
        models = [self._a_model(f"m{at}", choices, sizes) for at in range(self._between(3, 8))]
        models.sort(key=lambda one: -one.spec.resources.gpus)
        held = sum(one.spec.replicas * one.spec.resources.gpus for one in models)
        self.nodes = nodes_of(held + self.random.choice([0, 0, 1, 1, 2, 4]))
        shared: dict[str, Any] = {"pods": {}, "claims": {}}
        self.models = [GpuCluster(one, self.nodes, self.random, **shared) for one in models]
        for one in self.models:
            one.settle()
            one.turned_down = 0
        self.lowest = {one.name: one.ready for one in self.models}

    def _a_model(self, name: str, choices: tuple[str, ...], sizes: tuple[int, ...]) -> Model:
        rollout = {"strategy": self.random.choice(choices)}
        replicas, gpus = self._between(1, 4), self.random.choice(sizes)
        return a_model(name, replicas=replicas, gpus=gpus, rollout=rollout)

    def _between(self, least: int, most: int) -> int:
        return self.random.randint(least, most)

    def step(self) -> None:
        self.random.choice(self.models).step()
        for one in self.models:
            self.lowest[one.name] = min(self.lowest[one.name], one.ready)

    def roll_out(self, revision: str) -> None:
        """Let all of them go to a revision at once, to the end."""
        for _ in self.steps_to(revision):
            pass

    def steps_to(self, revision: str) -> Iterator[None]:
        """Do so and stop after each step; fail where there is no end."""
        for one in self.models:
            one.wanted = revision
        for _ in range(MOST_STEPS * len(self.models)):
            self.step()
            yield
            if all(is_over(one) for one in self.models):
                return
        raise AssertionError(f"no end: {self}")

    def disturb(self) -> None:
        """Let users, nodes and neighbours do something."""
        one = self.random.choice(self.models)
        match self.random.randrange(6):
            case 0 | 1:
                one.wanted = self.random.choice("abcd")
            case 2:
                one.write(replicas=self._between(0, 4))
            case 3:
                one.lose()
            case 4 if len(self.nodes) > 1:
                one.vanish(self.random.choice(sorted(self.nodes)))
            case _:
                one.somebody_else_comes()

    def restart_the_operator(self) -> None:
        """Let it forget what it had in memory, and begin with what it finds."""
        for one in self.models:
            one.claims[one.name] = standing_claim(one.model, one.seen())

    def is_at_rest(self) -> None:
        """Check that a look changes nothing, and that nobody is waited for."""
        for one in self.models:
            one.decide()  # the last news
        for one in self.models:
            before = (dict(one.asked), one.route, one.told)
            one.decide()
            assert (one.asked, one.route, one.told) == before
            assert one.claims[one.name] is None

    @property
    def turned_down(self) -> int:
        return sum(one.turned_down for one in self.models)

    def missed(self, one: GpuCluster) -> int:
        """Return how many replicas of a Model were missing at its worst moment."""
        return one.model.spec.replicas - self.lowest[one.name]

    def __str__(self) -> str:
        return "; ".join(
            f"{one.name} {one.model.spec.rollout.strategy} {one.model.spec.replicas} of "
            f"{one.model.spec.resources.gpus}: {one.asked}, {one.ready} ready"
            for one in self.models
        )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("choices", [("Auto",), ("Auto", "Replace")])
def test_models_that_roll_at_once_never_wait_for_a_gpu_of_each_other(
    seed: int, choices: tuple[str, ...]
) -> None:
    fleet = Fleet(seed, choices)

    fleet.roll_out("b")

    assert fleet.turned_down == 0, "a pod waited for a GPU that was held or promised"
    assert all(fleet.missed(one) <= 1 for one in fleet.models), str(fleet)


@pytest.mark.parametrize("seed", SEEDS)
def test_models_that_wait_for_room_miss_nothing_while_others_roll(seed: int) -> None:
    fleet = Fleet(seed)
    fleet.nodes["new"] = 4

    fleet.roll_out("b")

    assert fleet.turned_down == 0
    for one in fleet.models:
        waits = one.model.spec.rollout.strategy in ("Surge", "BlueGreen")
        assert fleet.missed(one) <= (0 if waits else 1), str(fleet)


@pytest.mark.parametrize("seed", SEEDS)
def test_models_of_several_sizes_take_no_place_that_another_waits_for(seed: int) -> None:
    """The scheduler scatters replicas at random: a small one would spoil the block of a large."""
    fleet = Fleet(seed, ("Auto", "Replace"), sizes=(1, 2, 4))

    fleet.roll_out("b")

    assert fleet.turned_down == 0, "a pod waited for a GPU that was held or promised"
    assert all(fleet.missed(one) <= 1 for one in fleet.models), str(fleet)
    fleet.is_at_rest()


@pytest.mark.parametrize("seed", SEEDS)
def test_an_operator_that_begins_anew_takes_nothing_that_was_promised(seed: int) -> None:
    fleet = Fleet(seed, ("Auto", "Replace"), sizes=(1,) if seed % 2 else (1, 2, 4))

    for _ in fleet.steps_to("b"):
        if fleet.random.randrange(15) == 0:
            fleet.restart_the_operator()

    assert fleet.turned_down == 0, "a pod waited for a GPU that was held or promised"
    assert all(fleet.missed(one) <= 1 for one in fleet.models), str(fleet)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_to_many_models_all_rollouts_end(seed: int) -> None:
    fleet = Fleet(seed, sizes=(1,) if seed % 2 else (1, 2, 4))
    for at in range(400):
        fleet.step()
        if at % 20 == 0:
            fleet.disturb()
    fleet.models[0].somebody_else_leaves()
    fleet.nodes |= {f"new-{at}": 4 for at in range(24)}
    for one in fleet.models:
        one.write(replicas=max(1, one.model.spec.replicas))

    fleet.roll_out("z")
