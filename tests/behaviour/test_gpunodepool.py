"""What the operator promises about a GPUNodePool."""

from typing import Any

import pytest

from modelfleet.api.conditions import Condition
from support import manifests
from support.fake_cluster import FakeCluster
from support.fake_kubernetes import TEAM
from support.manifests import model


def told(cluster: FakeCluster, name: str = "h100") -> Condition:
    found = cluster.condition("GPUNodePool", name)
    assert found
    return found


def gpus(cluster: FakeCluster, name: str = "h100") -> dict[str, int]:
    figures: dict[str, int] = cluster.get("GPUNodePool", name)["status"]["gpus"]
    return figures


def somebodys(name: str, gpus: int, **selector: str) -> dict[str, Any]:
    limits = {"resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": TEAM},
        "spec": {"containers": [{"name": "main", **limits}], "nodeSelector": selector},
    }


def test_a_pool_counts_its_nodes_and_their_gpus(cluster: FakeCluster) -> None:
    cluster.settle()

    status = cluster.get("GPUNodePool", "h100")["status"]
    assert (status["nodes"], status["readyNodes"]) == (2, 2)
    assert gpus(cluster) == {"total": 8, "allocated": 0, "free": 8, "largestFreeBlock": 4}
    assert (told(cluster).status, told(cluster).reason) == ("True", "PoolReady")


def test_pods_of_any_owner_are_counted_until_they_are_gone(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources={"gpus": 2}))
    cluster.create(somebodys("notebook", 3, pool="h100"))
    cluster.settle()
    assert gpus(cluster) == {"total": 8, "allocated": 5, "free": 3, "largestFreeBlock": 2}

    cluster.delete("Model", "chat")
    cluster.controllers.step()
    cluster.controllers.step()
    cluster.look()
    assert [pod.terminating for pod in cluster.pods()] == [True]
    assert gpus(cluster)["allocated"] == 5

    cluster.settle()
    assert gpus(cluster)["allocated"] == 3
    assert [one.reason for one in cluster.notices].count("PoolReady") == 1


def test_a_node_that_is_lost_or_cordoned_has_no_free_gpu(cluster: FakeCluster) -> None:
    cluster.lose_node("gpu-1")
    cluster.settle()
    assert gpus(cluster)["total"] == 4

    cluster.force("Node", "gpu-2", {"spec": {"unschedulable": True}})
    cluster.settle()
    assert gpus(cluster)["total"] == 0
    assert (told(cluster).status, told(cluster).reason) == ("False", "NodesNotReady")

    cluster.return_node("gpu-1")
    cluster.settle()
    assert gpus(cluster)["total"] == 4
    assert told(cluster).status == "True"


@pytest.mark.parametrize(
    ("spec", "reason", "says"),
    [
        ({"nodeSelector": {"pool": "b200"}}, "NoNodeMatches", "pool=b200"),
        ({"resourceName": "amd.com/gpu"}, "NoGPUs", "they have nvidia.com/gpu"),
    ],
)
def test_a_pool_that_finds_nothing_says_why_and_waits(
    cluster: FakeCluster, spec: dict[str, Any], reason: str, says: str
) -> None:
    cluster.edit("GPUNodePool", "h100", {"spec": spec})
    cluster.settle()

    assert told(cluster).reason == reason
    assert says in told(cluster).message
    assert cluster.condition("GPUNodePool", "h100", "Reconciling")


def test_two_pools_on_one_node_need_a_person(cluster: FakeCluster) -> None:
    cluster.create(manifests.pool("all", pool="h100"))
    cluster.settle()

    for name, other in (("all", "h100"), ("h100", "all")):
        stalled = cluster.condition("GPUNodePool", name, "Stalled")
        assert stalled
        assert stalled.reason == "NodesOverlap"
        assert f"belong to pool {other} as well, as node gpu-1" in stalled.message

    cluster.delete("GPUNodePool", "all")
    cluster.settle()
    assert told(cluster).status == "True"


def test_a_model_prefers_the_pool_that_it_names_first(cluster: FakeCluster) -> None:
    cluster.add_node("l40s-1", 1, pool="l40s")
    cluster.create(manifests.pool("l40s", pool="l40s"))
    cluster.create(model(TEAM, resources={"gpus": 1}, nodePools=["l40s", "h100"], replicas=2))

    cluster.settle()

    assert sorted(pod.node or "" for pod in cluster.pods()) == ["gpu-1", "l40s-1"]
