"""Simulated canaries: how often a good one fails, how soon a bad one does.

Made to be hard for the test: prompts of very different lengths, pods and whole fleets that are slow
for half a minute at a time, bursts of arrivals, bursts of errors that hit any pod, and scrapes that
are not in step. Run as `python -m unit.plan.analysis.rollouts` it prints the table of
docs/analysis.md.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median

from modelfleet.engines.metrics import Histogram
from modelfleet.plan.analysis import (
    Evidence,
    Memory,
    Span,
    Tolerances,
    Verdict,
    dumps,
    judge,
    loads,
    window_for,
)
from modelfleet.plan.samples import Process, Scrape

START = datetime(2026, 1, 1, tzinfo=UTC)
SCRAPE = 10
INTERVAL = 60
WARM_UP = 30
STEPS = ((10, 300), (50, 600))
PATIENCE = 3
"""Times its duration that a step may take to be decided."""
PODS = 10


@dataclass(frozen=True)
class Behaviour:
    """What requests to one revision meet."""

    errors: float = 0.001
    aborts: float = 0.005
    first_token: float = 1.0
    """Times 0.3 s in the median."""
    output_token: float = 1.0
    """Times 20 ms."""


@dataclass(frozen=True)
class Traffic:
    """Arrivals at the whole Model."""

    rate: float = 2.0
    """Requests per second in the mean."""
    bursty: bool = False
    """A fifth of the time has all of it, in bursts of 20 s in the mean."""
    glitches: bool = False
    """Now and then a pod of either revision fails every second request for ten seconds."""


GOOD = Behaviour()
TOLERANCES = Tolerances()


@dataclass
class Drift:
    """A factor that wanders: the logarithm is an AR(1) process with a memory of half a minute."""

    spread: float
    log: float = 0.0

    def step(self, random: Random) -> float:
        keep = math.exp(-SCRAPE / 30)
        self.log = keep * self.log + random.gauss(0, self.spread * math.sqrt(1 - keep**2))
        return math.exp(self.log)


@dataclass
class Pod:
    """A replica with its counters."""

    name: str
    revision: str
    behaviour: Behaviour
    succeeded: int = 0
    errors: int = 0
    aborted: int = 0
    first: tuple[int, float] = (0, 0.0)
    output: tuple[int, float] = (0, 0.0)
    load: Drift = field(default_factory=lambda: Drift(0.25))
    decode: Drift = field(default_factory=lambda: Drift(0.1))

    def serve(self, requests: int, common: float, broken: bool, random: Random) -> None:
        load, decode = common * self.load.step(random), self.decode.step(random)
        for _ in range(requests):
            self._one(load, decode, broken, random)

    def _one(self, load: float, decode: float, broken: bool, random: Random) -> None:
        if random.random() < (0.5 if broken else self.behaviour.errors):
            self.errors += 1
            return
        waited = 0.3 * load * self.behaviour.first_token * random.lognormvariate(0, 0.9)
        self.first = (self.first[0] + 1, self.first[1] + waited)
        tokens = 1 + int(random.expovariate(1 / 150))
        each = 0.02 * decode * self.behaviour.output_token * random.lognormvariate(0, 0.15)
        self.output = (self.output[0] + tokens, self.output[1] + tokens * each)
        if random.random() < self.behaviour.aborts:
            self.aborted += 1
        else:
            self.succeeded += 1

    def scrape(self, at: datetime) -> Scrape:
        values = {"succeeded": self.succeeded, "errors": self.errors, "aborted": self.aborted}
        return Scrape(
            pod=self.name,
            namespace="",
            model="",
            revision=self.revision,
            at=at,
            process=Process(0, 1.0),
            values={name: float(value) for name, value in values.items()},  # type: ignore[misc]
            histograms={
                "timeToFirstToken": _histogram(self.first),
                "timePerOutputToken": _histogram(self.output),
            },
        )


@dataclass(frozen=True)
class Outcome:
    """How a rollout ended."""

    verdict: Verdict
    """Inconclusive: a step could not be decided in time."""
    seconds: int
    exposed: int
    """Requests that the canary took."""
    requests: int
    why: str

    @property
    def intervals(self) -> int:
        return self.seconds // INTERVAL


class Fleet:
    """Ten pods under one load; a share of them is of the canary's revision."""

    def __init__(self, canary: Behaviour, traffic: Traffic, random: Random) -> None:
        self.random, self.traffic, self.canary = random, traffic, canary
        self.canaries: list[Pod] = []
        self.stables = [Pod(f"stable-{number}", "stable", GOOD) for number in range(PODS)]
        self.common, self.busy, self.now = Drift(0.3), False, 0
        self.taken = [0, 0]
        self.scrapes: list[Scrape] = []

    def exchange(self, weight: int) -> None:
        """Put so many percent of canaries in the place of stable pods."""
        while len(self.canaries) < PODS * weight // 100:
            self.stables.pop()
            self.canaries.append(Pod(f"canary-{len(self.canaries)}", "canary", self.canary))

    def run(self) -> None:
        """Let one scrape interval pass."""
        self.now += SCRAPE
        common, arrivals = self.common.step(self.random), self._arrivals()
        requests = [0] * PODS
        for _ in range(arrivals):
            requests[self.random.randrange(PODS)] += 1
        self.taken[0] += arrivals
        self.taken[1] += sum(requests[: len(self.canaries)])
        for pod, own in zip((*self.canaries, *self.stables), requests, strict=True):
            broken = self.traffic.glitches and self.random.random() < SCRAPE / 1800
            pod.serve(own, common, broken, self.random)
            late = self.random.random()
            self.scrapes.append(pod.scrape(START + timedelta(seconds=self.now - late)))
        self.scrapes = self.scrapes[-3 * INTERVAL // SCRAPE * PODS :]

    def _arrivals(self) -> int:
        rate = self.traffic.rate
        if self.traffic.bursty:
            leaves = 1 - math.exp(-SCRAPE / (20 if self.busy else 80))
            self.busy ^= self.random.random() < leaves
            rate *= 5 if self.busy else 0
        return _poisson(rate * SCRAPE, self.random)


def rollout(
    canary: Behaviour, traffic: Traffic, seed: int, tolerances: Tolerances = TOLERANCES
) -> Outcome:
    """Run one canary from its first step to a decision."""
    fleet = Fleet(canary, traffic, Random(seed))
    memory, why = Memory(), ""
    for weight, duration in STEPS:
        fleet.exchange(weight)
        for passed in range(INTERVAL, duration * PATIENCE + 1, INTERVAL):
            for _ in range(INTERVAL // SCRAPE):
                fleet.run()
            found = judge(*_evidence(fleet), tolerances, memory)
            memory, why = loads(dumps(found.memory)), found.sentence
            if found.verdict is Verdict.FAIL:
                return _ended(fleet, Verdict.FAIL, why)
            if passed >= duration and found.verdict is Verdict.PASS:
                break
        else:
            return _ended(fleet, Verdict.INCONCLUSIVE, why)
        memory = memory.next_step()
    return _ended(fleet, Verdict.PASS, why)


def _ended(fleet: Fleet, verdict: Verdict, why: str) -> Outcome:
    return Outcome(verdict, fleet.now, fleet.taken[1], fleet.taken[0], why)


def _evidence(fleet: Fleet) -> tuple[Evidence, Evidence]:
    until = START + timedelta(seconds=fleet.now)
    span = Span(
        since=until - timedelta(seconds=INTERVAL), until=until, warm_up=timedelta(seconds=WARM_UP)
    )
    stable, canary = (window_for(one, fleet.scrapes, span) for one in ("stable", "canary"))
    return Evidence(stable), Evidence(canary)


def _histogram(observed: tuple[int, float]) -> Histogram:
    return Histogram((math.inf,), (float(observed[0]),), observed[1])


def _poisson(mean: float, random: Random) -> int:
    """Count exponential gaps."""
    count, left = 0, mean - random.expovariate(1)
    while left > 0:
        count, left = count + 1, left - random.expovariate(1)
    return count


# --- table --------------------------------------------------------------------

CASES = {
    "as good as stable": GOOD,
    "tolerably slower: 1.25 x": replace(GOOD, first_token=1.25),
    "5 % errors": replace(GOOD, errors=0.05),
    "all requests fail": replace(GOOD, errors=1.0),
    "2 % aborts": replace(GOOD, aborts=0.02),
    "3 x time to first token": replace(GOOD, first_token=3.0),
    "1.5 x time per output token": replace(GOOD, output_token=1.5),
}


def traffics() -> Iterator[tuple[str, Traffic]]:
    for rate in (0.5, 2.0, 10.0):
        yield f"{rate:g}/s", Traffic(rate)
        yield f"{rate:g}/s, bursts", Traffic(rate, bursty=True, glitches=True)


def line(name: str, traffic: str, outcomes: Sequence[Outcome]) -> str:
    """Return one row of the table."""
    failed = [one for one in outcomes if one.verdict is Verdict.FAIL]
    passed = sum(one.verdict is Verdict.PASS for one in outcomes)
    cells = [name, traffic, str(len(failed)), str(passed)]
    cells.append(str(len(outcomes) - len(failed) - passed))
    told = failed or [one for one in outcomes if one.verdict is Verdict.PASS]
    if told:
        cells.append(f"{median(one.intervals for one in told):g}")
        cells.append(f"{median(one.exposed for one in told):g}")
        cells.append(f"{median(100 * one.exposed / one.requests for one in told):.0f} %")
    return "| " + " | ".join([*cells, *["-"] * (8 - len(cells))]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print("| Canary | Traffic | Failed | Promoted | Undecided | Intervals | Requests | Share |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, canary in CASES.items():
        for label, traffic in traffics():
            seeds = range(options.seed, options.seed + options.rollouts)
            print(line(name, label, [rollout(canary, traffic, seed) for seed in seeds]), flush=True)


if __name__ == "__main__":
    main()
