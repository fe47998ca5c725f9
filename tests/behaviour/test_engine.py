"""What the operator promises about an Engine object."""

from typing import Any

import pytest

from modelfleet.api.conditions import Condition
from support import manifests
from support.fake_cluster import FakeCluster
from support.fake_kubernetes import TEAM
from support.manifests import model


def verdict(cluster: FakeCluster, name: str = "our-own") -> Condition:
    found = cluster.condition("Engine", name)
    assert found
    return found


def image(cluster: FakeCluster) -> str:
    (found,) = [one for (kind, _), one in cluster.children().items() if kind == "Deployment"]
    written: str = found["spec"]["template"]["spec"]["containers"][0]["image"]
    return written


def test_a_usable_document_is_valid(bare: FakeCluster) -> None:
    bare.create(manifests.engine("our-own"))

    bare.settle()

    assert (verdict(bare).status, verdict(bare).reason) == ("True", "Valid")
    assert "spec.engine.name: our-own" in verdict(bare).message


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"args": [{"values": ["--x", "{nonsense}"]}]}, "spec.args"),
        ({"args": [{"values": ["--x", "{model"]}]}, "spec.args"),
        ({"sources": [{"scheme": "hf", "model": "{nonsense}"}]}, "spec.sources"),
    ],
)
def test_a_document_that_cannot_be_used_is_told_by_field_and_heals(
    bare: FakeCluster, spec: dict[str, Any], field: str
) -> None:
    bare.create(manifests.engine("our-own", **spec))
    bare.settle()

    assert (verdict(bare).status, verdict(bare).reason) == ("False", "InvalidSpec")
    assert field in verdict(bare).message

    bare.edit("Engine", "our-own", {"spec": manifests.engine("our-own")["spec"]})
    bare.settle()
    assert verdict(bare).status == "True"


def test_an_object_replaces_the_built_in_engine_for_new_revisions_only(bare: FakeCluster) -> None:
    bare.add_node("cpu-1")
    bare.create(model(TEAM))
    bare.settle()
    before, pods = image(bare), bare.pods()

    bare.create(manifests.engine("vllm"))
    bare.settle()
    assert image(bare) == before
    assert bare.pods() == pods

    bare.spec(drain={"timeoutSeconds": 60})
    bare.settle()
    assert image(bare) == "example.com/engine:1.0"


def test_without_its_object_the_built_in_engine_serves_again(bare: FakeCluster) -> None:
    bare.add_node("cpu-1")
    bare.create(manifests.engine("vllm"))
    bare.create(model(TEAM))
    bare.settle()
    assert image(bare) == "example.com/engine:1.0"

    bare.delete("Engine", "vllm")
    bare.spec(drain={"timeoutSeconds": 60})
    bare.settle()

    assert image(bare).startswith("vllm/")


def test_a_deleted_engine_leaves_its_models_running(bare: FakeCluster) -> None:
    bare.add_node("cpu-1")
    bare.create(manifests.engine("our-own"))
    bare.create(model(TEAM, engine={"name": "our-own"}))
    bare.settle()

    bare.delete("Engine", "our-own")
    bare.settle()

    found = bare.condition("Model", "chat")
    assert found
    assert found.reason == "AllReplicasReady"
    assert [pod.ready for pod in bare.pods()] == [True]

    revision = bare.status().current_revision
    bare.delete("Deployment", f"chat-{revision}")
    bare.settle()
    assert [pod.ready for pod in bare.pods()] == [True]
