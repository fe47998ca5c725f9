"""Install, upgrade, uninstall, reinstall: what a release brings, and that Models outlive it."""

import json
import re
import textwrap

import pytest

from chart.helm import CRDS_CHART, NAMESPACE, Helm, Refused, at
from chart.installed import InstalledOperator, deployment
from chart.served import TEAM, answer, chat, pods
from modelfleet.api.v1alpha1 import KINDS
from support.manifests import model
from support.running import Client, apply, kubectl, until

pytestmark = pytest.mark.usefixtures("no_models_left")

CRDS = {f"{kind.names.plural}.modelfleet.dev" for kind in KINDS}


def crds() -> set[str]:
    """Return our CRDs by name."""
    found = kubectl("get", "crd", "-o", "name").split()
    return {one.partition("/")[2] for one in found if one.endswith(".modelfleet.dev")}


async def test_models_outlive_the_operator(helm: Helm, client: Client) -> None:
    notes = helm.install()
    assert "kubectl -n modelfleet-system rollout status deployment/modelfleet" in notes
    assert deployment()["status"]["readyReplicas"] == 2
    assert crds() == CRDS
    with InstalledOperator():
        apply(chat())
        await client.until_ready(TEAM, "chat")
    before = await pods(client)

    helm.uninstall()

    assert kubectl("-n", NAMESPACE, "get", "deployment,role,pdb,service", "-o", "name") == ""
    assert kubectl("get", "clusterrole,clusterrolebinding", "-o", "name", "-l", RELEASE) == ""
    assert crds() == CRDS
    assert await pods(client) == before
    assert await answer(client) == "chat"

    helm.install()
    with InstalledOperator():
        apply(chat(replicas=2))
        await client.until_ready(TEAM, "chat")
    after = await pods(client)
    assert len(after) == 2
    assert before.items() <= after.items()


RELEASE = "app.kubernetes.io/instance=modelfleet"


def test_what_the_notes_say_can_be_done(helm: Helm) -> None:
    notes = helm.install(at("watchNamespaces", [TEAM]))
    manifests = re.findall(r"kubectl apply ([^\n]*)-f - <<END\n(.*?)\n *END", notes, re.DOTALL)

    assert len(manifests) == 2
    for flags, manifest in manifests:
        dry = ("apply", "--dry-run=server", "--validate=strict", *flags.split())
        kubectl(*dry, "-f", "-", stdin=textwrap.dedent(manifest))


async def test_an_upgrade_restarts_no_model(helm: Helm, client: Client) -> None:
    helm.install(at("watchNamespaces", [TEAM]))
    with InstalledOperator():
        apply(chat())
        await client.until_ready(TEAM, "chat")
    before = await pods(client)

    helm.upgrade({"replicas": 1, "log": {"format": "text"}})

    assert deployment()["spec"]["replicas"] == 1
    assert kubectl("-n", TEAM, "get", "role", "-o", "name") == ""
    with InstalledOperator() as operator:
        apply(chat(replicas=2))
        await client.until_ready(TEAM, "chat")
        assert operator.metric("modelfleet_leader ") == 1
    assert before.items() <= (await pods(client)).items()


def test_helm_test_asks_the_operator(helm: Helm) -> None:
    helm.install()

    assert "Succeeded" in helm.run("test", "modelfleet", "--namespace", NAMESPACE)


async def test_a_namespaced_operator_leaves_others_alone(helm4: Helm, client: Client) -> None:
    helm4.install(at("watchNamespaces", [TEAM]))
    with InstalledOperator() as operator:
        apply(chat(), model("team-b", "other"))
        await client.until_ready(TEAM, "chat")
        assert await client.list("Deployment", "team-b") == []
        assert operator.get("/readyz")


def test_crds_go_where_they_are_not_to_be_kept(helm: Helm) -> None:
    helm.install(at("crds.keep", False))
    assert crds() == CRDS

    helm.uninstall()

    until(lambda: crds() == set(), "the CRDs are still there")


def test_crds_can_move_into_a_release_of_their_own(helm: Helm) -> None:
    helm.install()
    apply(chat())
    uid = kubectl("-n", TEAM, "get", "model", "chat", "-o", "jsonpath={.metadata.uid}")

    helm.upgrade(at("crds.enabled", False))
    assert crds() == CRDS
    with pytest.raises(Refused, match="ownership"):
        helm.install(chart=CRDS_CHART)
    helm.install(None, "--take-ownership", chart=CRDS_CHART)
    helm.uninstall()

    assert crds() == CRDS
    assert kubectl("-n", TEAM, "get", "model", "chat", "-o", "jsonpath={.metadata.uid}") == uid


def test_crds_that_kubectl_applied_can_be_taken_over(helm: Helm) -> None:
    kubectl("apply", "--server-side", "-f", "crds")

    flags = ["--take-ownership", *(["--force-conflicts"] if helm.major == "4" else [])]
    helm.install(None, *flags)

    owner = kubectl("get", "crd", "models.modelfleet.dev", "-o", "jsonpath={.metadata.annotations}")
    assert json.loads(owner)["meta.helm.sh/release-name"] == "modelfleet"
