"""Autoscaling under real load from clients, in the metrics dialects of all engines.

Many Models share one time: each has its own clients, and a cold start of some seconds.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from devcluster.engine.lies import Lie
from support.external_metrics import external_metrics
from support.manifests import API_VERSION, SIMULATED, model
from support.running import Client, Operator, apply, condition, kubectl

LONGEST = 240.0
"""Seconds until a test stops to hope. Not an assertion about speed."""

BUSY = 12
"""Requests in flight, which four replicas are asked for."""

ENGINE = {"prefillSeconds": 0.1, "decodeTokensPerSecond": 20, "outputTokens": 60}
QUICK = {"pull-seconds": "0.1", "load-seconds": "1", "profile": json.dumps(ENGINE)}
Object = dict[str, Any]


def a_policy(namespace: str, **spec: Any) -> Object:
    """Four requests for each of one to three replicas; a window of half a minute."""
    wanted = {
        "signals": {"concurrencyPerReplica": 4},
        "maxReplicas": 3,
        "windows": {"down": {"seconds": 20}},
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "AutoscalingPolicy",
        "metadata": {"name": "chat", "namespace": namespace},
        "spec": {**wanted, **spec},
    }


def autoscaled(namespace: str, name: str, says: Mapping[str, str] = {}, **spec: Any) -> Object:
    """Return a Model on CPU with the policy; `says` tells how its engines behave."""
    annotations = {f"{SIMULATED}{key}": text for key, text in {**QUICK, **says}.items()}
    return model(
        namespace,
        name,
        podTemplate={"annotations": annotations},
        resources={"cpu": "100m", "memory": "64Mi"},
        drain={"timeoutSeconds": 5},
        **{"autoscaling": {"policyRef": {"name": "chat"}}, **spec},
    )


@asynccontextmanager
async def load(address: str, name: str, clients: int) -> AsyncIterator[list[str]]:
    """Keep so many requests in flight, and yield the list of those that failed."""
    failures: list[str] = []
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(address, connector=connector) as session:
        tasks = [asyncio.create_task(_ask_on(session, name, failures)) for _ in range(clients)]
        try:
            yield failures
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _ask_on(session: aiohttp.ClientSession, name: str, failures: list[str]) -> None:
    body = {"model": name, "prompt": "hello", "max_tokens": 60}
    while True:
        try:
            async with session.post("/v1/completions", json=body) as answer:
                if answer.status != 200:
                    failures.append(f"{answer.status}: {await answer.text()}")
                    await asyncio.sleep(0.2)
                else:
                    await answer.read()
        except aiohttp.ClientError as error:
            failures.append(repr(error))
            await asyncio.sleep(0.2)


async def until(
    client: Client, namespace: str, name: str, holds: Callable[[Object], Any]
) -> Object:
    """Wait until a Model `holds`."""
    found: Object | None = None
    try:
        async with asyncio.timeout(LONGEST):
            while True:
                found = await client.find("Model", namespace, name)
                if found is not None and holds(found):
                    return found
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise AssertionError(f"{name} stayed: {json.dumps((found or {}).get('status'))}") from None


def has(replicas: int) -> Callable[[Object], bool]:
    """Return a check: so many are ready, and no other is there."""

    def holds(found: Object) -> bool:
        status = found.get("status", {})
        return (status.get("readyReplicas"), status.get("replicas")) == (replicas, replicas)

    return holds


def says(reason: str) -> Callable[[Object], bool]:
    """Return a check: the policy is not followed in full, for this reason."""
    return lambda found: (condition(found, "Autoscaled") or {}).get("reason") == reason


# --- up, down, and back ------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    name: str
    engine: Mapping[str, Any]
    says: Mapping[str, str]


DIALECTS = (
    Case("vllm", {"name": "vllm"}, {}),
    Case("vllm-old", {"name": "vllm", "image": "vllm/vllm-openai:v0.9.2"}, {}),
    Case("sglang", {"name": "sglang"}, {}),
    Case("llama-cpp", {"name": "llama-cpp"}, {}),
)


async def test_replicas_follow_load_up_and_down_and_back_in_every_dialect(
    operator: Operator, client: Client, namespace: str
) -> None:
    apply(a_policy(namespace))
    apply(*(autoscaled(namespace, one.name, one.says, engine=one.engine) for one in DIALECTS))

    await asyncio.gather(*(_there_and_back(client, namespace, one.name) for one in DIALECTS))

    assert operator.metric("modelfleet_autoscaled_models") >= len(DIALECTS)
    assert operator.metric('modelfleet_scaling_decisions_total{direction="up"') > 0


async def _there_and_back(client: Client, namespace: str, name: str) -> None:
    address = await client.until_served(namespace, name)
    for _ in range(2):
        async with load(address, name, BUSY) as failures:
            await until(client, namespace, name, has(3))
        found = await until(client, namespace, name, has(1))
        assert failures == []
    told = found["status"]["autoscaling"]
    assert told["decisions"][0]["replicas"] == 1
    assert len(told["decisions"]) >= 4
    assert found["spec"].get("replicas", 1) == 1
    assert "concurrency" in told["message"]


# --- metrics that lie ------------------------------------------------------------------------


async def test_metrics_that_lie_take_nothing_away(
    operator: Operator,  # noqa: ARG001
    client: Client,
    namespace: str,
) -> None:
    """Every Model has three replicas and no load; then its engines begin to lie."""
    apply(a_policy(namespace, minReplicas=3, windows={"down": {"seconds": 15}}))
    apply(*(autoscaled(namespace, one.value, engine={"name": "vllm"}) for one in Lie))
    await asyncio.gather(*(until(client, namespace, one.value, has(3)) for one in Lie))
    for one in Lie:
        kubectl(
            "annotate", "pods", "-n", namespace, "-l", f"modelfleet.dev/model={one.value}",
            f"{SIMULATED}metrics={one.value}",
        )  # fmt: skip

    await asyncio.gather(
        *(until(client, namespace, one.value, says("MetricsMissing")) for one in Lie)
    )
    apply(a_policy(namespace, minReplicas=1, windows={"down": {"seconds": 15}}))
    await asyncio.sleep(60)  # four windows, in which nothing must happen
    for one in Lie:
        found = await client.find("Model", namespace, one.value)
        assert found is not None
        assert has(3)(found), f"{one.value}: {found['status']['autoscaling']}"
        assert found["status"]["autoscaling"]["reason"] == "NoData"

    for one in Lie:
        kubectl(
            "annotate", "pods", "-n", namespace, "-l", f"modelfleet.dev/model={one.value}",
            f"{SIMULATED}metrics-",
        )  # fmt: skip
    await asyncio.gather(*(until(client, namespace, one.value, has(1)) for one in Lie))


# --- restarts, and others who scale ------------------------------------------------------------


async def test_an_operator_that_is_killed_forgets_no_decision(
    operator: Operator, client: Client, namespace: str
) -> None:
    apply(a_policy(namespace, windows={"down": {"seconds": 60}}))
    apply(autoscaled(namespace, "chat", engine={"name": "vllm"}))
    address = await client.until_served(namespace, "chat")
    async with load(address, "chat", BUSY) as failures:
        await until(client, namespace, "chat", has(3))
        operator.kill()
        before = await client.find("Model", namespace, "chat")
        assert before is not None
        operator.start().ready()
        await asyncio.sleep(40)
        after = await client.find("Model", namespace, "chat")
        assert after is not None
        assert has(3)(after)
        assert (
            after["status"]["autoscaling"]["decisions"]
            == (before["status"]["autoscaling"]["decisions"])
        )
        assert failures == []
    await until(client, namespace, "chat", has(1))


async def test_an_hpa_scales_a_model_without_a_policy_and_nobody_fights_it(
    operator: Operator,  # noqa: ARG001
    client: Client,
    namespace: str,
) -> None:
    """spec.replicas is its own, through /scale, and nobody writes it back."""
    apply(autoscaled(namespace, "chat", engine={"name": "vllm"}, autoscaling=None))
    await until(client, namespace, "chat", has(1))
    async with external_metrics(namespace) as gauge, written(client, namespace) as replicas:
        gauge.value = 12
        apply(_hpa(namespace))
        await until(client, namespace, "chat", has(3))
        gauge.value = 2
        found = await until(client, namespace, "chat", has(1))
        assert gauge.asked > 0

    assert replicas == [1, 3, 1]
    assert found["status"].get("autoscaling") is None
    assert found["status"]["desiredReplicas"] == 1


async def test_an_hpa_beside_a_policy_is_told_until_a_person_scales(
    operator: Operator,  # noqa: ARG001
    client: Client,
    namespace: str,
) -> None:
    apply(a_policy(namespace))
    apply(autoscaled(namespace, "chat", engine={"name": "vllm"}))
    await until(client, namespace, "chat", has(1))
    async with external_metrics(namespace) as gauge:
        gauge.value = 12
        apply(_hpa(namespace))
        found = await until(client, namespace, "chat", says("ScaledByOthers"))
        kubectl("delete", "hpa", "chat", "-n", namespace)
        kubectl("scale", "model", "chat", "-n", namespace, "--replicas=2")
        await until(client, namespace, "chat", says("PolicyFollowed"))

    told = condition(found, "Autoscaled")
    assert told is not None
    assert told["message"].startswith("kube-controller-manager writes spec.replicas")
    assert (found["spec"]["replicas"], found["status"]["autoscaling"]["replicas"]) == (3, 1)


@asynccontextmanager
async def written(client: Client, namespace: str) -> AsyncIterator[list[int]]:
    """Yield every number that spec.replicas has, one after the other."""
    seen: list[int] = []

    async def look() -> None:
        while True:
            found = await client.find("Model", namespace, "chat")
            count = (found or {}).get("spec", {}).get("replicas")
            if count is not None and seen[-1:] != [count]:
                seen.append(count)
            await asyncio.sleep(0.2)

    task = asyncio.create_task(look())
    try:
        yield seen
    finally:
        task.cancel()


def _hpa(namespace: str) -> Object:
    target = {"type": "AverageValue", "averageValue": "4"}
    external = {"metric": {"name": "requests"}, "target": target}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "chat", "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": API_VERSION, "kind": "Model", "name": "chat"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": [{"type": "External", "external": external}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }


async def test_kubectl_tells_the_decision_in_one_line(
    operator: Operator,  # noqa: ARG001
    client: Client,
    namespace: str,
) -> None:
    apply(a_policy(namespace))
    apply(autoscaled(namespace, "chat", engine={"name": "vllm"}))
    await until(client, namespace, "chat", has(1))
    await until(client, namespace, "chat", lambda one: "autoscaling" in one["status"])

    wide = kubectl("get", "model", "chat", "-n", namespace, "-o", "wide")
    described = kubectl("describe", "model", "chat", "-n", namespace)
    policy = kubectl("get", "asp", "-n", namespace)

    assert "1 replica:" in wide
    assert "1 replica:" in described
    assert "Valid" in policy
