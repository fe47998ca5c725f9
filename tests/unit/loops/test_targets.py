"""Which pods are asked, and how: from caches fed with objects as the API server has them."""

import pytest

from modelfleet.api import labels
from modelfleet.cluster.caches import Caches
from modelfleet.engines import built_in
from modelfleet.loops.targets import Targets
from modelfleet.plan.world import Key
from support import manifests

CHAT = Key("Model", "team", "chat")
NEW, OLD = "newnewnewn", "oldoldoldo"
SINCE = {"lastTransitionTime": "2026-11-24T11:59:00Z"}


def a_pod(name, revision=NEW, ready="True", address="10.0.0.1", serving="true", **metadata):
    own = {labels.MODEL: "chat", labels.REVISION: revision, labels.SERVING: serving}
    conditions = [
        {"type": "PodScheduled", "status": "True", **SINCE},
        {"type": "Ready", "status": ready, **SINCE},
    ]
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"chat-{revision}-6b1f"}
    owner |= {"uid": "rs1", "controller": True}
    running = {"name": "engine", "restartCount": 2, "state": {"running": {}}}
    return {
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "labels": own,
            "ownerReferences": [owner],
            **metadata,
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "engine"}]},
        "status": {
            "phase": "Running",
            "podIP": address,
            "conditions": conditions,
            "containerStatuses": [running],
        },
    }


def a_revision(revision, port, **inputs):
    owner = {"kind": "Model", "name": "chat", "uid": "uid-chat", "controller": True}
    ports = [{"name": "http", "containerPort": port}]
    template = {"spec": {"containers": [{"name": "engine", "ports": ports}]}}
    return {
        "metadata": {
            "name": f"chat-{revision}",
            "namespace": "team",
            "uid": f"uid-{revision}",
            "resourceVersion": "1",
            "labels": {labels.MODEL: "chat", labels.REVISION: revision},
            "ownerReferences": [{"apiVersion": manifests.API_VERSION, **owner}],
        },
        "revision": 1,
        "data": {"spec": inputs, "template": template},
    }


def caches_with(*pods, revisions=(), engines=(), **spec):
    caches = Caches(lambda *_: None)
    model = manifests.model("team", **spec)
    model["metadata"] |= {"uid": "uid-chat", "resourceVersion": "1", "generation": 1}
    caches.models.feed("ADDED", model)
    for pod in pods:
        caches.pods.feed("ADDED", pod)
    for one in revisions:
        caches.children["ControllerRevision"].feed("ADDED", one)
    for one in engines:
        one["metadata"] |= {"uid": "uid-engine", "resourceVersion": "1", "generation": 1}
        caches.engines.feed("ADDED", one)
    return caches


def test_each_pod_is_read_and_asked_by_the_engine_of_its_own_revision():
    targets = Targets(
        caches_with(
            a_pod("a", OLD, address="10.0.0.1"),
            a_pod("b", NEW, address="10.0.0.2"),
            revisions=[
                a_revision(OLD, 8001, engine={"name": "llama-cpp"}, servedNames=["small", "x"]),
                a_revision(NEW, 8000, engine={"name": "vllm"}),
            ],
        )
    )

    old, new = targets.to_scrape([CHAT])
    assert (old.pod, old.revision, old.address, old.port) == ("uid-a", OLD, "10.0.0.1", 8001)
    assert (new.pod, new.revision, new.address, new.port) == ("uid-b", NEW, "10.0.0.2", 8000)
    assert [one.metrics for one in (old, new)] == [
        built_in()[name].spec.metrics for name in ("llama-cpp", "vllm")
    ]
    assert old.restarts == 2

    old, new = targets.to_probe(CHAT)
    assert (old.question, old.name, old.port) == ("chat", "small", 8001)
    assert (new.question, new.name, new.port) == ("chat", "chat", 8000)


def test_of_a_revision_that_is_not_kept_the_spec_tells():
    targets = Targets(caches_with(a_pod("a"), servedNames=["large"]))

    assert [one.port for one in targets.to_scrape([CHAT])] == [8000]
    assert [one.name for one in targets.to_probe(CHAT)] == ["large"]


@pytest.mark.parametrize(
    ("pod", "read", "probed"),
    [
        ({}, True, True),
        ({"serving": "false"}, True, False),
        ({"deletionTimestamp": "2026-11-24T12:00:30Z"}, True, False),
        ({"ready": "False"}, False, False),
        ({"address": ""}, False, False),
    ],
    ids=["ready", "leaving", "terminating", "not ready", "no address"],
)
def test_who_is_read_and_who_is_asked(pod, read, probed):
    targets = Targets(caches_with(a_pod("a", **pod)))

    assert [bool(targets.to_scrape([CHAT])), bool(targets.to_probe(CHAT))] == [read, probed]


def test_engines_without_a_page_are_asked_but_not_read():
    targets = Targets(caches_with(a_pod("a"), engine={"name": "ollama"}))

    assert targets.to_scrape([CHAT]) == []
    (asked,) = targets.to_probe(CHAT)
    assert (asked.question, asked.health_path) == ("health", "/api/version")


def test_an_engine_object_goes_before_the_built_in_one_and_another_tells_its_metrics_port():
    own = manifests.engine("own", metrics={"port": 9100, "signals": []})
    targets = Targets(caches_with(a_pod("a"), engine={"name": "own"}, engines=[own]))

    assert [one.port for one in targets.to_scrape([CHAT])] == [9100]
    assert [(one.question, one.port) for one in targets.to_probe(CHAT)] == [("health", 8000)]


@pytest.mark.parametrize("key", [Key("Model", "team", "other"), Key("Model", "other", "chat")])
def test_a_model_that_is_not_known_has_no_targets(key):
    targets = Targets(caches_with(a_pod("a")))

    assert targets.to_scrape([key]) == targets.to_probe(key) == []


def test_an_engine_that_is_not_known_has_no_targets():
    targets = Targets(caches_with(a_pod("a"), engine={"name": "gone"}))

    assert targets.to_scrape([CHAT]) == targets.to_probe(CHAT) == []
