"""A Model on the cluster, with what tests do to it."""

import json
import re
from typing import Any

from kind.cluster import PATIENCE, Object, eventually, kubectl, objects
from modelfleet.api import labels
from support.running import is_ready

KINDS = (
    "pods,deployments,replicasets,services,endpointslices,controllerrevisions,"
    "poddisruptionbudgets,serviceaccounts"
)

BUSY = re.compile(
    r"^(llamacpp:requests_processing|vllm:num_requests_running\S*) [1-9]", re.MULTILINE
)


class Served:
    """One Model in a namespace of its own."""

    def __init__(self, namespace: str, name: str, patience: float = PATIENCE) -> None:
        """`patience` is for its start, in seconds."""
        self.namespace, self.name = namespace, name
        self._patience = patience
        self.url = f"http://{name}.{namespace}.svc.cluster.local/v1/chat/completions"

    def read(self) -> Object:
        """Return the Model."""
        found: Object = json.loads(self._kubectl("get", "model", self.name, "-o", "json"))
        return found

    def pods(self, revision: str | None = None) -> list[Object]:
        """Return its pods, leaving ones included, or those of one revision."""
        return [
            pod
            for pod in objects("pods", "-n", self.namespace, "-l", f"{labels.MODEL}={self.name}")
            if revision in (None, pod["metadata"]["labels"][labels.REVISION])
        ]

    def children(self) -> list[str]:
        """Return everything that was made for it."""
        selector = f"{labels.MODEL}={self.name}"
        return self._kubectl("get", KINDS, "-l", selector, "-o", "name").split()

    @property
    def revision(self) -> str:
        """The revision that its spec asks for."""
        found: str = self.read()["status"]["currentRevision"]
        return found

    def patch(self, **spec: Any) -> None:
        """Change its spec."""
        merge = json.dumps({"spec": spec})
        self._kubectl("patch", "model", self.name, "--type=merge", "-p", merge)

    def scale(self, replicas: int) -> None:
        """Ask for so many replicas, and wait until that is so and no more pods are there."""
        self._kubectl("scale", "model", self.name, f"--replicas={replicas}")
        self.until_ready()
        eventually(lambda: len(self.pods()) == replicas, f"not {replicas} pods of {self.name}")

    def delete_pod(self, *flags: str) -> None:
        """Delete its only pod, and do not wait for its end."""
        (pod,) = self.pods()
        self._kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false", *flags)

    def delete(self) -> None:
        """Delete it, and do not wait for its end."""
        self._kubectl("delete", "model", self.name, "--wait=false")

    def until_ready(self) -> None:
        """Wait until it is ready at its newest generation."""
        eventually(lambda: is_ready(self.read()), f"{self.name} is not ready", self._patience)

    def until_busy(self) -> None:
        """Wait until its only pod answers somebody, by what it says itself."""
        (pod,) = self.pods()
        (container,) = pod["spec"]["containers"]
        port = container["ports"][0]["containerPort"]
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}:{port}"
        eventually(lambda: BUSY.search(kubectl("get", "--raw", f"{path}/proxy/metrics")), "idle")

    def _kubectl(self, *words: str) -> str:
        return kubectl("-n", self.namespace, *words)
