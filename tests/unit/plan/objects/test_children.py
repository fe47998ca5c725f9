"""The children beside the pods."""

import dataclasses
from typing import Any

import pytest

from modelfleet.api import labels
from modelfleet.plan.objects.deployment import deployment_for
from modelfleet.plan.objects.disruption import disruption_budget_for
from modelfleet.plan.objects.revision import controller_revision_for
from modelfleet.plan.objects.service import service_for
from modelfleet.plan.objects.serviceaccount import service_account_for
from modelfleet.plan.world import Revision
from unit.plan.models import model_with
from unit.plan.objects.cases import template_of

OLD = Revision(
    name="chat-aaaaaaaaaa",
    hash="aaaaaaaaaa",
    number=3,
    template={"metadata": {"labels": {labels.ENGINE: "sglang"}}, "spec": {"containers": []}},
)


def test_a_deployment_is_its_revisions_and_not_the_models_present_spec() -> None:
    deployment = deployment_for(model_with(), OLD, 2)

    assert deployment["metadata"]["name"] == "chat-aaaaaaaaaa"
    assert deployment["metadata"]["labels"][labels.ENGINE] == "sglang"
    assert deployment["spec"]["template"] is OLD.template
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["selector"]["matchLabels"] == {
        labels.MODEL: "chat",
        labels.REVISION: "aaaaaaaaaa",
    }


def test_a_deployment_selects_the_pods_of_its_template() -> None:
    model = model_with()
    template = template_of(model)
    revision = Revision(
        name="x", hash=template["metadata"]["labels"][labels.REVISION], number=1, template=template
    )

    selector = deployment_for(model, revision, 1)["spec"]["selector"]["matchLabels"]

    assert selector.items() <= template["metadata"]["labels"].items()
    assert service_for(model)["spec"]["selector"].items() <= template["metadata"]["labels"].items()


def test_zero_replicas_are_written_out() -> None:
    assert deployment_for(model_with(), OLD, 0)["spec"]["replicas"] == 0


def test_a_deployment_gives_up_after_the_probe() -> None:
    model = model_with(startup={"deadlineSeconds": 900})

    assert deployment_for(model, OLD, 1)["spec"]["progressDeadlineSeconds"] == 960


def test_a_revision_keeps_what_was_asked_and_what_came_of_it() -> None:
    model = model_with(drain={"timeoutSeconds": 5}, replicas=4)

    kept = controller_revision_for(model, dataclasses.replace(OLD, number=7))

    assert kept["revision"] == 7
    assert kept["data"] == {
        "spec": {
            "source": {"uri": "hf://Qwen/Qwen2.5-7B-Instruct"},
            "engine": {"name": "vllm"},
            "drain": {"timeoutSeconds": 5},
        },
        "template": OLD.template,
    }


def test_clients_need_no_port_and_a_pod_can_leave_by_a_label() -> None:
    spec = service_for(model_with())["spec"]

    assert spec["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}]
    assert spec["selector"] == {labels.MODEL: "chat", labels.SERVING: "true"}


def test_the_account_has_no_token() -> None:
    assert service_account_for(model_with())["automountServiceAccountToken"] is False


def test_the_budget_never_blocks_a_node_for_good() -> None:
    spec = disruption_budget_for(model_with(replicas=1))["spec"]

    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize("build", [service_for, service_account_for, disruption_budget_for])
def test_children_are_owned_and_labelled(build: Any) -> None:
    model = model_with(metadata={"labels": {labels.TEAM: "search", "argocd.argoproj.io/x": "y"}})

    metadata = build(model)["metadata"]

    assert metadata["labels"] == {
        labels.MANAGED_BY: "modelfleet",
        labels.NAME: "chat",
        labels.COMPONENT: "model-server",
        labels.MODEL: "chat",
        labels.TEAM: "search",
    }
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "modelfleet.dev/v1alpha1",
            "kind": "Model",
            "name": "chat",
            "uid": model.metadata.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def test_a_model_that_was_never_stored_owns_nothing() -> None:
    model = model_with(metadata={"uid": "", "namespace": ""})

    assert service_for(model)["metadata"].keys() == {"name", "labels"}
