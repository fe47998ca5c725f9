"""Kinds as the API server's paths know them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from modelfleet.api.labels import GROUP


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place to send a request to, with the kind to count it under."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind and where its objects live."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As manifests write it: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def all(self, namespace: str | None = None) -> Endpoint:
        """Return the collection: of one namespace, or everywhere."""
        return Endpoint(self.kind, self._collection(namespace))

    def at(self, namespace: str | None, name: str, subresource: str = "") -> Endpoint:
        """Return one object; `subresource` as in `status`."""
        path = f"{self._collection(namespace)}/{quote(name, safe='')}"
        return Endpoint(self.kind, f"{path}/{subresource}" if subresource else path)

    def _collection(self, namespace: str | None) -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if self.namespaced and namespace:
            return f"{root}/namespaces/{quote(namespace, safe='')}/{self.plural}"
        return f"{root}/{self.plural}"


PODS = Resource("", "v1", "pods", "Pod")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
SERVICES = Resource("", "v1", "services", "Service")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
PERSISTENT_VOLUME_CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet")
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
CONTROLLER_REVISIONS = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
JOBS = Resource("batch", "v1", "jobs", "Job")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
HTTP_ROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
INFERENCE_POOLS = Resource("inference.networking.k8s.io", "v1", "inferencepools", "InferencePool")
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)
MODELS = Resource(GROUP, "v1alpha1", "models", "Model")
GPU_NODE_POOLS = Resource(GROUP, "v1alpha1", "gpunodepools", "GPUNodePool", namespaced=False)
AUTOSCALING_POLICIES = Resource(GROUP, "v1alpha1", "autoscalingpolicies", "AutoscalingPolicy")
ENGINES = Resource(GROUP, "v1alpha1", "engines", "Engine", namespaced=False)
COST_BUDGETS = Resource(GROUP, "v1alpha1", "costbudgets", "CostBudget")


def _by_kind(resources: Iterable[object]) -> Mapping[str, Resource]:
    return MappingProxyType({r.kind: r for r in resources if isinstance(r, Resource)})


BY_KIND = _by_kind(tuple(globals().values()))
"""Every resource above. A kind's name is unique among them."""


def resource_of(manifest: Mapping[str, Any]) -> Resource:
    """Return where `manifest` belongs. Raises KeyError for a kind that we do not know."""
    return BY_KIND[manifest["kind"]]


def endpoint_of(manifest: Mapping[str, Any], subresource: str = "") -> Endpoint:
    """Return the place of `manifest`, an object with `kind` and `metadata`."""
    metadata = manifest["metadata"]
    return resource_of(manifest).at(metadata.get("namespace"), metadata["name"], subresource)
