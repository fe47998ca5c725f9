"""What the operator would do with an AutoscalingPolicy: the same decision, on what engines tell."""

from collections import defaultdict, deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from modelfleet.plan.samples import Histogram, Process, Scrape
from modelfleet.plan.scaling import (
    Facts,
    Memory,
    Policy,
    Reading,
    Replica,
    Samples,
    Window,
    decide,
    readings_for,
)
from modelfleet.plan.scaling.facts import YOUNG
from modelfleet.plan.scaling.readings import SPAN
from modelfleet.plan.simulation.engine import BOUNDS
from modelfleet.plan.simulation.fleet import Replica as Pod
from modelfleet.plan.simulation.profiles import Profile
from modelfleet.plan.simulation.replay import Seen, Wish

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
"""Schedules need a day and an hour: a trace begins at midnight of this one."""

MICRO = 1_000_000


class Following:
    """Follows a policy. Each look is a scrape of all ready replicas and a decision."""

    period = 15.0

    def __init__(self, policy: Policy, profile: Profile, began: datetime = MONDAY) -> None:
        self._policy, self._profile, self._began = policy, profile, began
        self._memory = Memory()
        self._pages: defaultdict[int, deque[Scrape]] = defaultdict(deque)

    @property
    def settings(self) -> str:
        """What it goes by, as a user would say it."""
        return described(self._policy)

    def decide(self, seen: Seen) -> Wish:
        """Scrape, and decide as the operator does."""
        now = self._at(seen.now)
        ready = seen.ready
        self._scrape(ready, now)
        samples = Samples(self._readings(ready, now), held=seen.held)
        decision = decide(self._policy, self._facts(seen), samples, self._memory, now)
        self._memory = decision.memory
        return Wish(decision.replicas, decision.message)

    def _at(self, seconds: float) -> datetime:
        return self._began + timedelta(seconds=seconds)

    def _scrape(self, ready: Iterable[Pod], now: datetime) -> None:
        gone = set(self._pages)
        for pod in ready:
            gone.discard(pod.number)
            pages = self._pages[pod.number]
            pages.append(page_of(pod, now))
            while pages[0].at < now - SPAN:
                pages.popleft()
        for number in gone:
            del self._pages[number]

    def _readings(self, ready: Iterable[Pod], now: datetime) -> tuple[Reading, ...]:
        replicas = [Replica(_uid(pod), self._at(pod.ready_at)) for pod in ready]
        pages = (page for kept in self._pages.values() for page in kept)
        return readings_for(pages, replicas, self._policy.targets.first_token_percentile, now)

    def _facts(self, seen: Seen) -> Facts:
        staying = [pod for pod in seen.replicas if pod.drains_since is None]
        ready = [pod for pod in staying if pod.ready_at <= seen.now]
        profile = self._profile
        return Facts(
            desired=seen.desired,
            ready=len(ready),
            young=sum(seen.now - pod.ready_at < YOUNG for pod in ready),
            loading=len(staying) - len(ready),
            cold_start=profile.cold_start_seconds,
            gpus=profile.gpus,
            price=round(profile.dollars_per_gpu_hour * MICRO) or None,
        )


def page_of(pod: Pod, now: datetime) -> Scrape:
    """Return what a replica's metrics would show."""
    engine, counters = pod.engine, pod.engine.counters
    counts = tuple(map(float, accumulate(counters.first_tokens)))
    return Scrape(
        pod=_uid(pod),
        namespace="",
        model="",
        revision="",
        at=now,
        process=Process(started=pod.ready_at),
        values={
            "running": engine.running,
            "waiting": engine.waiting,
            "kvCacheUsage": engine.kv_usage,
            "promptTokens": counters.prompt_tokens,
            "generationTokens": float(int(counters.generated_tokens)),
            "succeeded": counters.finished,
        },
        histograms={"timeToFirstToken": Histogram(BOUNDS, counts, counters.first_token_seconds)},
    )


def _uid(pod: Pod) -> str:
    return f"{pod.number:06}"


def described(policy: Policy) -> str:
    """Return the targets and bounds of a policy in one line."""
    targets = policy.targets
    told = (
        (targets.concurrency, "requests"),
        (targets.queue, "waiting"),
        (targets.tokens_per_second, "tokens/s"),
    )
    parts = [f"{value:g} {unit} per replica" for value, unit in told if value is not None]
    if targets.kv_cache is not None:
        parts.append(f"cache {100 * targets.kv_cache:g} % full")
    if targets.first_token_seconds is not None:
        share = 100 * targets.first_token_percentile
        parts.append(f"first token p{share:g} in {targets.first_token_seconds:g} s")
    bounds = f"{policy.least} to {policy.most} replicas"
    return f"{', '.join(parts)}; window {_length(policy.down)}; {bounds}"


def _length(window: Window) -> str:
    if window.seconds is not None:
        return f"{window.seconds:g} s"
    least = f", {window.least:g} s at least" if window.least else ""
    return f"{window.cold_starts:g} cold starts{least}"
