"""Whatever is wrong, the status names cause and remedy, nothing breaks, and healing works."""

from datetime import timedelta
from typing import Any

import pytest

from modelfleet.api import labels
from modelfleet.api.conditions import Condition
from modelfleet.cluster import rest
from support import manifests
from support.fake_cluster import FakeCluster
from support.fake_kubernetes import TEAM
from support.fake_nodes import (
    CRASH_LOOP,
    IMAGE_NOT_FOUND,
    IMAGE_UNAUTHORIZED,
    LOADS_FOREVER,
    OUT_OF_MEMORY,
    SECRET_MISSING,
    Fault,
)
from support.manifests import model

GPU = {"gpus": 1}


def told(cluster: FakeCluster, kind: str = "Stalled") -> Condition:
    """Return the abnormal condition, and check that `Ready` says the same."""
    found, ready = cluster.condition("Model", "chat", kind), cluster.condition("Model", "chat")
    assert found
    assert ready
    assert ready.status == "False"
    assert (found.reason, found.message) == (ready.reason, ready.message)
    return found


def is_ready(cluster: FakeCluster) -> bool:
    ready = cluster.condition("Model", "chat")
    return bool(ready and ready.status == "True" and len(cluster.status().conditions) == 1)


# --- pods that do not come up --------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason", "remedy"),
    [
        (IMAGE_NOT_FOUND, "ImageNotFound", "Correct spec.engine.image (now that of Engine vllm)"),
        (IMAGE_UNAUTHORIZED, "ImageUnauthorized", "spec.podTemplate.imagePullSecrets"),
        (SECRET_MISSING, "ContainerConfigError", "Create that Secret"),
        (OUT_OF_MEMORY, "OutOfMemory", "Raise spec.resources.memory"),
        (CRASH_LOOP, "CrashLoop", "Correct spec.engine.args"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_failing_pod_is_explained_and_heals(
    cluster: FakeCluster, fault: Fault, reason: str, remedy: str
) -> None:
    cluster.fail(fault)
    cluster.create(model(TEAM, resources=GPU))
    cluster.settle()

    assert told(cluster).reason == reason
    assert remedy in told(cluster).message
    assert (reason, "Warning") in {(one.reason, one.type) for one in cluster.notices}

    cluster.mend()
    cluster.settle()
    assert is_ready(cluster)


def test_a_start_that_passes_its_deadline_is_told_when_it_does(cluster: FakeCluster) -> None:
    cluster.fail(LOADS_FOREVER)
    cluster.create(model(TEAM, resources=GPU, startup={"deadlineSeconds": 600}))
    cluster.settle()
    assert told(cluster, "Reconciling").reason == "LoadingModel"

    cluster.advance(601)
    cluster.settle()

    assert told(cluster).reason == "StartupDeadlineExceeded"
    assert "Raise spec.startup.deadlineSeconds" in told(cluster).message


def test_a_start_is_looked_at_again_at_the_moment_when_it_is_late(cluster: FakeCluster) -> None:
    cluster.fail(LOADS_FOREVER)
    cluster.create(model(TEAM, resources=GPU, startup={"deadlineSeconds": 100}))
    cluster.settle()
    started = cluster.pods()[0].started_at
    assert started
    late = started + timedelta(seconds=100)
    cluster.advance((late - cluster.clock).total_seconds() - 5)

    wait = cluster.look_at("chat")

    assert wait is not None
    assert timedelta(seconds=5) < wait <= timedelta(seconds=7)
    cluster.advance(wait.total_seconds())
    cluster.look()
    assert told(cluster).reason == "StartupDeadlineExceeded"


def test_a_quota_is_told_with_its_figures_and_heals(cluster: FakeCluster) -> None:
    cluster.controllers.quota = 1
    cluster.create(model(TEAM, resources=GPU, replicas=2))
    cluster.settle()

    assert told(cluster).reason == "QuotaExceeded"
    assert "limited: pods=1" in told(cluster).message
    assert cluster.status().ready_replicas == 1

    cluster.controllers.quota = None
    cluster.settle()
    assert is_ready(cluster)


def test_an_account_that_does_not_exist_is_named(cluster: FakeCluster) -> None:
    account = {"serviceAccountName": "trainer"}
    cluster.create(model(TEAM, resources=GPU, podTemplate=account))
    cluster.settle()

    assert told(cluster).reason == "PodsRefused"
    assert "team-search/trainer" in told(cluster).message

    trainer = {"name": "trainer", "namespace": TEAM}
    cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": trainer})
    cluster.settle()
    assert is_ready(cluster)
    assert "ServiceAccount" not in {kind for kind, _ in cluster.children()}


# --- nodes and GPUs --------------------------------------------------------------------


def test_a_full_pool_is_told_in_figures_and_waited_for(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, "other", resources={"gpus": 4}))
    cluster.settle()
    cluster.create(model(TEAM, resources={"gpus": 4}, replicas=2))
    cluster.settle()

    found = told(cluster, "Reconciling")
    assert found.reason == "WaitingForCapacity"
    assert "4 GPUs asked on one node; pool h100 has 0 free of 8" in found.message

    cluster.delete("Model", "other")
    cluster.settle()
    assert is_ready(cluster)


def test_free_gpus_that_are_scattered_are_told_apart(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, "other", resources={"gpus": 2}, replicas=2))
    cluster.settle()
    cluster.create(model(TEAM, "third", resources={"gpus": 1}, replicas=1))
    cluster.settle()
    cluster.create(model(TEAM, resources={"gpus": 4}))
    cluster.settle()

    assert (
        "pool h100 has 3 free of 8, at most 3 on one node" in told(cluster, "Reconciling").message
    )


def test_a_pool_without_nodes_is_waited_for(bare: FakeCluster) -> None:
    bare.create(manifests.pool("h100", pool="h100"))
    bare.create(model(TEAM, resources=GPU))
    bare.settle()

    assert told(bare, "Reconciling").reason == "PoolEmpty"
    assert "pool h100 has no node" in told(bare, "Reconciling").message

    bare.add_node("gpu-1", 4, pool="h100")
    bare.settle()
    assert is_ready(bare)


def test_a_lost_node_is_told_and_its_replica_moves(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources=GPU))
    cluster.settle()
    (pod,) = cluster.pods()
    assert pod.node

    cluster.lose_node(pod.node)
    cluster.step()
    cluster.look()
    found = told(cluster, "Reconciling")
    assert found.reason == "NodeLost"
    assert pod.node in found.message

    cluster.settle()
    assert cluster.status().ready_replicas == 1

    cluster.return_node(pod.node)
    cluster.settle()
    assert is_ready(cluster)
    assert len(cluster.pods()) == 1


def test_a_node_that_is_deleted_takes_its_replica_along(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources=GPU, replicas=2))
    cluster.settle()
    node = cluster.pods()[0].node
    assert node

    cluster.delete("Node", node)
    cluster.settle()

    assert is_ready(cluster)
    assert node not in {pod.node for pod in cluster.pods()}


def test_more_gpus_than_any_node_has_needs_a_person(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources={"gpus": 5}))
    cluster.settle()

    assert told(cluster).reason == "InvalidSpec"
    assert "ask for at most 4, or add larger nodes" in told(cluster).message

    cluster.add_node("gpu-3", 8, pool="h100")
    cluster.settle()
    assert is_ready(cluster)


def test_a_missing_pool_is_named_beside_those_that_exist_and_heals(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources=GPU, nodePools=["b200", "h100"]))
    cluster.settle()

    assert told(cluster).reason == "PoolMissing"
    assert "no GPUNodePool b200; use one of h100, or create it" in told(cluster).message
    assert not cluster.children()

    cluster.create(manifests.pool("b200", pool="b200"))
    cluster.settle()
    assert is_ready(cluster)


def test_no_pool_at_all_is_told(bare: FakeCluster) -> None:
    bare.create(model(TEAM, resources=GPU))
    bare.settle()

    assert told(bare).reason == "PoolMissing"
    assert "set spec.resources.gpus to 0" in told(bare).message


def test_a_pool_that_goes_while_its_model_runs_leaves_it_running(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources=GPU))
    cluster.settle()
    before = {pod.uid for pod in cluster.pods()}

    cluster.delete("GPUNodePool", "h100")
    cluster.settle()

    assert told(cluster).reason == "PoolMissing"
    assert {pod.uid for pod in cluster.pods() if pod.ready} == before
    cluster.create(manifests.pool("h100", pool="h100"))
    cluster.settle()
    assert is_ready(cluster)
    assert {pod.uid for pod in cluster.pods()} == before


def test_pools_of_two_kinds_of_gpu_are_refused_together(cluster: FakeCluster) -> None:
    amd = manifests.pool("mi300", pool="mi300")
    amd["spec"]["resourceName"] = "amd.com/gpu"
    cluster.create(amd)
    cluster.create(model(TEAM, resources=GPU))
    cluster.settle()

    assert told(cluster).reason == "PoolsDiffer"

    cluster.spec(nodePools=["h100"])
    cluster.settle()
    assert is_ready(cluster)


# --- names that are taken ----------------------------------------------------------------


STRANGERS: dict[str, dict[str, Any]] = {
    "Service": {
        "apiVersion": "v1",
        "kind": "Service",
        "spec": {"selector": {"app": "chat"}, "ports": [{"name": "web", "port": 80}]},
    },
    "ServiceAccount": {"apiVersion": "v1", "kind": "ServiceAccount"},
    "PodDisruptionBudget": {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "chat"}}},
    },
}


@pytest.mark.parametrize("kind", STRANGERS)
@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"labels": {labels.MANAGED_BY: "Helm", labels.MODEL: "chat"}},
        {"labels": {labels.MANAGED_BY: labels.FIELD_MANAGER, labels.MODEL: "other"}},
    ],
    ids=["plain", "of Helm", "of another Model"],
)
def test_a_name_that_is_taken_is_never_taken_over(
    cluster: FakeCluster, kind: str, metadata: dict[str, Any]
) -> None:
    theirs = {**STRANGERS[kind], "metadata": {"name": "chat", "namespace": TEAM, **metadata}}
    cluster.create(theirs)
    before = cluster.get(kind, "chat")

    cluster.create(model(TEAM, resources=GPU))
    cluster.settle()

    assert cluster.get(kind, "chat") == before
    assert told(cluster).reason == "NameTaken"
    assert f"{kind} chat exists and is not this Model's" in told(cluster).message

    cluster.delete(kind, "chat")
    cluster.settle()
    assert is_ready(cluster)


def test_a_child_of_another_owner_is_never_taken_over(cluster: FakeCluster) -> None:
    owner = cluster.get("GPUNodePool", "h100")["metadata"]["uid"]
    reference = {"apiVersion": "example.com/v1", "kind": "App", "name": "x", "uid": owner}
    meta = {
        "name": "chat",
        "namespace": TEAM,
        "ownerReferences": [{**reference, "controller": True}],
    }
    cluster.create({**STRANGERS["Service"], "metadata": meta})

    cluster.create(model(TEAM, resources=GPU))
    cluster.settle()

    assert told(cluster).reason == "NameTaken"
    cluster.delete("Service", "chat")


def test_labels_alone_make_nothing_ours(cluster: FakeCluster) -> None:
    """Somebody copied a Deployment with all its labels and changed the name."""
    cluster.create(model(TEAM, resources=GPU))
    cluster.settle()
    copied = cluster.get("Deployment", f"chat-{cluster.status().current_revision}")
    metadata = {**copied["metadata"], "name": "copy", "ownerReferences": []}
    for left_out in ("uid", "resourceVersion", "generation", "creationTimestamp"):
        del metadata[left_out]
    cluster.create({**copied, "metadata": metadata})
    cluster.settle()

    cluster.spec(engine={"name": "vllm", "args": ["--seed=2"]})
    cluster.settle()

    assert cluster.get("Deployment", "copy")["spec"]["replicas"] == 1
    assert is_ready(cluster)
    assert (cluster.status().replicas, len(cluster.world.of(rest.DEPLOYMENTS))) == (1, 2)


# --- what cannot be carried out --------------------------------------------------------------


def test_an_unknown_engine_is_told_with_the_known_ones_and_heals(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources=GPU, engine={"name": "our-own"}))
    cluster.settle()

    assert told(cluster).reason == "UnknownEngine"
    for name in ("vllm", "sglang", "llama-cpp", "tei", "ollama", "triton"):
        assert name in told(cluster).message
    assert not cluster.children()

    cluster.create(manifests.engine("our-own"))
    cluster.settle()
    assert is_ready(cluster)


@pytest.mark.parametrize(
    ("spec", "reason", "field"),
    [
        ({"source": {"uri": "ollama://llama3"}}, "UnsupportedSource", "spec.source.uri"),
        ({"engine": {"name": "vllm", "args": ["--port=1"]}}, "InvalidSpec", "spec.engine.args"),
    ],
)
def test_what_an_engine_cannot_do_is_told_by_field_and_a_mended_spec_heals(
    cluster: FakeCluster, spec: dict[str, Any], reason: str, field: str
) -> None:
    good = model(TEAM, resources=GPU)["spec"]
    cluster.create(model(TEAM, resources=GPU, **spec))
    cluster.settle()

    assert told(cluster).reason == reason
    assert field in told(cluster).message

    cluster.spec(source=good["source"], engine={"args": None})
    cluster.settle()
    assert is_ready(cluster)


def test_an_object_that_cannot_be_read_is_told_and_its_children_stay(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources=GPU))
    cluster.settle()
    before, endpoint = cluster.children(), cluster.status().endpoint

    cluster.force("Model", "chat", {"spec": {"replicas": "many"}})
    cluster.settle()

    assert told(cluster).reason == "InvalidSpec"
    assert "spec.replicas" in told(cluster).message
    assert cluster.children() == before
    assert cluster.status().endpoint == endpoint
    assert cluster.status().observed_generation == 2

    cluster.force("Model", "chat", {"spec": {"replicas": 1}})
    cluster.settle()
    assert is_ready(cluster)


def test_what_the_api_server_refuses_is_told_in_its_words(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources=GPU))
    cluster.settle()

    other = {"name": "http", "port": 8080, "protocol": "TCP"}
    cluster.force("Service", "chat", {"spec": {"ports": [other]}})
    cluster.settle()

    assert told(cluster).reason == "RequestRefused"
    assert "Duplicate value: http" in told(cluster).message

    cluster.delete("Service", "chat")
    cluster.settle()
    assert is_ready(cluster)


def test_a_problem_that_comes_and_goes_is_two_events(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources=GPU))
    cluster.settle()
    cluster.notices.clear()

    cluster.spec(engine={"name": "nowhere"})
    cluster.settle()
    cluster.spec(engine={"name": "vllm"})
    cluster.settle()

    assert [one.reason for one in cluster.notices] == ["UnknownEngine", "AllReplicasReady"]


def test_no_message_is_longer_than_an_event_may_be(cluster: FakeCluster) -> None:
    words = "ValueError: " + "ünïcödé " * 2000
    end = {"exitCode": 1, "reason": "Error", "message": words}
    crash = {"restartCount": 9, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    cluster.fail(Fault("load", {**crash, "lastState": {"terminated": end}}))
    cluster.create(model(TEAM, resources=GPU))
    cluster.settle()

    assert len(told(cluster).message.encode()) <= 1024
    assert cluster.world.of(rest.MODELS)
