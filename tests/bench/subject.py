"""The Models that are measured, and all that a run needs beside them."""

import asyncio
from collections.abc import Iterable
from typing import Any

from modelfleet.cluster import rest
from modelfleet.cluster.session import Session
from tests.support.running import kubectl

NAMESPACE = "bench"
IN_FLIGHT = 16
"""Requests at once, of whoever creates the Models."""

POOL: dict[str, Any] = {
    "apiVersion": "modelfleet.dev/v1alpha1",
    "kind": "GPUNodePool",
    "metadata": {"name": "h100"},
    "spec": {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}},
}


def model(name: str, **spec: Any) -> dict[str, Any]:
    """Return a Model of one replica with one GPU."""
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "source": {"uri": "hf://Qwen/Qwen2.5-7B-Instruct"},
            "engine": {"name": "vllm", "args": ["--max-model-len=8192"]},
            "resources": {"gpus": 1, "cpu": "4", "memory": "32Gi"},
            "nodePools": ["h100"],
            **spec,
        },
    }


def names(count: int) -> list[str]:
    """Return the names of that many Models."""
    return [f"model-{number:04d}" for number in range(count)]


def prepare() -> None:
    """Install the kinds and make the namespace."""
    kubectl("apply", "--server-side", "-f", "crds")
    kubectl("wait", "--for=condition=Established", "-f", "crds", "--timeout=60s")
    kubectl("create", "namespace", NAMESPACE)


async def create(client: Session, wanted: Iterable[str]) -> None:
    """Create Models, 16 at once."""
    waiting = iter(wanted)

    async def work() -> None:
        for name in waiting:
            await client.create(rest.MODELS.all(NAMESPACE), model(name))

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
