"""The life of a Model in a namespace of its own, step by step, and what is there after each step.

An operator that works for this namespace alone may be killed and started again meanwhile; the
states that it ends up in must not show it.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import orjson

from modelfleet.api import labels
from modelfleet.cluster import rest
from support.proxy import Proxy
from support.requests_seen import Fault, Write
from support.running import Client, Operator, condition, is_ready

NAME = "chat"
PATIENCE = 60.0
"""Seconds until a step counts as stuck. Not an assertion about speed."""

CHILDREN = (
    "ControllerRevision",
    "ServiceAccount",
    "Service",
    "PodDisruptionBudget",
    "Deployment",
)

FAST = {
    "sim.modelfleet.dev/pull-seconds": "0",
    "sim.modelfleet.dev/load-seconds": "0.2",
    "sim.modelfleet.dev/dialect": "vllm",
}


def a_model(namespace: str, **spec: Any) -> dict[str, Any]:
    """Return a Model that takes one GPU and is ready at once."""
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "source": {"uri": "hf://Qwen/Qwen2.5-7B-Instruct"},
            "engine": {"name": "brisk", "args": ["--max-model-len=8192"]},
            "resources": {"gpus": 1, "cpu": "1", "memory": "1Gi"},
            "nodePools": ["h100", "l40s"],
            "drain": {"timeoutSeconds": 1},
            "podTemplate": {"annotations": FAST},
            **spec,
        },
    }


@dataclass
class Life:
    """One Model, what is done to it, and what came of each step."""

    client: Client
    namespace: str
    states: list[dict[str, Any]] = field(default_factory=list)

    async def run(self) -> None:
        """Create, update, scale and delete; note the world after each step."""
        for step in (self.create, self.update, self.scale, self.delete):
            await step()
            await self.note(step.__name__)

    async def create(self) -> None:
        """Create the Model."""
        await self.client.create(rest.MODELS.all(self.namespace), a_model(self.namespace))

    async def update(self) -> None:
        """Ask for other arguments: a new revision."""
        await self._patch({"engine": {"args": ["--max-model-len=4096"]}})

    async def scale(self) -> None:
        """Ask for a second replica."""
        await self._patch({"replicas": 2})

    async def delete(self) -> None:
        """Delete the Model."""
        await self.client.delete(rest.MODELS.at(self.namespace, NAME), {})

    async def _patch(self, spec: dict[str, Any]) -> None:
        await self.client.patch(rest.MODELS.at(self.namespace, NAME), {"spec": spec})

    async def note(self, step: str) -> None:
        """Wait until nothing is under way any more, and remember what there is."""
        state: dict[str, Any] = {}
        deadline = time.monotonic() + PATIENCE
        while not _is_settled(state):
            assert time.monotonic() < deadline, f"{step}: {self.namespace} stays {_shown(state)}"
            await asyncio.sleep(0.1)
            state = await self._world()
        self.states.append({"after": step, **_normal(state, self.namespace)})

    async def _world(self) -> dict[str, Any]:
        kinds = ("Model", "Pod", *CHILDREN)
        found = await asyncio.gather(*(self._list(kind) for kind in kinds))
        return dict(zip(kinds, found, strict=True))

    async def _list(self, kind: str) -> list[dict[str, Any]]:
        ours = "" if kind == "Model" else f"{labels.MODEL}={NAME}"
        return await self.client.list(kind, self.namespace, ours)


def _is_settled(state: dict[str, Any]) -> bool:
    if not state:
        return False
    if not state["Model"]:
        return not any(state.values())
    model, pods = state["Model"][0], state["Pod"]
    replicas = model["spec"]["replicas"]
    at_rest = all("deletionTimestamp" not in pod["metadata"] for pod in pods)
    others = condition(model, "Reconciling") or condition(model, "Stalled")
    return (
        "status" in model
        and is_ready(model)
        and not others
        and "rollout" not in model["status"]
        and at_rest
        and len(state["Deployment"]) == 1
        and len(pods) == replicas == model["status"]["replicas"]
    )


def _normal(state: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return what must be the same in every run: no uids, no times, no addresses."""
    normal: dict[str, Any] = {
        kind: {one["metadata"]["name"]: _object(one) for one in state[kind]} for kind in CHILDREN
    }
    normal["pods"] = sorted(_pod(pod) for pod in state["Pod"])
    normal["status"] = [_status(model["status"]) for model in state["Model"]]
    text: str = orjson.dumps(normal, option=orjson.OPT_SORT_KEYS).decode()
    anonymous: dict[str, Any] = orjson.loads(text.replace(namespace, "NAMESPACE"))
    return anonymous


SERVER_SET = ("clusterIP", "clusterIPs")


def _object(raw: dict[str, Any]) -> dict[str, Any]:
    metadata = raw["metadata"]
    annotations = metadata.get("annotations", {})
    return {
        "labels": metadata.get("labels", {}),
        "annotations": {k: v for k, v in annotations.items() if k != labels.APPLIED},
        "owners": [
            {key: owner[key] for key in owner if key != "uid"}
            for owner in metadata.get("ownerReferences", [])
        ],
        "spec": {k: v for k, v in raw.get("spec", {}).items() if k not in SERVER_SET},
        "data": raw.get("data"),
        "revision": raw.get("revision"),
    }


def _pod(raw: dict[str, Any]) -> tuple[str, int]:
    containers = raw["status"].get("containerStatuses", [])
    return raw["metadata"]["labels"][labels.REVISION], sum(c["restartCount"] for c in containers)


def _status(status: dict[str, Any]) -> dict[str, Any]:
    conditions = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    told = {k: v for k, v in status.items() if k not in ("conditions", "startup", "cost")}
    return {"conditions": conditions, **told}


def _shown(state: dict[str, Any]) -> str:
    model = [one.get("status") for one in state.get("Model", [])]
    pods = [(one["metadata"], one["status"].get("phase")) for one in state.get("Pod", [])]
    return f"{model} with {len(state.get('Deployment', ()))} Deployments and pods {pods}"


@dataclass
class Outcome:
    """What a life came to."""

    writes: list[Write]
    states: list[dict[str, Any]]
    log: str
    namespace: str


Disturb = Callable[[Proxy, Operator], Coroutine[Any, Any, None]]
"""Does harm beside a life, until cancelled."""


async def no_harm(_: Proxy, __: Operator) -> None:
    """Leave the life alone."""


@asynccontextmanager
async def namespace(client: Client, prefix: str) -> AsyncIterator[str]:
    """Make a namespace for the time of the block."""
    name = f"{prefix}-{os.urandom(3).hex()}"
    await client.create(rest.NAMESPACES.all(), {"metadata": {"name": name}})
    try:
        yield name
    finally:
        await client.delete(rest.NAMESPACES.at(None, name), {})


@asynccontextmanager
async def operating(proxy: Proxy, where: str, **environment: str) -> AsyncIterator[Operator]:
    """Run an operator for one namespace; it must still be there at the end of the block."""
    operator = Operator(
        proxy.url,
        MODELFLEET_NAMESPACES=where,
        MODELFLEET_LEADER_ELECTION="false",
        **environment,
    )
    proxy.kill = lambda: _kill_and_start(operator)
    operator.start()
    try:
        yield operator
        assert operator.is_running(), f"the operator ended: {operator.log}"
    finally:
        operator.kill()


async def live(
    client: Client,
    decide: Callable[[Write], Fault | None] = lambda _: None,
    disturb: Disturb = no_harm,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Outcome:
    """Run a life with an operator of its own, started again at once whenever it is killed."""
    async with namespace(client, "life") as where, Proxy(client.connection, only(where)) as proxy:
        proxy.decide = decide
        life = Life(client, where)
        async with operating(proxy, where, **environment) as operator:
            await _beside(life.run(), disturb(proxy, operator))
    return Outcome(proxy.counted(), life.states, str(operator.log), where)


async def _beside(life: Coroutine[Any, Any, None], harm: Coroutine[Any, Any, None]) -> None:
    done = asyncio.create_task(harm)
    try:
        await life
    finally:
        done.cancel()
    await asyncio.gather(done, return_exceptions=True)
    assert done.cancelled() or done.exception() is None, f"no harm was done: {done.exception()}"


def _kill_and_start(operator: Operator) -> None:
    operator.kill()
    operator.start()


def only(where: str) -> Callable[[Write], bool]:
    """Count what is written in one namespace, but events: these are news, not state."""
    return lambda write: write.target.namespace == where and write.target.plural != "events"
