"""The gateway of the chart: found through its Service, and allowed what it needs and no more."""

import json
import urllib.request
from typing import Any

import pytest

from chart.helm import NAMESPACE, Helm, merged
from chart.installed import InstalledGateway, InstalledOperator
from chart.served import TEAM
from support.manifests import model
from support.running import Client, apply, kubectl

pytestmark = pytest.mark.usefixtures("no_models_left")

FAST = {"sim.modelfleet.dev/pull-seconds": "0", "sim.modelfleet.dev/load-seconds": "0.2"}
ONE: dict[str, Any] = {"gateway": {"enabled": True, "replicas": 1}}


def _chat() -> dict[str, Any]:
    body = model(TEAM, podTemplate={"annotations": FAST}, drain={"timeoutSeconds": 1})
    body["metadata"]["annotations"] = {"modelfleet.dev/sleep": "1"}
    return body


@pytest.mark.parametrize("values", [{}, {"watchNamespaces": [TEAM]}], ids=["all", "one-namespace"])
async def test_it_wakes_a_model_that_sleeps(
    helm4: Helm, client: Client, values: dict[str, Any]
) -> None:
    helm4.install(merged(ONE, values))
    (pod,) = await client.list("Pod", NAMESPACE, "app.kubernetes.io/component=gateway")
    with InstalledOperator(), InstalledGateway(pod["status"]["podIP"]) as gateway:
        apply(_chat())
        await client.until("EndpointSlice", TEAM, "chat-activator", lambda one: one["endpoints"])
        url = await client.until_served(TEAM, "chat")
        with urllib.request.urlopen(f"{url}/v1/models", timeout=60) as found:
            assert json.load(found)["data"][0]["id"] == "chat"
        assert gateway.metric("modelfleet_gateway_requests_total") >= 1


def test_it_may_read_no_secret_and_delete_nothing(helm4: Helm) -> None:
    helm4.install(ONE)
    account = f"system:serviceaccount:{NAMESPACE}:modelfleet-gateway"

    for verb, kind in [("get", "secrets"), ("delete", "models"), ("create", "models"),
                       ("patch", "endpointslices"), ("list", "pods")]:  # fmt: skip
        told = kubectl("auth", "can-i", verb, kind, "-A", "--as", account, check=False)
        assert told.strip().endswith("no"), (verb, kind)
