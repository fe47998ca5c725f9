"""Rollouts under load: streams go through the Services while replicas are exchanged.

On pools that are full, that have a node free, that are in pieces, and that lose a node.
"""

import asyncio
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from modelfleet.api import labels
from support.manifests import SIMULATED, model, vllm
from support.own_pool import add, lose, own_pool, remove
from support.pods_seen import serves
from support.running import PATIENCE, Client, apply, condition, is_ready, kubectl
from support.streams import streaming, under_load

pytestmark = pytest.mark.usefixtures("operator")
on_h100 = pytest.mark.usefixtures("whole_pool")

Object = dict[str, Any]
FIRST, SECOND = ({"name": "vllm", "args": [f"--seed={seed}"]} for seed in (1, 2))
EIGHT = tuple(f"model-{number}" for number in range(8))


def served_model(namespace: str, name: str = "chat", **spec: Any) -> Object:
    """Return a Model of which two replicas fill a node of the pool h100."""
    plays = {"pull-seconds": "0.1", "load-seconds": "0.3", "dialect": "vllm"}
    annotations = {f"{SIMULATED}{key}": text for key, text in plays.items()}
    defaults = {
        "engine": FIRST,
        "replicas": 2,
        "resources": {"gpus": 4},
        "nodePools": ["h100"],
        "drain": {"timeoutSeconds": 5},
        "podTemplate": {"annotations": annotations},
    }
    return model(namespace, name, **{**defaults, **spec})


@pytest.fixture
async def whole_pool(client: Client) -> None:
    """Wait until former tests have left the pool."""
    await client.until("GPUNodePool", "", "h100", lambda one: _free(one) == 16)


def _free(pool: Object) -> int:
    gpus: dict[str, int] = pool.get("status", {}).get("gpus", {})
    return gpus.get("free", -1)


async def served(client: Client, namespace: str, name: str = "chat") -> str:
    """Wait until a Model is ready; return its revision."""
    return str((await client.until_ready(namespace, name))["status"]["stableRevision"])


async def rolled_out(client: Client, namespace: str, name: str, before: str) -> None:
    """Wait until another revision has taken over."""
    await client.until(
        "Model",
        namespace,
        name,
        lambda one: is_ready(one) and one["status"]["stableRevision"] != before,
        patience=3 * PATIENCE,
    )


def says(*words: str) -> Callable[[Object], bool]:
    """Return a check: the status tells all of this, of the rollout or of what is waited for."""
    return lambda found: all(word in _told(found) for word in words)


def _told(found: Object) -> str:
    rollout = found["status"].get("rollout") or {}
    waits = condition(found, "Reconciling") or {}
    return f"{rollout.get('message', '')} | {waits.get('message', '')}"


@on_h100
async def test_eight_models_that_fill_a_pool_roll_at_once_and_no_request_fails(
    client: Client, namespace: str
) -> None:
    # So many routes at once may take a busy machine longer than the usual five seconds.
    apply(vllm("roomy", pre_stop_seconds=12))
    first, second = ({**engine, "name": "roomy"} for engine in (FIRST, SECOND))
    one_gpu: Object = {"resources": {"gpus": 1}}
    apply(*(served_model(namespace, name, engine=first, **one_gpu) for name in EIGHT))
    before = {name: await served(client, namespace, name) for name in EIGHT}
    await client.until("GPUNodePool", "", "h100", lambda one: _free(one) == 0)

    async with under_load(client, namespace, *EIGHT, clients=2) as sight:
        apply(*(served_model(namespace, name, engine=second, **one_gpu) for name in EIGHT))
        for name in EIGHT:
            await rolled_out(client, namespace, name, before[name])

    assert sight.fewest_serving == dict.fromkeys(EIGHT, 1)
    assert sight.waited == {}


@on_h100
async def test_with_a_free_node_no_replica_is_missed(client: Client, namespace: str) -> None:
    apply(served_model(namespace))
    before = await served(client, namespace)

    async with under_load(client, namespace, "chat") as sight:
        apply(served_model(namespace, engine=SECOND))
        await rolled_out(client, namespace, "chat", before)

    assert sight.fewest_serving == {"chat": 2}
    assert sight.waited == {}


async def test_on_a_pool_in_pieces_replicas_are_replaced_one_at_a_time_and_it_says_why(
    client: Client, namespace: str
) -> None:
    async with own_pool(client, pool := _pool_name(), nodes=10, gpus=2) as nodes:
        two_gpus: Object = {"nodePools": [pool], "resources": {"gpus": 2}}
        apply(served_model(namespace, **two_gpus))
        before = await served(client, namespace)
        used = {pod["spec"]["nodeName"] for pod in await client.list("Pod", namespace)}
        apply(*(_somebody(node) for node in nodes if node not in used))
        await client.until("GPUNodePool", "", pool, lambda one: _free(one) == 8)

        with followed(namespace) as lines:
            async with under_load(client, namespace, "chat") as sight:
                apply(served_model(namespace, engine=SECOND, **two_gpus))
                await rolled_out(client, namespace, "chat", before)

    assert sight.fewest_serving == {"chat": 1}
    assert sight.waited == {}
    why = f"2 GPUs asked on one node; pool {pool} has 8 free of 20, at most 1 on one node"
    each = "old replicas give way one at a time"
    assert any(re.search(f"RollingOut +Replace +.*{why}; {each}", line) for line in lines)


@contextmanager
def followed(namespace: str) -> Iterator[list[str]]:
    """Let `kubectl get model -w` run for the time of the block; then there is what it printed."""
    lines: list[str] = []
    watch = ["kubectl", "-n", namespace, "get", "model", "-w"]
    with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield lines
        finally:
            process.terminate()
            assert process.stdout is not None
            lines.extend(process.stdout)


def _pool_name() -> str:
    return f"own-{os.urandom(3).hex()}"


def _somebody(node: str) -> Object:
    """Return a pod of somebody else that holds one GPU of a node, and goes with it."""
    container = {
        "name": "busy",
        "image": "example.com/busy:1",
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": node, "namespace": "default"},
        "spec": {"nodeName": node, "containers": [container]},
    }


async def test_a_node_that_is_lost_in_the_middle_costs_what_it_held_and_the_rest_goes_on(
    client: Client, namespace: str
) -> None:
    async with own_pool(client, pool := _pool_name(), nodes=3, gpus=1):
        small: Object = {"nodePools": [pool], "resources": {"gpus": 1}, "replicas": 3}
        apply(served_model(namespace, **small))
        before = await served(client, namespace)

        async with streaming(client, namespace, "chat") as (load,):
            apply(served_model(namespace, engine=SECOND, **small))
            full = says(f"pool {pool} has 0 free of 3", "old replicas give way one at a time")
            await client.until("Model", namespace, "chat", full)
            node = await _of_an_old_replica(client, namespace, before)
            assert load.failures == []
            await lose(node)
            await client.until("Model", namespace, "chat", says(f"as node {node}"))
            await load.steady(20)

        async with under_load(client, namespace, "chat") as sight:
            await remove(node)
            short = await client.until("Model", namespace, "chat", _is_over)
            assert f"1 of 3 replicas waits for a node: 1 GPU asked; pool {pool} has 0" in _told(
                short
            )
            assert condition(short, "Stalled") is None
            await add(pool, gpus=1)
            await rolled_out(client, namespace, "chat", before)

    assert sight.fewest_serving["chat"] >= 1


async def _of_an_old_replica(client: Client, namespace: str, before: str) -> str:
    """Wait until a new replica serves; return the node of an old one that still does."""
    while True:
        pods = [pod for pod in await client.list("Pod", namespace) if serves(pod)]
        old = [pod for pod in pods if pod["metadata"]["labels"][labels.REVISION] == before]
        if 0 < len(old) < len(pods):
            return str(old[0]["spec"]["nodeName"])
        await asyncio.sleep(0.1)


def _is_over(found: Object) -> bool:
    """Return whether two new replicas serve, and no old one is left."""
    status = found["status"]
    return status["readyReplicas"] == 2 and status["replicas"] == 3 and "rollout" not in status


@on_h100
async def test_blue_green_moves_all_traffic_at_once(client: Client, namespace: str) -> None:
    by: Object = {"rollout": {"strategy": "BlueGreen"}}
    apply(served_model(namespace, **by))
    before = await served(client, namespace)
    bound: list[str] = []

    async with under_load(client, namespace, "chat") as sight:
        apply(served_model(namespace, engine=SECOND, **by))
        for at in (before, None):  # first to the old revision alone, then to none
            found = await client.until(
                "Service", namespace, "chat", lambda one, at=at: _bound_to(one) == at
            )
            bound += [str(_bound_to(found))]
        await rolled_out(client, namespace, "chat", before)

    assert bound == [before, "None"]
    assert sight.fewest_serving == {"chat": 2}
    assert sight.waited == {}


def _bound_to(service: Object) -> str | None:
    selector: dict[str, str] = service["spec"]["selector"]
    return selector.get(labels.REVISION)


@on_h100
async def test_min_available_waits_for_a_free_node_and_says_so(
    client: Client, namespace: str
) -> None:
    whole: Object = {"replicas": 1, "resources": {"gpus": 8}}
    careful: Object = {**whole, "rollout": {"minAvailable": 1}}
    apply(served_model(namespace, **careful), served_model(namespace, "other", **whole))
    before = await served(client, namespace)
    await served(client, namespace, "other")

    async with under_load(client, namespace, "chat") as sight:
        apply(served_model(namespace, engine=SECOND, **careful))
        waits = says("minAvailable 1 lets none go: waiting for room")
        await client.until("Model", namespace, "chat", waits)
        kubectl("-n", namespace, "scale", "model", "other", "--replicas=0")
        await rolled_out(client, namespace, "chat", before)

    assert sight.fewest_serving["chat"] == 1
    assert sight.waited == {}
