"""Which keys a change wakes, and how soon."""

from typing import Any

import pytest

from modelfleet.api import labels
from modelfleet.cluster import rest
from modelfleet.cluster.caches import CAPACITY_PAUSE, POD_PAUSE, POOL_PAUSE, Caches
from modelfleet.plan.world import Claim, Key, Unreadable
from support import manifests

TEAM = "team"
CHAT = Key("Model", TEAM, "chat")
H100 = Key("GPUNodePool", "", "h100")


class Watched:
    """Caches, what they have woken since it was last asked, and hands to feed them."""

    def __init__(self) -> None:
        self._woken: list[tuple[Key, float]] = []
        self.caches = Caches(lambda key, within: self._woken.append((key, within)))
        self._version = 100

    @property
    def woken(self) -> dict[Key, float]:
        """The shortest time for each key, since this was last asked."""
        woken = self._woken
        self._woken = []
        return {key: min(t for k, t in woken if k == key) for key, _ in woken}

    def store(self, kind: str) -> Any:
        kept = {"Pod": self.caches.pods, "Node": self.caches.nodes, **self.caches.children}
        return {**self.caches.customs(), **kept}[kind]

    def see(self, body: dict[str, Any]) -> dict[str, float]:
        """Let a watch tell of an object; return what that wakes, by name."""
        return self._feed("MODIFIED", body)

    def lose(self, body: dict[str, Any]) -> dict[str, float]:
        """Let a watch tell that an object is gone."""
        return self._feed("DELETED", body)

    def _feed(self, event: str, body: dict[str, Any]) -> dict[str, float]:
        self._version += 1
        stamp = {"uid": f"uid-{body['metadata']['name']}", "resourceVersion": str(self._version)}
        self.store(body["kind"]).feed(event, {**body, "metadata": {**body["metadata"], **stamp}})
        return {f"{key.kind} {key.name}": within for key, within in self.woken.items()}


@pytest.fixture
def watched() -> Watched:
    return Watched()


def a_model(name: str = "chat", **spec: Any) -> dict[str, Any]:
    return manifests.model(TEAM, name, **{"resources": {"gpus": 1}, **spec})


def a_pod(
    name: str = "chat-1", node: str | None = "n1", model: str | None = "chat"
) -> dict[str, Any]:
    limits = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    own = {labels.MODEL: model, labels.REVISION: "abc"} if model else {}
    owner = {"kind": "ReplicaSet", "name": f"{model}-abc-5d4f", "controller": True}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": TEAM, "labels": own, "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "engine", **limits}], "nodeName": node},
        "status": {},
    }


def a_node(name: str = "n1", ready: str = "True") -> dict[str, Any]:
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"gpu": "h100"}},
        "status": {
            "allocatable": {"nvidia.com/gpu": "8"},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def a_child(kind: str, **spec: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "apiVersion": rest.BY_KIND[kind].api_version,
        "metadata": {"name": "chat", "namespace": TEAM, "labels": {labels.MODEL: "chat"}},
        "spec": spec,
    }


POOL = manifests.pool("h100", gpu="h100")


# --- Models ------------------------------------------------------------------------------


def test_a_model_that_comes_changes_or_goes_wakes_itself_at_once(watched: Watched) -> None:
    assert watched.see(a_model()) == {"Model chat": 0.0}
    assert watched.see(a_model(replicas=2)) == {"Model chat": 0.0}
    assert watched.lose(a_model()) == {"Model chat": 0.0}


def test_an_unreadable_model_wakes_itself_too(watched: Watched) -> None:
    assert watched.see(a_model(replicas="many")) == {"Model chat": 0.0}

    assert isinstance(watched.caches.models.get(TEAM, "chat"), Unreadable)


def test_the_same_again_wakes_nobody(watched: Watched) -> None:
    for body in (a_node(), a_pod(), a_child("Service")):
        watched.see(body)
        assert watched.see(body) == ({} if body["kind"] != "Service" else {"Model chat": POD_PAUSE})


# --- pods, nodes, children -----------------------------------------------------------------


def test_a_pod_wakes_its_model_soon_and_a_strangers_pod_wakes_none(watched: Watched) -> None:
    assert watched.see(a_pod()) == {"Model chat": POD_PAUSE}
    assert watched.lose(a_pod()) == {"Model chat": POD_PAUSE}
    assert watched.see(a_pod("notebook", model=None)) == {}


def test_a_pod_that_takes_a_gpu_wakes_the_pool_of_its_node_in_a_while(watched: Watched) -> None:
    watched.see(a_node())
    watched.see(POOL)

    assert watched.see(a_pod("notebook", model=None)) == {"GPUNodePool h100": POOL_PAUSE}


def test_a_lost_node_wakes_the_models_that_have_pods_there_at_once(watched: Watched) -> None:
    watched.see(a_node())
    watched.see(a_pod())
    watched.see(a_pod("other-1", node="n2", model="other"))
    watched.see(a_pod("notebook", model=None))

    assert watched.see(a_node(ready="Unknown")) == {"Model chat": 0.0}
    assert watched.lose(a_node()) == {"Model chat": 0.0}


def test_a_child_wakes_its_model(watched: Watched) -> None:
    assert watched.see(a_child("Service")) == {"Model chat": 0.0}
    assert watched.see(a_child("Service", tampered=True)) == {"Model chat": POD_PAUSE}
    assert watched.lose(a_child("Service")) == {"Model chat": 0.0}


# --- engines -------------------------------------------------------------------------------


def test_an_engine_wakes_itself_and_the_models_that_use_it(watched: Watched) -> None:
    watched.see(a_model("one"))
    watched.see(a_model("two", engine={"name": "sglang"}))

    assert watched.see(manifests.engine("vllm")) == {"Engine vllm": 0.0, "Model one": 0.0}
    assert watched.lose(manifests.engine("vllm")) == {"Engine vllm": 0.0, "Model one": 0.0}


def test_a_model_that_changed_its_engine_is_woken_by_the_new_one(watched: Watched) -> None:
    watched.see(a_model())
    watched.see(a_model(engine={"name": "sglang"}))

    assert watched.see(manifests.engine("vllm")) == {"Engine vllm": 0.0}
    assert watched.see(manifests.engine("sglang")) == {"Engine sglang": 0.0, "Model chat": 0.0}


# --- pools ---------------------------------------------------------------------------------


def test_a_pool_wakes_itself_and_every_model_with_gpus(watched: Watched) -> None:
    watched.see(a_model())
    watched.see(a_model("cpu", resources={}))
    watched.see(a_model("broken", replicas="many"))

    expected = {"GPUNodePool h100": POOL_PAUSE, "Model chat": 0.0}
    assert watched.see(POOL) == expected
    assert watched.lose(POOL) == {"Model chat": 0.0}


def test_the_status_that_we_gave_a_pool_wakes_nobody_and_is_what_is_known_of_it(
    watched: Watched,
) -> None:
    watched.see(a_model())
    watched.see(a_node())
    watched.see(POOL)

    assert watched.see({**POOL, "status": {"observedGeneration": 1, "nodes": 1}}) == {}

    found = watched.caches.gpus.pool("h100")
    assert (found.pool.status.nodes, found.total) == (1, 8)


# --- capacity --------------------------------------------------------------------------------


def test_models_that_wait_are_woken_when_a_gpu_becomes_free(watched: Watched) -> None:
    for body in (a_node(), POOL, a_model(), a_model("other"), a_pod("notebook", model=None)):
        watched.see(body)
    watched.caches.waiting.add(CHAT)

    woken = watched.lose(a_pod("notebook", model=None))

    assert woken == {"GPUNodePool h100": POOL_PAUSE, "Model chat": CAPACITY_PAUSE}


def test_models_that_wait_are_woken_by_a_new_node(watched: Watched) -> None:
    watched.caches.waiting.add(CHAT)

    assert watched.see(a_node()) == {"Model chat": CAPACITY_PAUSE}


def test_a_model_that_is_gone_waits_no_more_and_gives_back_what_it_claimed(
    watched: Watched,
) -> None:
    other = Key("Model", TEAM, "other")
    claim = Claim(gpus=1, replicas=2, pools=frozenset({"h100"}))
    watched.see(a_model())
    watched.caches.waiting |= {CHAT, other}
    watched.caches.note_claim(CHAT, claim)
    assert watched.caches.claims_of_others(other) == (claim,)
    assert watched.caches.claims_of_others(CHAT) == ()

    woken = watched.lose(a_model())

    assert watched.caches.waiting == {other}
    assert watched.caches.claims_of_others(other) == ()
    assert woken == {"Model chat": 0.0, "Model other": CAPACITY_PAUSE}


# --- policies -------------------------------------------------------------------------------


def a_policy(most: int = 4, name: str = "chat") -> dict[str, Any]:
    return {
        "apiVersion": manifests.API_VERSION,
        "kind": "AutoscalingPolicy",
        "metadata": {"name": name, "namespace": TEAM},
        "spec": {"signals": {"concurrencyPerReplica": 8}, "maxReplicas": most},
    }


def test_a_policy_wakes_itself_and_the_models_that_refer_to_it() -> None:
    watched = Watched()
    watched.see(manifests.model(TEAM, autoscaling={"policyRef": {"name": "chat"}}))
    watched.see(manifests.model(TEAM, "other", autoscaling={"policyRef": {"name": "other"}}))
    watched.see(manifests.model(TEAM, "plain"))

    both = {"AutoscalingPolicy chat": 0.0, "Model chat": 0.0}
    assert watched.see(a_policy()) == both
    assert watched.see(a_policy(5)) == both
    assert watched.see({**a_policy(5), "status": {"observedGeneration": 1}}) == {
        "AutoscalingPolicy chat": 0.0
    }
    assert watched.lose(a_policy(5)) == both
