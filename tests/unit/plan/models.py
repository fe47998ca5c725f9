"""Models and pools of which a test says only what matters to it."""

from typing import Any

from modelfleet.api.v1alpha1 import Engine, GPUNodePool, Model
from modelfleet.engines import built_in

Manifest = dict[str, Any]


def model_with(name: str = "chat", metadata: Manifest | None = None, **spec: Any) -> Model:
    """Return a stored Model for vLLM, with `spec` laid over it."""
    own = {"name": name, "namespace": "team-search", "uid": "11111111-2222-3333-4444-555555555555"}
    body = {"source": {"uri": "hf://Qwen/Qwen2.5-7B-Instruct"}, "engine": {"name": "vllm"}}
    return Model.model_validate({"metadata": own | (metadata or {}), "spec": body | spec})


def engine_named(name: str = "vllm") -> Engine:
    """Return a built-in engine."""
    return built_in()[name]


def engine_with(name: str = "vllm", **spec: Any) -> Engine:
    """Return a built-in engine with `spec` laid over it."""
    written = engine_named(name).model_dump(by_alias=True, exclude_defaults=True)
    return Engine.model_validate(written | {"spec": written["spec"] | spec}, extra="forbid")


def pool_with(name: str = "h100", **spec: Any) -> GPUNodePool:
    """Return a pool that is chosen by its own name."""
    body = {"nodeSelector": {"example.com/pool": name}}
    return GPUNodePool.model_validate({"metadata": {"name": name}, "spec": body | spec})
