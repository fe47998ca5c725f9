"""Creating, losing and removing simulated nodes, through the API server."""

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import count
from typing import Any

from devcluster import building, layout, network, nodes
from devcluster.api import Client, Refused
from devcluster.layout import Layout
from devcluster.nodes import LOST_ANNOTATION, POOL_LABEL, Manifest
from devcluster.options import Pool

PARALLEL = 8
NODES = "/api/v1/nodes"


def register_control_plane(client: Client) -> None:
    """Create the node that kube-proxy looks for, if it is not there."""
    _create(client, nodes.control_plane(building.kubernetes_version(), _now()))


def provide(client: Client, at: Layout, pools: Iterable[Pool]) -> None:
    """Create the nodes of pools that are new or have changed since the last call.

    Nodes of the other pools are left alone, so that one that was removed stays away.
    """
    made = pools_made(at)
    wanted = {pool.name: asdict(pool) for pool in pools}
    for pool in pools:
        if made.get(pool.name) != wanted[pool.name]:
            add(client, pool, range(pool.nodes))
    layout.write(at.pools_file, json.dumps({**made, **wanted}))


def pools_made(at: Layout) -> dict[str, Any]:
    """Return the pools whose nodes were created."""
    if not at.pools_file.exists():
        return {}
    made: dict[str, Any] = json.loads(at.pools_file.read_text())
    return made


def add(client: Client, pool: Pool, indices: Iterable[int]) -> None:
    """Create these nodes of a pool; those that are there already stay as they are."""
    version, now = building.kubernetes_version(), _now()
    manifests = [
        nodes.node_for(pool, index, number, version, now)
        for index, number in zip(indices, _free_numbers(client), strict=False)
    ]
    with ThreadPoolExecutor(PARALLEL) as threads:
        list(threads.map(lambda manifest: _create(client, manifest), manifests))


def next_indices(client: Client, pool: Pool) -> range:
    """Return the indices that come after those of the pool's present nodes."""
    path = f"{NODES}?labelSelector={POOL_LABEL}%3D{pool.name}"
    names = [node["metadata"]["name"] for node in client.call("GET", path)["items"]]
    first = max((int(name.rsplit("-", 1)[1]) + 1 for name in names), default=0)
    return range(first, first + pool.nodes)


def remove(client: Client, name: str) -> None:
    """Take a machine away with all that runs on it, as when it is reclaimed."""
    client.call("DELETE", f"{NODES}/{name}")
    for pod in client.call("GET", f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}")["items"]:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        _tolerating(404, client, "DELETE", path, {"gracePeriodSeconds": 0})


def lose(client: Client, name: str) -> None:
    """Let the kubelet of a node fall silent."""
    _annotate(client, name, {LOST_ANNOTATION: "true"})


def restore(client: Client, name: str) -> None:
    """Let the kubelet of a lost node speak again."""
    _annotate(client, name, {LOST_ANNOTATION: None})


def unready(client: Client) -> list[str]:
    """Return the nodes on which no pod can start yet."""
    listed = client.call("GET", f"{NODES}?resourceVersion=0")["items"]
    return [node["metadata"]["name"] for node in listed if _is_tainted(node)]


def _free_numbers(client: Client) -> Iterator[int]:
    listed = client.call("GET", f"{NODES}?resourceVersion=0")["items"]
    used = {a["address"] for node in listed for a in node["status"].get("addresses", ())}
    return (number for number in count(1) if network.node_address(number) not in used)


def _is_tainted(node: Mapping[str, Any]) -> bool:
    taints = node["spec"].get("taints") or ()
    lost = LOST_ANNOTATION in (node["metadata"].get("annotations") or {})
    return not lost and any(taint["key"] == "node.kubernetes.io/not-ready" for taint in taints)


def _annotate(client: Client, name: str, annotations: Mapping[str, str | None]) -> None:
    client.call("PATCH", f"{NODES}/{name}", {"metadata": {"annotations": annotations}})


def _create(client: Client, manifest: Manifest) -> None:
    _tolerating(409, client, "POST", NODES, manifest)


def _tolerating(status: int, client: Client, method: str, path: str, body: Manifest) -> None:
    try:
        client.call(method, path, body)
    except Refused as error:
        if error.status != status:
            raise


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
