"""Simulated machines as Node objects. Pure: who creates them is in `fleet`."""

from collections.abc import Mapping
from typing import Any

from devcluster import network
from devcluster.options import Pool

Manifest = dict[str, Any]

POOL_LABEL = "devcluster/pool"
LOST_ANNOTATION = "sim.modelfleet.dev/lost"
ZONES = ("zone-a", "zone-b", "zone-c")
SETTINGS = ("taint", "cpu", "memory", "pods", "resource", "zone", "instance-type")
"""Extras of a pool that are not labels."""

CONDITIONS = (
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    (
        "MemoryPressure",
        "False",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    ),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)


def node_for(pool: Pool, index: int, number: int, version: str, now: str) -> Manifest:
    """Build node `index` of `pool`, ready from the start.

    `number` is unique in the cluster and gives the address; `version` is Kubernetes' (v1.2.3);
    `now` is an RFC 3339 time.
    """
    name = f"{pool.name}-{index}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": _labels(pool, index, name)},
        "spec": {"taints": _taints(pool)},
        "status": _status(name, _capacity(pool), network.node_address(number), version, now),
    }


def control_plane(version: str, now: str) -> Manifest:
    """Build the node that stands for this machine. kube-proxy looks for it; no pod runs there."""
    role = "node-role.kubernetes.io/control-plane"
    name = "control-plane"
    capacity = {"cpu": "2", "memory": "4Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**_platform(name), role: ""}},
        "spec": {"taints": [{"key": role, "effect": "NoSchedule"}]},
        "status": _status(name, capacity, network.API_ADDRESS, version, now),
    }


def _labels(pool: Pool, index: int, name: str) -> dict[str, str]:
    kind = f"sim-{pool.gpus}x-{pool.product.lower()}" if pool.gpus else "sim-cpu"
    labels = {
        **_platform(name),
        POOL_LABEL: pool.name,
        "node.kubernetes.io/instance-type": pool.extras.get("instance-type", kind),
        "topology.kubernetes.io/region": "sim",
        "topology.kubernetes.io/zone": pool.extras.get("zone", ZONES[index % len(ZONES)]),
    }
    if pool.gpus and _resource(pool) == "nvidia.com/gpu":
        labels["nvidia.com/gpu.present"] = "true"
        labels["nvidia.com/gpu.product"] = pool.product
        labels["nvidia.com/gpu.count"] = str(pool.gpus)
    return labels | {k: v for k, v in pool.extras.items() if k not in SETTINGS}


def _platform(name: str) -> dict[str, str]:
    return {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    }


def _resource(pool: Pool) -> str:
    return pool.extras.get("resource", "nvidia.com/gpu")


def _taints(pool: Pool) -> list[Mapping[str, str]]:
    if pool.extras.get("taint") != "true":
        return []
    return [{"key": _resource(pool), "value": "present", "effect": "NoSchedule"}]


def _capacity(pool: Pool) -> dict[str, str]:
    capacity = {
        "cpu": pool.extras.get("cpu", "128"),
        "memory": pool.extras.get("memory", "1Ti"),
        "ephemeral-storage": "4Ti",
        "pods": pool.extras.get("pods", "250"),
    }
    return capacity | ({_resource(pool): str(pool.gpus)} if pool.gpus else {})


def _status(
    name: str, capacity: Mapping[str, str], address: str, version: str, now: str
) -> Manifest:
    return {
        "capacity": capacity,
        "allocatable": capacity,
        "addresses": [
            {"type": "InternalIP", "address": address},
            {"type": "Hostname", "address": name},
        ],
        "conditions": [_condition(*condition, now) for condition in CONDITIONS],
        "nodeInfo": _node_info(version),
    }


def _condition(kind: str, status: str, reason: str, message: str, now: str) -> Mapping[str, str]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }


def _node_info(version: str) -> Mapping[str, str]:
    return {
        "architecture": "amd64",
        "operatingSystem": "linux",
        "osImage": "simulated",
        "kernelVersion": "simulated",
        "containerRuntimeVersion": "containerd://simulated",
        "kubeletVersion": version,
        "kubeProxyVersion": version,
        "bootID": "",
        "machineID": "",
        "systemUUID": "",
    }
