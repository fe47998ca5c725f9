"""`python -m tests.bench.scaling`: what one pass over all autoscaled Models costs the operator.

Real are the reader, the caches, the parsers and the decisions, and the page: one that vLLM 0.32
showed. A second process answers for every pod on an address of its own. There is no API server: a
pass over Models at rest asks it nothing.
"""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import uvloop
from prometheus_client import Histogram

from modelfleet import telemetry
from modelfleet.api import labels
from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster.caches import Caches, key_of
from modelfleet.cluster.live import LiveCluster
from modelfleet.engines import built_in
from modelfleet.engines.metrics import Reader
from modelfleet.loops.autoscaling import Autoscaler
from modelfleet.plan.model import plan_for
from modelfleet.plan.world import Key
from modelfleet.reconcile import asks_for_a_look
from modelfleet.servers.client import Client
from tests.bench import usage

PAGE = Path(__file__).parents[1] / "unit/servers/pages/vllm-0.32.0.txt"
PORT = 8000
WARM_UP = 6
"""Passes until the last minute is known."""

NAMESPACE = "bench"
SINCE = "2026-11-24T12:00:00Z"


def main_page() -> bytes:
    """Return the whole answer of a pod."""
    body = PAGE.read_bytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Pod(asyncio.Protocol):
    """Answers each request with the page."""

    ANSWER = main_page()

    def connection_made(self, transport: Any) -> None:
        """Remember where to answer."""
        self._transport = transport

    def data_received(self, _: bytes) -> None:
        """Answer; a request of ours comes in one piece."""
        self._transport.write(self.ANSWER)


async def serve() -> None:
    """Answer for all pods, for ever."""
    loop = asyncio.get_running_loop()
    await loop.create_server(Pod, "0.0.0.0", PORT, backlog=1024)
    await asyncio.Event().wait()


def address(number: int) -> str:
    """Return an address of this machine for a pod."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


class Nobody:
    """Stands for everything that a pass does not need."""

    def watch(self, *_: Any) -> None:
        """Watch nothing."""

    def in_flight(self, *_: Any) -> dict[str, int]:
        """Know of no requests."""
        return {}

    def scrapes(self, *_: Any) -> tuple[()]:
        """Know of no readings."""
        return ()

    def probes(self, *_: Any) -> tuple[()]:
        """Know of no probes."""
        return ()

    def model_cost(self, *_: Any) -> None:
        """Know of no cost."""


class Fleet:
    """Models with replicas at rest, as the operator's caches hold them."""

    def __init__(self, models: int, pods: int, autoscaler: Autoscaler, caches: Caches) -> None:
        nobody: Any = Nobody()
        self.caches = caches
        self.cluster = LiveCluster(
            nobody, caches, nobody, nobody, nobody, nobody, nobody, autoscaler, lambda: True
        )
        self.autoscaler = autoscaler
        caches.policies.feed("ADDED", _policy(pods))
        for number in range(models):
            caches.models.feed("ADDED", _model(f"model-{number}"))
        self.settle()
        for number, model in enumerate(list(caches.models)):
            assert isinstance(model, Model)
            for replica in range(pods):
                caches.pods.feed("ADDED", _pod(model, replica, number * pods + replica))
        self.settle()

    def settle(self) -> None:
        """Write statuses as the operator would, until each is at rest."""
        for _ in range(3):
            for model in list(self.caches.models):
                assert isinstance(model, Model)
                self._report(model)

    def _report(self, model: Model) -> None:
        plan = plan_for(model, self.cluster.observe(model))
        self.autoscaler.note(key_of(model), plan.memory)
        raw = model.model_copy(update={"status": plan.status}).model_dump(
            by_alias=True, mode="json"
        )
        version = int(model.metadata.resource_version) + 1
        raw["metadata"]["resourceVersion"] = str(version)
        self.caches.models.feed("MODIFIED", raw)


def _meta(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": NAMESPACE,
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "generation": 1,
        **more,
    }


def _policy(pods: int) -> dict[str, Any]:
    signals = {
        "concurrencyPerReplica": 8,
        "kvCachePercent": 80,
        "tokensPerSecondPerReplica": 2000,
        "timeToFirstToken": {"milliseconds": 2000},
    }
    return {
        "metadata": _meta("chat"),
        "spec": {"signals": signals, "minReplicas": pods, "maxReplicas": 8},
    }


def _model(name: str) -> dict[str, Any]:
    return {
        "metadata": _meta(name),
        "spec": {
            "source": {"uri": "hf://Qwen/Qwen2.5-7B-Instruct"},
            "engine": {"name": "vllm"},
            "autoscaling": {"policyRef": {"name": "chat"}},
        },
    }


def _replica_set(model: Model) -> str:
    return f"{model.metadata.name}-{model.status.current_revision}-6b1f"


def _pod(model: Model, replica: int, number: int) -> dict[str, Any]:
    name = f"{model.metadata.name}-{replica}"
    own = {
        labels.MODEL: model.metadata.name,
        labels.REVISION: model.status.current_revision,
        labels.SERVING: "true",
    }
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": _replica_set(model),
        "uid": "rs",
    }
    since = {"status": "True", "lastTransitionTime": SINCE}
    return {
        "metadata": _meta(
            name,
            labels=own,
            creationTimestamp=SINCE,
            ownerReferences=[{**owner, "controller": True}],
        ),
        "spec": {"nodeName": "node-1", "containers": [{"name": "engine"}]},
        "status": {
            "podIP": address(number),
            "conditions": [{"type": "PodScheduled", **since}, {"type": "Ready", **since}],
            "containerStatuses": [
                {"name": "engine", "restartCount": 0, "state": {"running": {"startedAt": SINCE}}}
            ],
        },
    }


async def measure(models: int, pods: int, rounds: int) -> dict[str, float]:
    """Return what a pass takes, once the last minute is known and every status is written."""
    caches = Caches(lambda *_: None)
    async with Client() as client:
        autoscaler = Autoscaler(client, caches)
        fleet = Fleet(models, pods, autoscaler, caches)
        passes = Passes(models, fleet)
        running = asyncio.create_task(autoscaler.run(passes.look))
        await passes.more(WARM_UP)
        fleet.settle()
        await passes.more(1)
        before = spent(passes)
        await passes.more(rounds)
        used = {name: (now - before[name]) / rounds for name, now in spent(passes).items()}
        running.cancel()
    return {
        **used,
        "of it parsing, CPU s": parsing() * models * pods,
        "memory, MiB": usage.of(os.getpid()).resident,
    }


def spent(passes: "Passes") -> dict[str, float]:
    """Return what all passes together have used until now."""
    return {
        "CPU, s": time.process_time(),
        "reading, s": total(telemetry.SCRAPE_ROUND_SECONDS),
        "looking, s": total(telemetry.SCALING_PASS),
        "pages read": answers("ok"),
        "Models woken": float(passes.woken),
    }


class Passes:
    """Counts the passes over all Models, and how many of these would have been woken."""

    def __init__(self, models: int, fleet: Fleet) -> None:
        self._models, self._fleet = models, fleet
        self._looks, self.woken = 0, 0

    def look(self, key: Key) -> None:
        """Look at one Model."""
        self.woken += asks_for_a_look(key, self._fleet.cluster)
        self._looks += 1

    async def more(self, passes: int) -> None:
        """Wait until so many more have ended."""
        enough = (self._looks // self._models + passes) * self._models
        while self._looks < enough:
            await asyncio.sleep(0.1)
        click.echo(f"{enough // self._models} passes", err=True)


def total(histogram: Histogram) -> float:
    """Return the sum of all that was observed."""
    (family,) = histogram.collect()
    return next(one.value for one in family.samples if one.name.endswith("_sum"))


def answers(outcome: str) -> float:
    """Return how many readings ended so."""
    (family,) = telemetry.SCRAPES.collect()
    found = (one for one in family.samples if one.labels.get("outcome") == outcome)
    return next((one.value for one in found if one.name.endswith("_total")), 0.0)


def parsing() -> float:
    """Return the CPU seconds of one page."""
    metrics = built_in()["vllm"].spec.metrics
    assert metrics is not None
    reader, page, times = Reader(metrics), PAGE.read_bytes(), 300
    began = time.process_time()
    for _ in range(times):
        reader.read(page.decode())
    return (time.process_time() - began) / times


@click.command()
@click.option("--models", default=1000, show_default=True)
@click.option("--pods", default=3, show_default=True, help="Of each Model.")
@click.option("--rounds", default=4, show_default=True)
@click.option("--serve", "serves", is_flag=True, hidden=True)
def main(models: int, pods: int, rounds: int, serves: bool) -> None:
    """Measure passes over autoscaled Models at rest."""
    if serves:
        uvloop.run(serve())
    answering = subprocess.Popen([sys.executable, "-m", "tests.bench.scaling", "--serve"])
    try:
        time.sleep(2)
        for name, value in uvloop.run(measure(models, pods, rounds)).items():
            click.echo(f"{name}: {value:.2f}")
    finally:
        answering.terminate()


if __name__ == "__main__":
    main()
