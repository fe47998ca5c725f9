"""Values of the world of which a test says only what matters to it.

Everything that is not said is well: a pod is ready on a node, a node is ready and free.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool
from modelfleet.api.v1alpha1.model import Model, ModelStatus
from modelfleet.plan.pools import facts_for
from modelfleet.plan.world import Deployment, Exit, Node, Observed, Pod, Pool, Revision, Waiting

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
GPU = "nvidia.com/gpu"
H100 = "NVIDIA-H100-80GB-HBM3"


def seconds_ago(seconds: float) -> datetime:
    """Return an instant before noon."""
    return NOON - timedelta(seconds=seconds)


def a_model(
    name: str = "chat",
    *,
    replicas: int = 1,
    gpus: int = 1,
    generation: int = 1,
    status: ModelStatus | None = None,
    **spec: Any,
) -> Model:
    """Return a Model for vLLM. Further keywords are fields of its spec, in camelCase."""
    model = Model.model_validate(
        {
            "metadata": {
                "name": name,
                "namespace": "team-search",
                "uid": f"uid-of-{name}",
                "generation": generation,
            },
            "spec": {
                "source": {"uri": "hf://Qwen/Qwen2.5-7B-Instruct"},
                "engine": {"name": "vllm"},
                "replicas": replicas,
                "resources": {"gpus": gpus},
                **spec,
            },
        }
    )
    return model.model_copy(update={"status": status or ModelStatus()})


def an_engine(**spec: Any) -> Engine:
    """Return a small engine named vllm."""
    return Engine.model_validate(
        {
            "metadata": {"name": "vllm"},
            "spec": {
                "image": "vllm/vllm-openai:v0.32.0",
                "port": 8000,
                "sources": [{"scheme": "hf", "model": "{path}"}],
                "probes": {"startup": "/health", "readiness": "/health", "liveness": "/health"},
                "drain": {"onSigterm": "Finishes"},
                "defaults": {"memory": "32Gi"},
                **spec,
            },
        }
    )


def a_pod(name: str = "chat-new-1", **facts: Any) -> Pod:
    """Return a ready replica of revision `new` with one GPU on `node-1`."""
    started: dict[str, Any] = {
        "node": "node-1",
        "requests": ((GPU, 1),),
        "created_at": seconds_ago(100),
        "scheduled_at": seconds_ago(99),
        "started_at": seconds_ago(80),
        "ready_at": seconds_ago(20),
        "ready": True,
    }
    own = {"namespace": "team-search", "model": "chat", "revision": "new", "uid": f"uid-of-{name}"}
    return Pod(name=name, **{**own, **started, **facts})


def a_loading_pod(name: str = "chat-new-1", **facts: Any) -> Pod:
    """Return a replica whose engine runs and is not ready yet."""
    return a_pod(name, **{"ready": False, "ready_at": None, **facts})


def a_pulling_pod(name: str = "chat-new-1", **facts: Any) -> Pod:
    """Return a replica that has a node and no container yet."""
    waits = Waiting("ContainerCreating")
    return a_loading_pod(name, **{"started_at": None, "waiting": waits, **facts})


def a_pending_pod(name: str = "chat-new-1", **facts: Any) -> Pod:
    """Return a replica without a node."""
    return a_pulling_pod(name, **{"node": None, "scheduled_at": None, "waiting": None, **facts})


def a_crashing_pod(
    name: str = "chat-new-1", words: str = "", code: int = 1, reason: str = "Error", **facts: Any
) -> Pod:
    """Return a replica whose container the kubelet will start again after a pause."""
    ended = {
        "started_at": None,
        "restarts": 3,
        "waiting": Waiting("CrashLoopBackOff", "back-off 40s restarting failed container=engine"),
        "last_exit": Exit(code, reason, words),
    }
    return a_loading_pod(name, **{**ended, **facts})


def a_deployment(revision: str = "new", replicas: int = 1, **facts: Any) -> Deployment:
    """Return a revision's Deployment of which all pods exist."""
    own = {"name": f"chat-{revision}", "existing": replicas}
    return Deployment(revision=revision, replicas=replicas, **{**own, **facts})


def a_revision(revision: str = "new", number: int = 1) -> Revision:
    """Return a kept revision."""
    return Revision(name=f"chat-{revision}", hash=revision, number=number, template={})


def a_node(name: str = "node-1", gpus: int = 8, **facts: Any) -> Node:
    """Return a ready node of the pool h100 with so many GPUs."""
    labels = {"pool": "h100", "nvidia.com/gpu.product": H100}
    allocatable = ((GPU, gpus),) if gpus else ()
    return Node(name=name, **{"labels": labels, "allocatable": allocatable, **facts})


def a_pool_object(name: str = "h100", generation: int = 1, **spec: Any) -> GPUNodePool:
    """Return a GPUNodePool that selects by its own name."""
    return GPUNodePool.model_validate(
        {
            "metadata": {"name": name, "generation": generation},
            "spec": {"nodeSelector": {"pool": name}, **spec},
        }
    )


def a_pool(name: str = "h100", free: Sequence[int] = (8,), size: int = 8, **spec: Any) -> Pool:
    """Return a pool with one node of `size` GPUs for each number of free ones."""
    pool = a_pool_object(name, **spec)
    resource = pool.spec.resource_name
    return facts_for(
        pool,
        [
            (
                a_node(f"{name}-{at}", allocatable=((resource, size),), labels={"pool": name}),
                {resource: size - block},
            )
            for at, block in enumerate(free)
        ],
    )


def a_world(
    pods: Iterable[Pod] = (),
    *,
    deployments: Mapping[str, int] | None = None,
    pools: Iterable[Pool] | None = None,
    now: datetime = NOON,
    **facts: Any,
) -> Observed:
    """Return what a decision sees. Without `deployments`, each revision asks for what exists."""
    pods = tuple(pods)
    alive = [pod.revision for pod in pods if not pod.terminating and not pod.finished]
    asked = {one: alive.count(one) for one in alive} if deployments is None else deployments
    known = {
        "engine": an_engine(),
        "revisions": tuple(a_revision(one, at) for at, one in enumerate(sorted(asked), 1)),
        "deployments": {one: a_deployment(one, count) for one, count in asked.items()},
    }
    found = {pool.name: pool for pool in ([a_pool()] if pools is None else pools)}
    return Observed(now=now, pods=pods, pools=found, **{**known, **facts})


def later(world: Observed, seconds: float) -> Observed:
    """Return the same world at another instant."""
    return replace(world, now=world.now + timedelta(seconds=seconds))
