"""Killed between any two writes, the operator leaves nothing that the next look does not mend."""

from collections.abc import Callable
from typing import Any

import pytest

from modelfleet.cluster import rest
from support.fake_cluster import FakeCluster, a_cluster
from support.fake_kubernetes import TEAM
from support.fake_nodes import IMAGE_NOT_FOUND
from support.manifests import model
from support.shapes import shape

SECOND = {"name": "vllm", "args": ["--seed=2"]}


def served(cluster: FakeCluster, **spec: Any) -> None:
    cluster.create(model(TEAM, **spec))
    cluster.settle()
    assert cluster.status().stable_revision


@pytest.mark.parametrize("most_writes", [None, 1, 2])
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 3), (2, 4), (2, 1)])
def test_a_new_revision_with_another_number_of_replicas_gets_through_a_full_pool(
    cluster: FakeCluster, before: int, after: int, most_writes: int | None
) -> None:
    served(cluster, resources={"gpus": 4}, replicas=before)
    cluster.most_writes = most_writes

    cluster.spec(engine=SECOND, replicas=after)
    cluster.settle()

    wanted = cluster.status().current_revision
    assert [pod.revision for pod in cluster.pods() if pod.ready] == [wanted] * min(after, 2)
    assert len(cluster.world.of(rest.DEPLOYMENTS)) == 1


def created(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources={"gpus": 1}, replicas=2))


def scaled_down(cluster: FakeCluster) -> None:
    served(cluster, resources={"gpus": 1}, replicas=4)
    cluster.spec(replicas=1)


def rolled_out(cluster: FakeCluster) -> None:
    served(cluster, resources={"gpus": 2}, replicas=4)
    cluster.spec(engine=SECOND)


def rolled_back(cluster: FakeCluster) -> None:
    rolled_out(cluster)
    for _ in range(8):
        cluster.step()
    cluster.wait()
    cluster.spec(engine={"name": "vllm", "args": []})


def turned_blue_green(cluster: FakeCluster) -> None:
    served(cluster, resources={"gpus": 1}, replicas=3, rollout={"strategy": "BlueGreen"})
    cluster.spec(engine=SECOND)


def broken(cluster: FakeCluster) -> None:
    served(cluster, resources={"gpus": 1}, replicas=3)
    cluster.fail(IMAGE_NOT_FOUND)
    cluster.spec(engine=SECOND)


def limited(cluster: FakeCluster) -> None:
    served(cluster, revisionHistoryLimit=1)
    for seed in range(3):
        cluster.spec(engine={"name": "vllm", "args": [f"--seed={seed}"]})
        cluster.settle()


def orphaned(cluster: FakeCluster) -> None:
    served(cluster, resources={"gpus": 1})
    for kind, name in cluster.children():
        cluster.delete(kind, name)


LIVES = (
    created,
    scaled_down,
    rolled_out,
    rolled_back,
    turned_blue_green,
    broken,
    limited,
    orphaned,
)


@pytest.mark.parametrize(
    ("live", "most_writes"), [*((live, 1) for live in LIVES), (rolled_out, 2), (scaled_down, 2)]
)
def test_killed_after_every_few_writes_it_comes_to_the_same_end(
    live: Callable[[FakeCluster], None], most_writes: int
) -> None:
    cluster, unharmed = a_cluster(h100=[4, 4]), a_cluster(h100=[4, 4])
    live(cluster)
    live(unharmed)

    cluster.most_writes = most_writes
    cluster.settle()
    unharmed.settle()

    assert shape(cluster) == shape(unharmed)


def test_a_look_that_was_cut_off_sends_no_event_twice(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources={"gpus": 1}))
    cluster.most_writes = 1
    cluster.settle()

    told = [notice.reason for notice in cluster.notices]
    assert told.count("AllReplicasReady") == 1
