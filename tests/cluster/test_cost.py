"""The ledger on a real control plane, against what a watch of our own saw, through a crash."""

import asyncio
import csv
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from modelfleet import clock
from modelfleet.cluster import rest
from modelfleet.cluster.checkpoints import OPEN, Checkpoints
from modelfleet.plan.ledger.checkpoint import Open, unpack_open
from modelfleet.plan.ledger.units import GPU, GRAINS, MILLION, millis
from support.manifests import model
from support.running import Client, Operator, apply, kubectl

pytestmark = pytest.mark.usefixtures("control_plane")

RATE = 16_000_000
"""Micro-dollars per hour of an l40s node with four GPUs, as the test sets it."""
SECONDS = "1"


@dataclass
class Witness:
    """Sees pods of a namespace by a watch of its own: when each was bound and went."""

    bound: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)

    async def watch(self, client: Client, namespace: str) -> None:
        async for event in client.watch(rest.PODS.all(namespace), {}):
            pod, now = event["object"], millis(clock.utc_now())
            uid = pod["metadata"].get("uid")
            if uid and pod.get("spec", {}).get("nodeName"):
                self.bound.setdefault(uid, now)
            if event["type"] == "DELETED":
                self.gone[uid] = now

    async def saw_go(self, pods: int) -> None:
        """Wait until so many are gone."""
        async with asyncio.timeout(60):
            while len(self.gone) < pods:
                await asyncio.sleep(0.1)

    def gpu_millis(self, until: int) -> int:
        """Return the milliseconds for which pods of one GPU held it."""
        return sum(self.gone.get(pod, until) - at for pod, at in self.bound.items())


@pytest.fixture
async def witness(client: Client, namespace: str) -> AsyncIterator[Witness]:
    one = Witness()
    task = asyncio.create_task(one.watch(client, namespace))
    yield one
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def price() -> Iterator[None]:
    """Give the pool l40s a price for the time of a test."""
    terms = '{"onDemand":{"perNodeHour":"16"},"weights":"GPUOnly"}'
    kubectl("patch", "gpunodepool", "l40s", "--type=merge", f'-p={{"spec":{{"price":{terms}}}}}')
    yield
    kubectl("patch", "gpunodepool", "l40s", "--type=merge", '-p={"spec":{"price":null}}')


async def started(namespace: str) -> Operator:
    """Return an operator with a ledger of its own, for one namespace. The witness looks on."""
    operator = Operator(
        MODELFLEET_NAMESPACES=namespace,
        MODELFLEET_LEASE_NAME=namespace,
        MODELFLEET_LEDGER_SECONDS=SECONDS,
        MODELFLEET_LEASE_SECONDS="3",
        MODELFLEET_RENEW_SECONDS="2",
        MODELFLEET_RETRY_SECONDS="0.5",
    )
    return await asyncio.to_thread(operator.start().ready)


async def kept(client: Client, namespace: str) -> Open:
    documents = await Checkpoints(client, "default", f"{namespace}-ledger").all()
    return unpack_open(next(one.text for one in documents if one.label == OPEN))


async def kept_after(client: Client, namespace: str, moment: int) -> Open:
    """Wait for a checkpoint that was made after this instant."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(StopIteration, RuntimeError):
            found = await kept(client, namespace)
            if found.state.at > moment:
                return found
        await asyncio.sleep(0.2)
    raise AssertionError("no checkpoint came")


async def chat(namespace: str, replicas: int) -> None:
    metadata = {"name": "chat", "namespace": namespace, "labels": {"modelfleet.dev/team": "search"}}
    wanted = model(namespace, resources={"gpus": 1}, nodePools=["l40s"], replicas=replicas)
    await asyncio.to_thread(apply, wanted | {"metadata": metadata})


async def test_a_ledger_adds_up_through_churn_and_a_crash(
    client: Client,
    namespace: str,
    witness: Witness,
    price: None,  # noqa: ARG001
) -> None:
    operator = await started(namespace)
    try:
        await chat(namespace, 3)
        await client.until_ready(namespace, "chat")
        await chat(namespace, 1)
        await witness.saw_go(2)
        await kept_after(client, namespace, millis(clock.utc_now()))
        operator.kill()
        await asyncio.sleep(3)
        operator = await started(namespace)
        await chat(namespace, 4)
        await client.until_ready(namespace, "chat")
        await client.until(
            "Model", namespace, "chat", lambda m: m["status"]["cost"]["hourly"] == "16.00"
        )
        found = await kept_after(client, namespace, millis(clock.utc_now()))
        assert_adds_up(found)
        assert_agrees(found, namespace, witness)
        await assert_told(client, namespace)
        assert operator.metric('modelfleet_hourly_cost_dollars{pool="l40s"') == 32
    finally:
        operator.stop()
    await assert_exported(client, namespace)


def assert_adds_up(found: Open) -> None:
    """Hold that all lines of the pool are node price times time, to the grain."""
    state = found.state
    books = [book for book in state.books.values() if book.terms.pool == "l40s"]
    expected = sum(RATE * (book.at - state.opened_at) for book in books)

    assert len(books) == 2
    assert sum(a.cost for line, a in found.lines.items() if line.pool == "l40s") == expected


def assert_agrees(found: Open, namespace: str, witness: Witness) -> None:
    """Hold that the Model's GPU time is what the witness saw, but for the hops of two watches."""
    # Pods of other tests may still be on their way out, on the same nodes.
    own = {line: a for line, a in found.lines.items() if line.account.namespace == namespace}
    booked = sum(amount.gpu_time for amount in own.values()) // GPU
    seen = witness.gpu_millis(found.state.at)
    print(f"booked {booked} ms, seen {seen} ms, {len(witness.bound)} pods")

    assert len(witness.bound) == 6
    assert len(witness.gone) == 2
    # Two watches of a busy machine differ by some tenths of a second for each bind.
    assert booked == pytest.approx(seen, rel=0.05)
    assert {(line.account.kind, line.account.team) for line in own} == {("model", "search")}
    assert sum(amount.estimated for amount in own.values()) > 0


async def assert_exported(client: Client, namespace: str) -> None:
    """Hold that the command and its FOCUS export have the sums of the last checkpoint."""
    found = await kept(client, namespace)
    own = [a.cost for line, a in found.lines.items() if line.account.namespace == namespace]
    told = json.loads(cost(namespace, "-o", "json"))
    rows = list(csv.DictReader(cost(namespace, "-o", "focus-csv").splitlines()))
    (chat,) = [row for row in told["rows"] if row["name"] == f"{namespace}/chat"]
    exported = sum(Decimal(row["EffectiveCost"]) for row in rows)

    assert_adds_up(found)
    assert abs(chat["total"] - sum(own) // GRAINS) <= 1
    assert sum(row["total"] for row in told["rows"]) == exported * MILLION
    assert sum(a.cost for a in found.lines.values()) // GRAINS == exported * MILLION


def cost(namespace: str, *options: str) -> str:
    where = ("--namespace", "default", "--lease-name", namespace)
    command = [sys.executable, "-m", "modelfleet", "cost", *where, *options]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


async def assert_told(client: Client, namespace: str) -> None:
    """Hold that statuses and kubectl tell the same."""
    pool = await client.until(
        "GPUNodePool", "", "l40s", lambda p: (p["status"].get("cost") or {}).get("idleHourly")
    )
    assert pool["status"]["cost"]["hourly"] == "32.00"
    assert pool["status"]["cost"]["unpricedNodes"] == 0
    wide = kubectl("get", "models", "-n", namespace, "-o", "wide")
    pools = kubectl("get", "gpunodepools", "l40s")
    print(f"\n{wide}\n{pools}")
    assert "$/H" in wide.splitlines()[0]
    assert " 16.00 " in wide.splitlines()[1]
    assert pools.split()[6:11] == ["$/H", "IDLE", "$/H", "MONTH", "$"]
    assert "32.00" in pools
