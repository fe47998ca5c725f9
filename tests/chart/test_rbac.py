"""The operator's roles are what it needs: nothing refused, nothing left over.

The operator runs with the token of the chart's ServiceAccount, through a proxy that keeps what it
asks for, and lives through everything that makes it ask for something.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chart.helm import NAMESPACE, Helm, at
from chart.installed import InstalledOperator, kubeconfig_file
from chart.rbac import EVERYWHERE, Permission, Recorder, granted, recording
from modelfleet.api import labels
from modelfleet.api.v1alpha1 import KINDS
from modelfleet.cluster import kubeconfig
from support.manifests import API_VERSION, SIMULATED, model, pool
from support.running import Client, apply, is_ready, kubectl, stalled_for

pytestmark = pytest.mark.usefixtures("empty_cluster")

TEAM = "team-a"
H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
NAMED_LIKE_THE_MODEL = ("ServiceAccount", "Service", "PodDisruptionBudget")
NAMED_LIKE_THE_REVISION = ("ControllerRevision", "Deployment")
OLD = {"major": "1", "minor": "33"}
"""The oldest that the chart takes. It lists, where newer ones send lists as watches."""

PATIENT = {"leaderElection": {"leaseSeconds": 60, "renewSeconds": 40}}
"""A slow machine is not to be seen as a lost leader: this is not about that."""

NOT_SEEN = {
    ("modelfleet.dev", "models/finalizers", "update"),
    ("", "configmaps", "delete"),
}
"""Asked for by an admission plugin, on clusters that have it switched on, not by us; and by the
ledger when a month is older than it keeps."""


def chat(name: str = "chat", **spec: Any) -> dict[str, Any]:
    """Return a Model on one GPU that is ready at once and keeps one old revision."""
    quick = {"pull-seconds": "0", "load-seconds": "0.2"}
    asked: dict[str, Any] = {
        "resources": {"gpus": 1},
        "revisionHistoryLimit": 1,
        "drain": {"timeoutSeconds": 1},
        "podTemplate": {"annotations": {f"{SIMULATED}{key}": one for key, one in quick.items()}},
    }
    return model(TEAM, name, **(asked | spec))


def with_arguments(length: int, **spec: Any) -> dict[str, Any]:
    """Return the Model with other arguments: another revision."""
    return chat(engine={"name": "vllm", "args": [f"--max-model-len={length}"]}, **spec)


@contextmanager
def operating(recorder: Recorder) -> Iterator[None]:
    """Run the installed operator; it must have stayed alive."""
    with InstalledOperator(recorder.url) as operator:
        yield
        assert operator.is_running(), operator.log


async def grow_and_shrink(client: Client) -> None:
    """Create, update three times, scale up and down; lose a child."""
    for spec in (chat(), with_arguments(1024), with_arguments(2048), with_arguments(4096)):
        apply(spec)
        await client.until("Model", TEAM, "chat", _is_settled)
    for replicas in (3, 1):
        kubectl("-n", TEAM, "scale", "model", "chat", f"--replicas={replicas}")
        await client.until("Model", TEAM, "chat", lambda one: _has(one, replicas))  # noqa: B023
    before = await client.until("Service", TEAM, "chat", lambda _: True)
    kubectl("-n", TEAM, "delete", "service", "chat")
    uid = before["metadata"]["uid"]
    await client.until("Service", TEAM, "chat", lambda one: one["metadata"]["uid"] != uid)


async def canary(client: Client) -> None:
    """Start a canary and promote it."""
    rollout = {"strategy": "Canary", "canary": {"steps": [{"weight": 50, "durationSeconds": 600}]}}
    apply(with_arguments(4096, replicas=2, rollout=rollout))
    await client.until("Model", TEAM, "chat", lambda one: _has(one, 2))
    apply(with_arguments(8192, replicas=2, rollout=rollout))
    begun = await client.until("Model", TEAM, "chat", lambda one: "rollout" in one["status"])
    promoted = f"{labels.PROMOTE}={begun['status']['currentRevision']}"
    kubectl("-n", TEAM, "annotate", "model", "chat", promoted)
    await client.until("Model", TEAM, "chat", _is_settled)


async def meet_namesakes(client: Client) -> None:
    """Find every kind of child there already, as somebody else's."""
    kinds = (*NAMED_LIKE_THE_MODEL, *NAMED_LIKE_THE_REVISION)
    donor = await client.until_ready(TEAM, "chat")
    revision = donor["status"]["currentRevision"]
    spec = {key: one for key, one in donor["spec"].items() if key != "rollout"} | {"replicas": 1}
    for kind in kinds:
        name = f"taken-{kind.lower()}"
        suffix = f"-{revision}" if kind in NAMED_LIKE_THE_REVISION else ""
        (child, *_) = await client.list(kind, TEAM, f"{labels.MODEL}=chat")
        apply(_somebody_elses(kind, f"{name}{suffix}", child))
        apply(chat(name) | {"spec": spec})
    for kind in kinds:
        await client.until("Model", TEAM, f"taken-{kind.lower()}", stalled_for("NameTaken"))


def _somebody_elses(kind: str, name: str, child: dict[str, Any]) -> dict[str, Any]:
    kept = {key: child[key] for key in ("data", "revision", "spec") if key in child}
    if kind == "Service":
        kept["spec"] = {"ports": [{"port": 80}]}
    if kind == "Deployment":
        kept["spec"]["replicas"] = 0
    groups = {"Deployment": "apps/v1", "ControllerRevision": "apps/v1"}
    version = groups.get(kind, "policy/v1" if kind == "PodDisruptionBudget" else "v1")
    metadata = {"name": name, "namespace": TEAM}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **kept}


async def follow_a_policy(client: Client) -> None:
    """Have a policy, whose status says whether it can be followed."""
    head = {"apiVersion": API_VERSION, "kind": "AutoscalingPolicy"}
    limits = {"signals": {"concurrencyPerReplica": 16}, "maxReplicas": 4}
    apply(head | {"metadata": {"name": "busy", "namespace": TEAM}, "spec": limits})
    await client.until("AutoscalingPolicy", TEAM, "busy", _is_current)


async def sleep_and_wake(client: Client) -> None:
    """Have a Model led to a gateway, and awake again, and one whose way there is taken."""
    apply(_slice("modelfleet-gateway-1", NAMESPACE, {labels.SERVICE_NAME: "modelfleet-gateway"}))
    apply(_slice("taken-slice-activator", TEAM, {}))
    taken = chat("taken-slice")
    taken["metadata"]["annotations"] = {labels.SLEEP: "1"}
    apply(taken)
    await client.until("Model", TEAM, "taken-slice", stalled_for("NameTaken"))
    sleeper = chat("sleeper")
    sleeper["metadata"]["annotations"] = {labels.SLEEP: "1"}
    apply(sleeper)
    await client.until("EndpointSlice", TEAM, "sleeper-activator", lambda one: one["endpoints"])
    kubectl("-n", TEAM, "annotate", "model", "sleeper", f"{labels.SLEEP}-")
    await client.until_ready(TEAM, "sleeper")
    kubectl("-n", TEAM, "delete", "model", "sleeper")


def _slice(name: str, namespace: str, labelled: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": labelled},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.244.255.250"], "conditions": {"ready": True}}],
        "ports": [{"name": "metrics", "port": 8080}],
    }


async def change_a_pool(client: Client, *selectors: dict[str, str]) -> None:
    """Have a pool of no nodes, or of some: each change is an event."""
    for selector in selectors:
        apply(pool("h100", **selector))
        await client.until("GPUNodePool", "", "h100", _is_current)


async def ask_for_an_engine(client: Client, *names: str) -> None:
    """Ask for engines that there are, or are not: each change is an event."""
    for name in names:
        apply(chat("fickle", engine={"name": name}, replicas=0))
        await client.until("Model", TEAM, "fickle", _is_current)


def _is_current(one: dict[str, Any]) -> bool:
    seen: int = one.get("status", {}).get("observedGeneration", -1)
    return seen == one["metadata"]["generation"]


def _is_settled(one: dict[str, Any]) -> bool:
    return is_ready(one) and "rollout" not in one["status"]


def _has(one: dict[str, Any], replicas: int) -> bool:
    return _is_settled(one) and one["status"]["replicas"] == replicas


async def live(client: Client, recorder: Recorder) -> None:
    """Live through everything, with two operators: the second says again what the first said."""
    with operating(recorder):
        await change_a_pool(client, {"no-node": "has-this"}, H100)
        apply(_engine())
        await client.until("Engine", "", "custom", _is_current)
        await ask_for_an_engine(client, "vllm", "unheard-of", "vllm")
        await follow_a_policy(client)
        await sleep_and_wake(client)
        await grow_and_shrink(client)
        await canary(client)
        await meet_namesakes(client)
    recorder.version = OLD
    with operating(recorder):
        await change_a_pool(client, {"no-node": "has-this"}, H100)
        await ask_for_an_engine(client, "unheard-of")
        kubectl("-n", TEAM, "delete", "model", "chat")
        kubectl("-n", TEAM, "wait", "--for=delete", "deployment", "-l", _OF_CHAT, "--timeout=60s")


_OF_CHAT = f"{labels.MODEL}=chat"


def _engine() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        kubectl(
            "create",
            "--dry-run=client",
            "-o",
            "json",
            "-f",
            "operator/modelfleet/engines/vllm.yaml",
        )
    )
    return found | {"metadata": {"name": "custom"}}


def unused(grants: Iterable[Permission], needs: set[Permission]) -> list[str]:
    """Return what is granted and nothing needed."""
    return sorted(
        str(grant)
        for grant in grants
        if not any(grant.covers(need) for need in needs)
        and (grant.group, grant.resource, grant.verb) not in NOT_SEEN
    )


@pytest.mark.parametrize("namespaces", [[], [TEAM]], ids=["everywhere", "namespaced"])
async def test_roles_are_what_the_operator_needs(
    helm4: Helm, client: Client, namespaces: list[str]
) -> None:
    values = at("watchNamespaces", namespaces) | PATIENT
    helm4.install(values)
    grants = granted(helm4.objects(values))

    account = kubeconfig.find(str(kubeconfig_file()))
    with recording(account) as recorder:
        try:
            await live(client, recorder)
        finally:
            _clean()

    assert sorted(map(str, recorder.denied)) == []
    assert unused(grants, recorder.needs) == []
    assert [str(one) for one in recorder.needs if not any(g.covers(one) for g in grants)] == []


def _clean() -> None:
    kinds = ",".join((*NAMED_LIKE_THE_MODEL, *NAMED_LIKE_THE_REVISION, "EndpointSlice"))
    taken = [
        name
        for name in kubectl("-n", TEAM, "get", kinds, "-o", "name").split()
        if "/taken-" in name
    ]
    kubectl("-n", TEAM, "delete", *taken, check=False)
    kubectl("delete", "models.modelfleet.dev", "--all", "-A", check=False)


def test_a_token_of_the_account_may_not_read_secrets(helm4: Helm) -> None:
    helm4.install()
    account = f"--as=system:serviceaccount:{NAMESPACE}:modelfleet"

    for question in (("get", "secrets"), ("create", "pods"), ("list", "configmaps")):
        assert kubectl("auth", "can-i", *question, "-A", account, check=False).strip() == "no"


def test_the_roles_for_people_extend_the_built_in_ones(helm4: Helm) -> None:
    helm4.install()
    kubectl("-n", TEAM, "create", "rolebinding", "ann", "--clusterrole=view", "--user=ann")
    kubectl("-n", TEAM, "create", "rolebinding", "bob", "--clusterrole=edit", "--user=bob")
    try:
        assert _may("ann") == ["get"]
        assert _may("bob") == ["get", "create", "patch", "delete"]
    finally:
        kubectl("-n", TEAM, "delete", "rolebinding", "ann", "bob")


def _may(user: str) -> list[str]:
    verbs = ("get", "create", "patch", "delete")
    asked = {
        verb: kubectl("-n", TEAM, "auth", "can-i", verb, "models", f"--as={user}", check=False)
        for verb in verbs
    }
    return [verb for verb, answer in asked.items() if answer.strip() == "yes"]


def test_nothing_is_granted_twice_or_with_a_star(helm4: Helm) -> None:
    for namespaces in ([], [TEAM, "team-b"]):
        grants = granted(helm4.objects(at("watchNamespaces", namespaces)))
        assert not any(EVERYWHERE in (one.group, one.resource, one.verb) for one in grants)
        for one in grants:
            assert not [other for other in grants if other != one and other.covers(one)], one


def test_every_kind_is_in_the_roles(helm4: Helm) -> None:
    rendered = helm4.objects()
    watched = {one.resource for one in granted(rendered) if one.verb == "watch"}
    reported = {one.resource for one in granted(rendered) if one.verb == "patch"}
    viewed = _rules(rendered, "modelfleet-view")

    for kind in KINDS:
        plural = kind.names.plural
        assert plural in watched, f"the operator may not watch {plural}"
        assert f"{plural}/status" in reported, f"the operator may not report on {plural}"
        assert plural in viewed, f"people may not look at {plural}"


def _rules(rendered: Iterable[dict[str, Any]], name: str) -> set[str]:
    (role,) = (
        one for one in rendered if one["kind"] == "ClusterRole" and one["metadata"]["name"] == name
    )
    return {resource for rule in role["rules"] for resource in rule["resources"]}
