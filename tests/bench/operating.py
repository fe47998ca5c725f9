"""The operator under measurement: many Models at once, at rest, one at a time, and restarted."""

import asyncio
import os
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from modelfleet.cluster import rest
from modelfleet.cluster.session import Session
from tests.bench import subject, usage
from tests.bench.milestones import Milestone, available, exists, watched
from tests.support.running import Operator, is_ready, until

Figures = dict[str, Any]
Requests = Counter[tuple[str, str]]
"""How often which verb was used on which kind."""

REST = 60.0
DUE = 65.0
"""The event recorder writes repetitions down once a minute: these belong to the rollout."""
QUIET = 5.0
CHANGES = 30
WRITING = ("POST", "PUT", "PATCH", "DELETE")


def told(model: dict[str, Any]) -> bool:
    """Whether a Model says that it is ready, at its newest generation."""
    return "observedGeneration" in model.get("status", {}) and is_ready(model)


def requests_of(operator: Operator) -> Requests:
    """Return what the operator has asked of the API server, kopf's own requests excepted."""
    counted: Requests = Counter()
    for family in text_string_to_metric_families(operator.get("/metrics") or ""):
        if family.name == "modelfleet_api_requests":
            for sample in family.samples:
                counted[sample.labels["verb"], sample.labels["kind"]] += int(sample.value)
    return counted


def writes_in(requests: Requests) -> Requests:
    """Keep what changes something, but for the Lease."""
    return Counter(
        {
            (verb, kind): count
            for (verb, kind), count in requests.items()
            if verb in WRITING and kind != "Lease"
        }
    )


def named(requests: Requests) -> Mapping[str, int]:
    """Return the same with keys that JSON can have."""
    return {f"{verb} {kind}": count for (verb, kind), count in sorted(requests.items()) if count}


class Run:
    """All measurements of the operator with one number of Models, in one cluster."""

    def __init__(self, client: Session, count: int) -> None:
        self._client, self._count = client, count
        self._names = subject.names(count)
        self._operator = Operator()

    async def all(self) -> Figures:
        """Measure one thing after the other."""
        await self._start()
        figures = {"idle_mib": self._usage().resident}
        figures |= await self.at_once()
        figures |= await self.at_rest()
        figures |= await self.one_change()
        figures["peak_mib"] = self._usage().peak
        figures |= await self.restart()
        await asyncio.to_thread(self._operator.stop)
        return figures

    # --- many at once ------------------------------------------------------------

    async def at_once(self) -> Figures:
        """Create all Models and wait until each is ready and says so."""
        applied, ready, says = Milestone(exists), Milestone(available), Milestone(told)
        where = subject.NAMESPACE
        async with (
            watched(self._client, rest.DEPLOYMENTS, where, applied, ready),
            watched(self._client, rest.MODELS, where, says),
        ):
            parts, cpu = self._parts(), self._usage().cpu
            asked, began = requests_of(self._operator), time.monotonic()
            await subject.create(self._client, self._names)
            created = time.monotonic() - began
            seconds = [await one.reached(self._count) - began for one in (applied, ready, says)]
            used = self._usage().cpu - cpu
            spent = {name: now - parts[name] for name, now in self._parts().items()}
        await self._quiet()
        requests = requests_of(self._operator) - asked
        return {
            "created_seconds": created,
            "applied_seconds": seconds[0],
            "ready_seconds": seconds[1],
            "told_seconds": seconds[2],
            "own_cpu_seconds": used,
            "cluster_cpu_seconds": spent,
            "requests": named(requests),
            "settled_mib": self._usage().resident,
        }

    # --- at rest ----------------------------------------------------------------

    async def at_rest(self) -> Figures:
        """Count what is written in a minute in which nothing happens, and what that costs."""
        await asyncio.sleep(DUE)
        asked, cpu = requests_of(self._operator), self._usage().cpu
        await asyncio.sleep(REST)
        requests = requests_of(self._operator) - asked
        return {
            "rest_writes": named(writes_in(requests)),
            "rest_requests": named(requests),
            "rest_cpu_percent": 100 * (self._usage().cpu - cpu) / REST,
        }

    # --- one at a time ------------------------------------------------------------

    async def one_change(self) -> Figures:
        """Ask one Model for other arguments, again and again: when is the new Deployment there?"""
        made = Milestone(exists)
        latencies = []
        async with watched(self._client, rest.DEPLOYMENTS, subject.NAMESPACE, made):
            await made.reached(self._count)
            for number in range(CHANGES):
                latencies.append(await self._change(made, number))
        ordered = sorted(latencies)
        return {
            "change_p50_ms": 1000 * statistics.median(ordered),
            "change_p99_ms": 1000 * ordered[-1],
            "change_ms": [round(1000 * one, 1) for one in latencies],
        }

    async def _change(self, made: Milestone, number: int) -> float:
        before = len(made.at)
        args = [f"--max-model-len={4096 + number}"]
        await self._patch(self._names[0], {"engine": {"args": args}})
        answered = time.monotonic()
        latency = await made.reached(before + 1) - answered
        await self._until_told(self._names[0])
        return max(0.0, latency)

    async def _patch(self, name: str, spec: dict[str, Any]) -> None:
        await self._client.patch(rest.MODELS.at(subject.NAMESPACE, name), {"spec": spec})

    async def _until_told(self, name: str) -> None:
        where = rest.MODELS.at(subject.NAMESPACE, name)
        async with asyncio.timeout(120):
            while not told(await self._client.get(where)):
                await asyncio.sleep(0.2)

    # --- restarted ----------------------------------------------------------------

    async def restart(self) -> Figures:
        """Restart it with nothing to do, and with one Model that changed meanwhile."""
        await self._quiet()
        await asyncio.to_thread(self._operator.stop)
        ready = await self._start()
        await self._quiet()
        needless = writes_in(requests_of(self._operator))
        await asyncio.to_thread(self._operator.stop)
        await self._patch(self._names[-1], {"replicas": 2})
        correct = await self._until_correct()
        await self._quiet()
        return {
            "restart_ready_seconds": ready,
            "restart_writes": named(needless),
            "restart_correct_seconds": correct,
            "restart_peak_mib": self._usage().peak,
        }

    async def _until_correct(self) -> float:
        current = Milestone(_is_current)
        watch = watched(self._client, rest.MODELS, subject.NAMESPACE, current)
        async with watch:
            await current.reached(self._count - 1)
            began = time.monotonic()
            await self._start()
            return await current.reached(self._count) - began

    async def _start(self) -> float:
        """Start the operator; return after how many seconds it works."""
        began = time.monotonic()
        self._operator.start()
        await asyncio.to_thread(self._until_working)
        return time.monotonic() - began

    def _until_working(self) -> None:
        until(lambda: self._operator.metric("modelfleet_leader ") == 1, "nobody leads")
        self._operator.ready()

    # --- all along ------------------------------------------------------------------

    def _usage(self) -> usage.Usage:
        assert self._operator.process is not None
        code = self._operator.process.poll()
        assert code is None, f"the operator ended with {code}: {self._operator.log}"
        return usage.of(self._operator.process.pid)

    def _parts(self) -> Mapping[str, float]:
        return usage.of_parts(os.environ["DEVCLUSTER"])

    async def _quiet(self) -> None:
        """Wait until nothing has been written for some seconds."""
        count = -1
        while count != (now := writes_in(requests_of(self._operator)).total()):
            count = now
            await asyncio.sleep(QUIET)


def _is_current(model: dict[str, Any]) -> bool:
    observed = model.get("status", {}).get("observedGeneration")
    return bool(observed == model["metadata"]["generation"])
