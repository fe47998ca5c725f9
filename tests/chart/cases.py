"""For each value of the chart: another one than its default, and what else it needs to matter."""

from collections.abc import Mapping
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple

from chart.helm import at, merged


class Case(NamedTuple):
    """A value that is not the default. `needs` are values under which it makes a difference."""

    value: Any
    needs: Mapping[str, Any] = MappingProxyType({})


DIGEST = f"sha256:{'0123456789abcdef' * 4}"
TEAMS = ["team-a", "team-b"]
POLICY = at("networkPolicy.enabled", True)
GATEWAY = at("gateway.enabled", True)
AFFINITY = {
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "Exists"}]}
        ]
    }
}
SPREAD = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}


def _monitor(kind: str) -> dict[str, Any]:
    return at(f"metrics.{kind}.enabled", True)


CASES = MappingProxyType(
    {
        "nameOverride": Case("fleet"),
        "fullnameOverride": Case("fleet-operator"),
        "commonLabels": Case({"cost-centre": "0042"}),
        "replicas": Case(3),
        "image.registry": Case("registry.example:5000"),
        "image.repository": Case("platform/modelfleet"),
        "image.tag": Case("1.2.3-rc.1"),
        "image.digest": Case(DIGEST),
        "image.pullPolicy": Case("Always"),
        "imagePullSecrets": Case([{"name": "registry"}]),
        "watchNamespaces": Case(TEAMS),
        "workers": Case(4),
        "resyncSeconds": Case(60),
        "shutdownSeconds": Case(40),
        "leaderElection.leaseSeconds": Case(30),
        "leaderElection.renewSeconds": Case(12),
        "leaderElection.retrySeconds": Case(1.5),
        "log.level": Case("DEBUG"),
        "log.format": Case("text"),
        "extraEnv": Case([{"name": "MODELFLEET_CONNECTIONS", "value": "32"}]),
        "resources.requests": Case({"cpu": "1", "memory": "512Mi"}),
        "resources.limits": Case({"memory": "2Gi"}),
        "podSecurityContext": Case({"runAsUser": 1000}),
        "securityContext": Case({"runAsGroup": 1000}),
        "deploymentAnnotations": Case({"owner": "platform"}),
        "podAnnotations": Case({"owner": "platform"}),
        "podLabels": Case({"tier": "control"}),
        "nodeSelector": Case({"node-role.kubernetes.io/infra": ""}),
        "tolerations": Case([{"key": "infra", "operator": "Exists", "effect": "NoSchedule"}]),
        "affinity": Case({"nodeAffinity": AFFINITY}),
        "topologySpreadConstraints": Case([SPREAD]),
        "priorityClassName": Case("system-cluster-critical"),
        "gateway.enabled": Case(True),
        "gateway.replicas": Case(3, GATEWAY),
        "gateway.mostRequests": Case(50, GATEWAY),
        "gateway.mostBytes": Case(1_000_000, GATEWAY),
        "gateway.totalBytes": Case(9_000_000, GATEWAY),
        "gateway.holdSeconds": Case(90, GATEWAY),
        "gateway.leaveSeconds": Case(8, GATEWAY),
        "gateway.shutdownSeconds": Case(30, GATEWAY),
        "gateway.resources.requests": Case({"cpu": "1"}, GATEWAY),
        "gateway.resources.limits": Case({"memory": "2Gi"}, GATEWAY),
        "podDisruptionBudget.enabled": Case(False),
        "serviceAccount.create": Case(False),
        "serviceAccount.name": Case("fleet-robot"),
        "serviceAccount.annotations": Case({"owner": "platform"}),
        "rbac.create": Case(False),
        "rbac.aggregate": Case(False),
        "crds.enabled": Case(False),
        "crds.keep": Case(False),
        "crds.refuseLossyDowngrade": Case(False),
        "crds.annotations": Case({"argocd.argoproj.io/sync-options": "ServerSideApply=true"}),
        "networkPolicy.enabled": Case(True),
        "networkPolicy.metricsFrom": Case([{"namespaceSelector": {}}], POLICY),
        "networkPolicy.apiServerPorts": Case([16443], POLICY),
        "networkPolicy.apiServerCIDRs": Case(["10.0.0.0/16", "fd00::/8"], POLICY),
        "metrics.port": Case(9090),
        "metrics.service.enabled": Case(False),
        "metrics.service.annotations": Case({"owner": "platform"}),
        "metrics.serviceMonitor.enabled": Case(True),
        "metrics.serviceMonitor.labels": Case({"release": "p"}, _monitor("serviceMonitor")),
        "metrics.serviceMonitor.interval": Case("30s", _monitor("serviceMonitor")),
        "metrics.podMonitor.enabled": Case(True),
        "metrics.podMonitor.labels": Case({"release": "p"}, _monitor("podMonitor")),
        "metrics.podMonitor.interval": Case("30s", _monitor("podMonitor")),
        "metrics.prometheusRule.enabled": Case(True),
        "metrics.prometheusRule.labels": Case({"release": "p"}, _monitor("prometheusRule")),
    }
)
"""By path in values.yaml."""

MAIN: tuple[tuple[dict[str, Any], ...], ...] = (
    ({}, at("replicas", 1)),
    ({}, at("watchNamespaces", TEAMS)),
    ({}, at("crds.enabled", False)),
    ({}, at("rbac.create", False)),
    ({}, {"serviceAccount": {"create": False, "name": "robot"}}),
    ({}, merged(POLICY, GATEWAY)),
    (
        {},
        merged(_monitor("serviceMonitor"), _monitor("prometheusRule")),
        _monitor("podMonitor"),
        at("metrics.service.enabled", False),
    ),
)
"""The values that decide which objects there are, and the choices for each."""


def combinations() -> list[dict[str, Any]]:
    """Return each choice of the main values with each other."""
    made: list[dict[str, Any]] = []
    for chosen in product(*MAIN):
        values: dict[str, Any] = {}
        for one in chosen:
            values = merged(values, one)
        made.append(values)
    return made
