"""Requests to the replicas of a small cluster, and what the engines tell of them.

Nothing is random: every ready pod that the Service leads to gets the same share, and a share of
errors comes as evenly as whole requests allow.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from modelfleet.api import labels
from modelfleet.api.v1alpha1.engine import Signal
from modelfleet.engines.metrics import Histogram
from modelfleet.plan.samples import ProbeResult, Process, Scrape
from modelfleet.plan.samples import Reason as Failure
from modelfleet.plan.world import Pod
from support.fake_cluster import FakeCluster

READING = 10
"""Seconds between two readings."""

MOST_ROUNDS = 60


@dataclass(frozen=True)
class Behaviour:
    """What requests to one revision meet."""

    errors: float = 0.0
    first_token: float = 0.3
    """Seconds."""


@dataclass
class Engine:
    """Counters of one process."""

    requests: float = 0.0
    errors: float = 0.0
    first: float = 0.0


@dataclass
class Traffic:
    """A steady stream of requests to one Model. It makes time pass."""

    cluster: FakeCluster
    rate: float = 20.0
    """Requests per second to the whole Model."""
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)
    """By revision; any other is good."""
    probes: bool = False
    tells: bool = True
    """Whether engines tell of errors and latencies."""
    taken: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Requests that each revision has taken."""
    lowest: int = 1000
    """Fewest replicas that took requests at any reading."""
    on_step: Callable[[], None] = lambda: None
    """Called whenever everybody has acted once."""
    engines: defaultdict[str, Engine] = field(default_factory=lambda: defaultdict(Engine))

    def run(self, seconds: float) -> None:
        """Let so much time pass; everybody acts as often as there is something to do."""
        for _ in range(math.ceil(seconds / READING)):
            self.cluster.advance(READING)
            self.read()
            self.rest()

    def rest(self) -> None:
        """Let everybody act until nothing more happens at this instant."""
        for _ in range(MOST_ROUNDS):
            before = self.cluster.world.version
            self.cluster.step()
            self.on_step()
            self.lowest = min(self.lowest, len(self.answering()))
            if self.cluster.world.version == before:
                return
        raise AssertionError("no rest")

    def answering(self) -> list[Pod]:
        """Return the pods that take requests."""
        bound = self.cluster.get("Service", "chat")["spec"]["selector"].get(labels.REVISION)
        pods = [pod for pod in self.cluster.pods() if pod.ready and pod.serving]
        return [pod for pod in pods if bound in (None, pod.revision)]

    def read(self) -> None:
        """Serve what has come since the last reading, and read every ready pod."""
        serving = self.answering()
        for pod in serving:
            self._serve(pod, self.rate * READING / len(serving))
        for pod in self.cluster.pods():
            if pod.ready:
                self.cluster.scrapes.append(self._reading(pod))
                if self.probes:
                    self.cluster.probes.append(self._probe(pod))
        oldest = self.cluster.clock.timestamp() - 600
        for told in (self.cluster.scrapes, self.cluster.probes):
            told[:] = [one for one in told if one.at.timestamp() > oldest]

    def _behaviour(self, pod: Pod) -> Behaviour:
        return self.behaviours.get(pod.revision, Behaviour())

    def _serve(self, pod: Pod, requests: float) -> None:
        behaviour, engine = self._behaviour(pod), self.engines[pod.uid]
        engine.requests += requests
        engine.errors += requests * behaviour.errors
        engine.first += requests * behaviour.first_token
        self.taken[pod.revision] += requests

    def _reading(self, pod: Pod) -> Scrape:
        engine = self.engines[pod.uid]
        bad = float(int(engine.errors))
        counted = {"succeeded": int(engine.requests) - bad, "errors": bad, "aborted": 0.0}
        good = max(0.0, engine.requests - engine.errors)
        first = Histogram((math.inf,), (float(int(good)),), engine.first)
        return Scrape(
            pod=pod.uid,
            namespace=pod.namespace,
            model=pod.model,
            revision=pod.revision,
            at=self.cluster.clock,
            process=Process(pod.restarts, 1.0),
            values=cast(Mapping[Signal, float], counted if self.tells else {"running": 1.0}),
            histograms={"timeToFirstToken": first} if self.tells else {},
        )

    def _probe(self, pod: Pod) -> ProbeResult:
        fails = self._behaviour(pod).errors >= 0.5
        return ProbeResult(
            pod=pod.uid,
            namespace=pod.namespace,
            model=pod.model,
            revision=pod.revision,
            at=self.cluster.clock,
            failure=Failure.STATUS if fails else None,
            status=500 if fails else 0,
            seconds=1.0,
            first_token_seconds=None if fails else self._behaviour(pod).first_token,
        )
