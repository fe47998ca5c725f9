"""What two clusters with one Model of one spec have in common."""

from collections import Counter
from typing import Any

from support.fake_cluster import FakeCluster

SERVER_SET = ("uid", "resourceVersion", "generation", "creationTimestamp", "ownerReferences")


def shape(cluster: FakeCluster) -> dict[str, Any]:
    """All that two clusters with one spec have in common."""
    wanted = cluster.status().current_revision
    children = {
        key: _written(found)
        for key, found in cluster.children().items()
        if key[0] != "ControllerRevision" or key[1] == f"chat-{wanted}"
    }
    ready = cluster.condition("Model", "chat")
    return {
        "children": children,
        "pods": Counter((pod.revision, pod.ready, bool(pod.node)) for pod in cluster.pods()),
        "status": (wanted, ready and (ready.status, ready.reason)),
    }


def _written(found: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: one for key, one in found["metadata"].items() if key not in SERVER_SET}
    told = ("status", "revision", "metadata")
    return {**{key: one for key, one in found.items() if key not in told}, "metadata": metadata}
