"""What pods told in the last minutes, in little memory. A restart of the operator forgets it."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import isnan, nan

from modelfleet.api.v1alpha1.engine import Signal
from modelfleet.plan.samples import Histogram, Process, Scrape, ScrapeFailure
from modelfleet.servers.packing import pack, unpack

Family = tuple[str, str]
"""Namespace and name of a Model."""

Spread = tuple[Signal, tuple[float, ...]]
"""A histogram's signal and bounds."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept at most; the oldest goes first."""

    window: timedelta = timedelta(minutes=10)
    per_pod: int = 40
    """Readings."""
    pods: int = 20_000


class Samples:
    """The newest readings of each pod, also of pods that are gone, until these are too old.

    A reading that failed is no reading: only the newest failure of a pod is kept.
    """

    def __init__(self, bounds: Bounds = Bounds()) -> None:
        self._bounds = bounds
        self._families: dict[Family, dict[str, _Pod]] = {}
        self._count = 0

    @property
    def pods(self) -> int:
        """How many pods something is known of."""
        return self._count

    def __len__(self) -> int:
        return sum(len(pod) for pods in self._families.values() for pod in pods.values())

    def add(self, answers: Iterable[Scrape | ScrapeFailure], now: datetime) -> None:
        """Keep these, and forget what is too old at `now`."""
        oldest = (now - self._bounds.window).timestamp()
        for one in answers:
            pod = self._pod((one.namespace, one.model), one.pod)
            if isinstance(one, Scrape):
                pod.add(one)
            else:
                pod.fail(one)
            pod.trim(oldest, self._bounds.per_pod)
        self._forget_before(oldest)

    def of(
        self, namespace: str, model: str, *, since: datetime, revision: str | None = None
    ) -> tuple[Scrape, ...]:
        """Return the readings of a Model, or of one of its revisions, each pod's in order."""
        return tuple(
            scrape
            for uid, pod in self._of(namespace, model)
            for scrape in pod.scrapes(uid, since.timestamp())
            if revision is None or scrape.revision == revision
        )

    def ends(self, namespace: str, model: str, *, since: datetime) -> tuple[Scrape, ...]:
        """Return the first, a middle and the last reading of each pod's last run since then."""
        return tuple(
            scrape
            for uid, pod in self._of(namespace, model)
            for scrape in pod.ends(uid, since.timestamp())
        )

    def latest(self, namespace: str, model: str) -> dict[str, Scrape | ScrapeFailure]:
        """Return what each pod told last, by uid: a failure if the last reading was one."""
        found = ((uid, pod.latest(uid)) for uid, pod in self._of(namespace, model))
        return {uid: one for uid, one in found if one is not None}

    def forget(self, namespace: str, model: str) -> None:
        """Forget a Model."""
        self._count -= len(self._families.pop((namespace, model), ()))

    def _of(self, namespace: str, model: str) -> Iterable[tuple[str, "_Pod"]]:
        return self._families.get((namespace, model), {}).items()

    def _pod(self, family: Family, uid: str) -> "_Pod":
        known = self._families.get(family, {}).get(uid)
        if known is not None:
            return known
        if self._count >= self._bounds.pods:
            self._make_room()
        self._count += 1
        return self._families.setdefault(family, {}).setdefault(uid, _Pod(*family))

    def _make_room(self) -> None:
        """Drop the tenth of the pods that has told nothing for the longest time."""
        everyone = [
            (pod.told, family, uid)
            for family, pods in self._families.items()
            for uid, pod in pods.items()
        ]
        for _, family, uid in sorted(everyone)[: len(everyone) // 10 + 1]:
            self._drop(family, [uid])

    def _forget_before(self, instant: float) -> None:
        for family, pods in list(self._families.items()):
            self._drop(family, [uid for uid, pod in pods.items() if pod.told < instant])

    def _drop(self, family: Family, uids: Iterable[str]) -> None:
        pods = self._families[family]
        for uid in uids:
            del pods[uid]
            self._count -= 1
        if not pods:
            del self._families[family]


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the numbers of a row mean. Pods have hundreds of rows of one layout."""

    revision: str
    process: Process
    signals: tuple[Signal, ...]
    spreads: tuple[Spread, ...]

    @property
    def width(self) -> int:
        return len(self.signals) + sum(1 + len(bounds) for _, bounds in self.spreads)


@dataclass(slots=True)
class _Run:
    """Rows of one layout, oldest first."""

    layout: _Layout
    instants: "array[float]" = field(default_factory=lambda: array("d"))
    rows: list[bytes] = field(default_factory=list)


class _Pod:
    """A pod's readings: several runs only where its process or its page has changed."""

    __slots__ = ("_failure", "_model", "_namespace", "_runs", "told")

    def __init__(self, namespace: str, model: str) -> None:
        self._namespace, self._model = namespace, model
        self._runs: list[_Run] = []
        self._failure: ScrapeFailure | None = None
        self.told = 0.0
        """When it answered, or failed to, for the last time."""

    def __len__(self) -> int:
        return sum(len(run.rows) for run in self._runs)

    def add(self, scrape: Scrape) -> None:
        at = self._tell(scrape.at)
        self._failure = None
        layout = _layout_of(scrape)
        if not self._runs or self._runs[-1].layout != layout:
            self._runs.append(_Run(layout))
        self._runs[-1].instants.append(at)
        self._runs[-1].rows.append(pack(list(_numbers_of(scrape))))

    def fail(self, failure: ScrapeFailure) -> None:
        self._tell(failure.at)
        self._failure = failure

    def _tell(self, at: datetime) -> float:
        instant = at.timestamp()
        if instant < self.told:
            self._runs.clear()  # the clock was set back: nothing here has a known age
        self.told = instant
        return instant

    def trim(self, oldest: float, most: int) -> None:
        excess = len(self) - most
        for run in self._runs:
            stale = max(bisect_left(run.instants, oldest), min(excess, len(run.rows)))
            del run.instants[:stale], run.rows[:stale]
            excess -= stale
        if not all(run.rows for run in self._runs):
            self._runs = [run for run in self._runs if run.rows]

    def scrapes(self, uid: str, since: float) -> Iterator[Scrape]:
        for run in self._runs:
            for place in range(bisect_left(run.instants, since), len(run.rows)):
                yield self._scrape(uid, run, place)

    def ends(self, uid: str, since: float) -> Iterator[Scrape]:
        if not self._runs:
            return
        run = self._runs[-1]
        first, last = bisect_left(run.instants, since), len(run.rows) - 1
        if first <= last:
            for place in sorted({first, (first + last) // 2, last}):
                yield self._scrape(uid, run, place)

    def latest(self, uid: str) -> Scrape | ScrapeFailure | None:
        if self._failure is not None or not self._runs:
            return self._failure
        return self._scrape(uid, self._runs[-1], -1)

    def _scrape(self, uid: str, run: _Run, place: int) -> Scrape:
        layout = run.layout
        numbers = unpack(run.rows[place], layout.width)
        return Scrape(
            pod=uid,
            namespace=self._namespace,
            model=self._model,
            revision=layout.revision,
            at=datetime.fromtimestamp(run.instants[place], UTC),
            process=layout.process,
            values={signal: next(numbers) for signal in layout.signals},
            histograms=dict(_histograms(layout, numbers)),
        )


def _layout_of(scrape: Scrape) -> _Layout:
    spreads = tuple((signal, one.bounds) for signal, one in scrape.histograms.items())
    return _Layout(scrape.revision, scrape.process, tuple(scrape.values), spreads)


def _numbers_of(scrape: Scrape) -> Iterator[float]:
    yield from scrape.values.values()
    for one in scrape.histograms.values():
        yield nan if one.sum is None else one.sum
        yield from one.counts


def _histograms(layout: _Layout, numbers: Iterator[float]) -> Iterator[tuple[Signal, Histogram]]:
    for signal, bounds in layout.spreads:
        total = next(numbers)
        counts = tuple(next(numbers) for _ in bounds)
        yield signal, Histogram(bounds, counts, None if isnan(total) else total)
