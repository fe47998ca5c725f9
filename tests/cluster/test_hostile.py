"""What users and other controllers break: it is put back, left alone or told, never ignored."""

import asyncio
from typing import Any

import pytest
import yaml

from support.manifests import engine, model
from support.running import Client, apply, condition, is_ready, kubectl, until

pytestmark = pytest.mark.usefixtures("operator")

OURS = "app.kubernetes.io/managed-by=modelfleet"


def patch(namespace: str, kind: str, name: str, body: str, *more: str) -> None:
    kubectl("-n", namespace, "patch", kind, name, "--type=merge", "-p", body, *more)


def revision_of(found: dict[str, Any]) -> str:
    return str(found["status"]["currentRevision"])


async def only(client: Client, kind: str, namespace: str) -> dict[str, Any]:
    (found,) = await client.list(kind, namespace, OURS)
    return found


async def test_a_pin_leads_back_to_an_earlier_revision(client: Client, namespace: str) -> None:
    apply(model(namespace))
    first = revision_of(await client.until_ready(namespace, "chat"))
    patch(namespace, "model", "chat", '{"spec":{"servedNames":["other"]}}')
    await client.until_ready(namespace, "chat")

    patch(namespace, "model", "chat", f'{{"spec":{{"rollout":{{"pinRevision":"{first}"}}}}}}')

    again = await client.until(
        "Model", namespace, "chat", lambda one: is_ready(one) and revision_of(one) == first
    )
    assert condition(again, "Stalled") is None


async def test_a_broken_watch_of_one_kind_leaves_the_others(client: Client, namespace: str) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")

    kubectl("delete", "crd", "engines.modelfleet.dev")
    await asyncio.sleep(5)  # longer than the pause of the watch, which has to meet the 404
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "crds")
    kubectl("wait", "--for=condition=Established", "-f", "crds", "--timeout=30s")
    patch(namespace, "model", "chat", '{"spec":{"replicas":2}}')

    await client.until_ready(namespace, "chat")


@pytest.mark.parametrize("kind", ["Deployment", "Service", "ControllerRevision"])
@pytest.mark.parametrize("label", ["modelfleet.dev/model", "app.kubernetes.io/managed-by"])
async def test_a_label_that_was_taken_away_is_put_back(
    client: Client, namespace: str, kind: str, label: str
) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")
    name = (await only(client, kind, namespace))["metadata"]["name"]

    kubectl("-n", namespace, "label", kind, name, f"{label}-")

    await client.until(kind, namespace, name, lambda one: label in one["metadata"]["labels"])


@pytest.mark.parametrize(
    "change",
    [
        '{"spec":{"selector":{"nobody":"has-this"}}}',
        '{"spec":{"type":"ExternalName","externalName":"elsewhere.example.com"}}',
        '{"spec":{"publishNotReadyAddresses":true}}',
        '{"spec":{"ports":[{"name":"http","port":8080,"targetPort":"http"}]}}',
    ],
)
async def test_a_service_that_leads_nowhere_is_put_back(
    client: Client, namespace: str, change: str
) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")

    patch(namespace, "service", "chat", change)

    def leads_to_replicas(one: dict[str, Any]) -> bool:
        spec = one["spec"]
        own = {"modelfleet.dev/model": "chat", "modelfleet.dev/serving": "true"}
        hides = not spec.get("publishNotReadyAddresses")
        ports = [(port["name"], port["port"]) for port in spec["ports"]]
        found = (spec["selector"], spec["type"], ports)
        return bool(found == (own, "ClusterIP", [("http", 80)]) and hides)

    await client.until("Service", namespace, "chat", leads_to_replicas)


async def test_a_child_that_is_refused_keeps_no_other_from_being_made(
    client: Client, namespace: str
) -> None:
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(_no_budgets_in(namespace)))
    try:
        until(lambda: _refuses_budgets(namespace), "the policy never took effect")
        apply(model(namespace))
        found = await client.until(
            "Model",
            namespace,
            "chat",
            lambda one: (
                (condition(one, "Stalled") or {}).get("reason") == "RequestRefused"
                and one["status"]["readyReplicas"] == 1
            ),
        )
    finally:
        kubectl("delete", "-f", "-", stdin=yaml.safe_dump_all(_no_budgets_in(namespace)))

    assert "no budgets here" in (condition(found, "Stalled") or {})["message"]
    await client.until_ready(namespace, "chat")


def _refuses_budgets(namespace: str) -> bool:
    """The API server begins to enforce a new policy some time after it has taken it."""
    asked = ("create", "poddisruptionbudget", "any", "--selector=a=b", "--min-available=1")
    said = kubectl("-n", namespace, *asked, "--dry-run=server", check=False)
    return "no budgets here" in said


def _no_budgets_in(namespace: str) -> list[dict[str, Any]]:
    """Return an admission policy that refuses PodDisruptionBudgets in one namespace."""
    api, name = "admissionregistration.k8s.io/v1", f"no-budgets-{namespace}"
    rule = {
        "apiGroups": ["policy"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["poddisruptionbudgets"],
    }
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "message": "no budgets here"}],
    }
    binding = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": here},
    }
    return [
        {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}
        for kind, spec in (
            ("ValidatingAdmissionPolicy", policy),
            ("ValidatingAdmissionPolicyBinding", binding),
        )
    ]


async def test_a_running_model_heals_without_its_engine(client: Client, namespace: str) -> None:
    apply(engine(namespace))
    apply(model(namespace, engine={"name": namespace}))
    await client.until_ready(namespace, "chat")
    deployment = (await only(client, "Deployment", namespace))["metadata"]

    kubectl("delete", "engine", namespace)
    kubectl("-n", namespace, "delete", "deployment", deployment["name"])

    await client.until(
        "Deployment",
        namespace,
        deployment["name"],
        lambda one: one["metadata"]["uid"] != deployment["uid"],
    )


async def test_somebody_elses_deployment_with_our_labels_is_left_alone(
    client: Client, namespace: str
) -> None:
    labels = {
        "app.kubernetes.io/managed-by": "modelfleet",
        "modelfleet.dev/model": "chat",
        "modelfleet.dev/revision": "zzzzzzzzzz",
    }
    own = {"app": "mine"}
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "mine", "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": own},
            "template": {
                "metadata": {"labels": own},
                "spec": {"containers": [{"name": "c", "image": "example.com/c:1"}]},
            },
        },
    }
    apply(theirs)
    apply(model(namespace))
    await client.until_ready(namespace, "chat")
    patch(namespace, "model", "chat", '{"spec":{"replicas":2}}')
    await client.until_ready(namespace, "chat")

    assert await client.find("Deployment", namespace, "mine") is not None


async def test_somebody_elses_pod_with_our_labels_is_left_alone(
    client: Client, namespace: str
) -> None:
    apply(model(namespace))
    revision = revision_of(await client.until_ready(namespace, "chat"))
    labels = {"modelfleet.dev/model": "chat", "modelfleet.dev/revision": revision}
    theirs = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "theirs", "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "example.com/c:1"}]},
    }
    apply(theirs)
    await client.until(
        "Pod", namespace, "theirs", lambda one: one.get("status", {}).get("phase") == "Running"
    )
    patch(namespace, "model", "chat", '{"spec":{"replicas":3}}')
    await client.until(
        "Deployment",
        namespace,
        f"chat-{revision}",
        lambda one: one.get("status", {}).get("readyReplicas") == 3,
    )

    found = await client.until_ready(namespace, "chat")

    theirs_now = await client.find("Pod", namespace, "theirs")
    assert theirs_now is not None
    assert "modelfleet.dev/serving" not in theirs_now["metadata"]["labels"]
    assert found["status"]["replicas"] == 3


async def test_what_holds_a_new_model_back_is_told(client: Client, namespace: str) -> None:
    apply(model(namespace))
    await client.until_ready(namespace, "chat")
    patch(namespace, "service", "chat", '{"metadata":{"finalizers":["example.com/hold"]}}')
    kubectl("-n", namespace, "delete", "model", "chat")

    apply(model(namespace))

    try:
        await client.until(
            "Model",
            namespace,
            "chat",
            lambda one: "Service chat" in (condition(one, "Ready") or {}).get("message", ""),
        )
    finally:
        patch(namespace, "service", "chat", '{"metadata":{"finalizers":null}}')
