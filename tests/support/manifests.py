"""Objects as users write them, with only what a test is about."""

from importlib.resources import files
from typing import Any

import yaml

from modelfleet import engines

API_VERSION = "modelfleet.dev/v1alpha1"
SIMULATED = "sim.modelfleet.dev/"


def model(namespace: str, name: str = "chat", **spec: Any) -> dict[str, Any]:
    """Return a Model on CPU by default."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Model",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "source": {"uri": "hf://Qwen/Qwen2.5-7B-Instruct"},
            "engine": {"name": "vllm"},
            **spec,
        },
    }


def failing(namespace: str, how: str, name: str = "chat", **spec: Any) -> dict[str, Any]:
    """Return a Model whose pods fail as devcluster plays it."""
    template = {"annotations": {f"{SIMULATED}fail": how}}
    return model(namespace, name, podTemplate=template, **spec)


def vllm(name: str, pre_stop_seconds: int) -> dict[str, Any]:
    """Return vLLM under another name; its pods wait so long for routes to move away."""
    text = files(engines).joinpath("vllm.yaml").read_text()
    document: dict[str, Any] = yaml.safe_load(text)
    document["metadata"]["name"] = name
    document["spec"].setdefault("drain", {})["preStopSeconds"] = pre_stop_seconds
    return document


def pool(name: str, **labels: str) -> dict[str, Any]:
    """Return a pool of the nodes with these labels."""
    return {
        "apiVersion": API_VERSION,
        "kind": "GPUNodePool",
        "metadata": {"name": name},
        "spec": {
            "nodeSelector": labels,
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        },
    }


def engine(name: str, **spec: Any) -> dict[str, Any]:
    """Return a small Engine that reads from Hugging Face."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Engine",
        "metadata": {"name": name},
        "spec": {
            "image": "example.com/engine:1.0",
            "port": 8000,
            "args": [{"values": ["--model", "{model}"]}],
            "sources": [{"scheme": "hf", "model": "{path}"}],
            "probes": {"startup": "/health", "readiness": "/health", "liveness": "/health"},
            "drain": {"onSigterm": "Finishes"},
            **spec,
        },
    }
