"""Operators that are killed at every write of a rollout, or replaced by another in its middle.

All on pools that the Models fill, under load: no request fails, one replica at most is missing, and
no pod ever waits for a GPU, as it would if an operator forgot what the one before had begun.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from faults.fleet import until
from faults.life import namespace, only, operating
from modelfleet.cluster import rest
from support.builds import BUILT, altered_build, previous_build
from support.manifests import SIMULATED, model
from support.own_pool import own_pool
from support.proxy import Proxy
from support.requests_seen import Fault, Write
from support.running import Client, condition, is_ready
from support.streams import under_load

pytestmark = pytest.mark.asyncio(loop_scope="module")

Object = dict[str, Any]
Holds = Callable[[Object], Any]
FIRST, SECOND = ({"name": "vllm", "args": [f"--seed={seed}"]} for seed in (1, 2))
EXCHANGE: Object = {"replicas": 2}
CANARY: Object = {
    # An operator that ends all the time hardly reads the engines: what it cannot tell, goes on.
    "replicas": 2,
    "rollout": {
        "strategy": "Canary",
        "canary": {
            "steps": [{"weight": 50, "durationSeconds": 10}],
            "analysis": {"intervalSeconds": 5, "warmUpSeconds": 1, "onInconclusive": "Continue"},
        },
    },
}


QUICK = {f"{SIMULATED}pull-seconds": "0.1", f"{SIMULATED}load-seconds": "0.3"}


def a_model(where: str, name: str, pool: str, **spec: Any) -> Object:
    """Return a Model whose replicas have one GPU each, and are quick to start."""
    return model(
        where,
        name,
        **{
            "engine": FIRST,
            "resources": {"gpus": 1},
            "nodePools": [pool],
            "drain": {"timeoutSeconds": 5},
            "podTemplate": {"annotations": QUICK},
            **spec,
        },
    )


async def reached(client: Client, where: str, name: str, holds: Holds) -> None:
    """Wait until something is told of a Model, however often operators begin anew."""

    async def why_not() -> str:
        found = await client.find("Model", where, name) or {}
        done = "status" in found and holds(found)
        return "" if done else f"{name} stayed {found.get('status')}"

    await until(why_not)


def is_whole(found: Object) -> bool:
    """Whether a Model is ready and nothing is rolled out."""
    status = found["status"]
    current = status.get("currentRevision") == status.get("stableRevision")
    return is_ready(found) and current and "rollout" not in status


async def change(client: Client, where: str, name: str) -> None:
    """Ask for another revision."""
    await client.patch(rest.MODELS.at(where, name), {"spec": {"engine": SECOND}})


async def assert_replaced(client: Client, where: str, name: str) -> None:
    """Check that all replicas are of the new revision and nothing else is left but history."""
    found = await client.find("Model", where, name)
    assert found is not None
    assert condition(found, "Stalled") is None
    ours = f"modelfleet.dev/model={name}"
    revisions = [
        pod["metadata"]["labels"]["modelfleet.dev/revision"]
        for pod in await client.list("Pod", where, ours)
        if "deletionTimestamp" not in pod["metadata"]
    ]
    assert revisions == [found["status"]["currentRevision"]] * found["spec"]["replicas"]
    assert len(await client.list("Deployment", where, ours)) == 1
    assert len(await client.list("ControllerRevision", where, ours)) == 2


# --- killed ---------------------------------------------------------------------------------------


async def test_killed_at_every_write_of_an_exchange_and_of_a_canary(client: Client) -> None:
    async with asyncio.TaskGroup() as side_by_side:
        side_by_side.create_task(_killed(client, EXCHANGE))
        side_by_side.create_task(_killed(client, CANARY))


async def _killed(client: Client, spec: Mapping[str, Any]) -> None:
    pool = f"killed-{os.urandom(3).hex()}"
    async with (
        namespace(client, "killed") as where,
        own_pool(client, pool, nodes=2, gpus=1),
        Proxy(client.connection, only(where)) as proxy,
        operating(proxy, where),
    ):
        await client.create(rest.MODELS.all(where), a_model(where, "chat", pool, **spec))
        await reached(client, where, "chat", is_whole)
        begun = len(proxy.counted())

        async with under_load(client, where, "chat") as sight:
            proxy.decide = _at_every_write
            await change(client, where, "chat")
            await _whole_while_writing(client, where, proxy)

        kills = [str(one) for one in proxy.counted()[begun:] if one.fault]
        print(f"{len(kills)} kills: {kills}")
        assert len(kills) >= 8, "the rollout has fewer writes than it must have"
        assert sight.fewest_serving == {"chat": 1}
        assert sight.waited == {}
        await assert_replaced(client, where, "chat")


async def _whole_while_writing(client: Client, where: str, proxy: Proxy) -> None:
    """Wait until a rollout has ended, as long as one write follows the other."""
    while True:
        written = len(proxy.counted())
        try:
            return await reached(client, where, "chat", is_whole)
        except AssertionError:
            if len(proxy.counted()) == written:
                raise


def _at_every_write(write: Write) -> Fault:
    return Fault.KILL_ANSWERED if write.number % 2 else Fault.KILL_UNANSWERED


# --- another build --------------------------------------------------------------------------------


async def test_the_operator_of_the_commit_before_is_replaced_in_the_middle_of_rollouts(
    client: Client, tmp_path: Path
) -> None:
    pool, specs = f"built-{os.urandom(3).hex()}", {"exchanged": EXCHANGE, "judged": CANARY}
    async with (
        namespace(client, "built") as where,
        own_pool(client, pool, nodes=2, gpus=2),
        Proxy(client.connection, only(where)) as proxy,
        operating(proxy, where, PYTHONPATH=str(previous_build(tmp_path))) as operator,
    ):
        for name, spec in specs.items():
            await client.create(rest.MODELS.all(where), a_model(where, name, pool, **spec))
        for name in specs:
            await reached(client, where, name, is_whole)

        async with under_load(client, where, *specs) as sight:
            await change(client, where, "judged")
            await reached(client, where, "judged", _is_being_judged)
            await change(client, where, "exchanged")
            await reached(client, where, "exchanged", _is_half_way)
            await asyncio.to_thread(operator.stop)
            del operator.environment["PYTHONPATH"]
            operator.start()
            for name in specs:
                await reached(client, where, name, is_whole)

        assert sight.fewest_serving == dict.fromkeys(specs, 1)
        assert sight.waited == {}
        for name in specs:
            await assert_replaced(client, where, name)


def _is_being_judged(found: Object) -> Any:
    return found["status"].get("rollout", {}).get("memory")


def _is_half_way(found: Object) -> bool:
    status = found["status"]
    return "rollout" in status and 0 < status["rollout"].get("weight", 0) < 100


ENGINES = {
    "vllm": "hf://Qwen/Qwen2.5-7B-Instruct",
    "sglang": "hf://Qwen/Qwen2.5-7B-Instruct",
    "llama-cpp": "hf://Qwen/Qwen2.5-7B-Instruct-GGUF",
    "tei": "hf://BAAI/bge-m3",
    "ollama": "oci://registry.example.com/store:v1",
    "triton": "oci://registry.example.com/repository:v1",
}
"""Engine → weights that it takes."""

QUIET = 3.0
"""Seconds after which an operator that has written nothing has nothing to write."""


async def test_a_build_with_other_images_and_templates_of_all_engines_restarts_no_pod(
    client: Client, tmp_path: Path
) -> None:
    async with (
        namespace(client, "built") as where,
        Proxy(client.connection, only(where)) as proxy,
        operating(proxy, where) as operator,
    ):
        await asyncio.gather(*(_create(client, where, one, one) for one in ENGINES))
        for engine in ENGINES:
            await reached(client, where, engine, is_whole)
        await _quiet(proxy)
        before = await _pods(client, where)
        await asyncio.to_thread(operator.stop)
        written = len(proxy.counted())

        operator.environment["PYTHONPATH"] = str(altered_build(tmp_path))
        operator.start()
        await _create(client, where, "another", "vllm")
        await reached(client, where, "another", is_whole)
        await _quiet(proxy)

        after = await _pods(client, where)
        (new,) = set(after) - set(before)
        assert after[new][0] == f"{BUILT}:vllm"
        assert {name: after.get(name) for name in before} == before
        others = [one for one in proxy.counted()[written:] if "another" not in one.target.name]
        assert [str(one) for one in others if one.verb != "POST"] == []


async def _quiet(proxy: Proxy) -> None:
    written = -1
    while written != len(proxy.writes):
        written = len(proxy.writes)
        await asyncio.sleep(QUIET)


async def _create(client: Client, where: str, name: str, engine: str) -> None:
    spec = {"source": {"uri": ENGINES[engine]}, "engine": {"name": engine}}
    body = model(where, name, podTemplate={"annotations": QUICK}, **spec)
    await client.create(rest.MODELS.all(where), body)


async def _pods(client: Client, where: str) -> dict[str, tuple[str, str, int]]:
    """Return each pod's image, UID and restarts."""
    return {
        pod["metadata"]["name"]: (
            pod["spec"]["containers"][0]["image"],
            pod["metadata"]["uid"],
            sum(one["restartCount"] for one in pod["status"].get("containerStatuses", [])),
        )
        for pod in await client.list("Pod", where)
    }
