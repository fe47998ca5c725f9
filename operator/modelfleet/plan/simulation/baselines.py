"""What others do, by their published formulas: the yardsticks of a replay.

HPA (kubernetes.io, "Horizontal Pod Autoscaling"): every 15 s, on requests in flight per pod;
tolerance 0.1; pods without metrics count as 0 on the way up and as the target on the way down;
at most the larger of double and 4 more at a time; down to the largest wish of the window.

KPA (Knative serving's autoscaler): every 2 s; means over a stable window and over a tenth of it;
panic at twice what is ready, which ends after a stable window below and never scales down.
"""

import math
from collections import deque
from dataclasses import dataclass, field

from modelfleet.plan.simulation.replay import Seen, Wish


@dataclass(frozen=True, slots=True)
class Bounds:
    """How few and how many replicas there may be."""

    least: int
    most: int

    def clamp(self, replicas: int) -> int:
        """Return the nearest number that is allowed."""
        return min(max(replicas, self.least), self.most)


@dataclass(slots=True)
class Hpa:
    """Kubernetes' HorizontalPodAutoscaler on requests in flight per pod."""

    bounds: Bounds
    target: float
    window: float = 300.0
    """Downscale stabilisation, in seconds."""
    period: float = 15.0
    _wishes: deque[tuple[float, int]] = field(default_factory=deque)

    TOLERANCE = 0.1

    @property
    def settings(self) -> str:
        """What it goes by, as a user would say it."""
        return f"{self.target:g} in flight per pod, window {self.window:g} s"

    def decide(self, seen: Seen) -> Wish:
        """Follow demand up at once, and down to the largest wish of the window."""
        wish = self.bounds.clamp(min(self._wanted(seen), _fastest(seen.desired)))
        self._wishes.append((seen.now, wish))
        while self._wishes[0][0] <= seen.now - self.window:
            self._wishes.popleft()
        largest = max(replicas for _, replicas in self._wishes)
        stable = wish if wish > seen.desired else min(largest, seen.desired)
        return Wish(self.bounds.clamp(stable))

    def _wanted(self, seen: Seen) -> int:
        ready = seen.ready
        if not seen.desired:
            return 1 if seen.held else 0
        if not ready:
            return seen.desired  # no metrics at all: it does nothing
        load = sum(one.engine.in_flight for one in ready)
        ratio = load / len(ready) / self.target
        if abs(ratio - 1) <= self.TOLERANCE:
            return seen.desired
        missing = max(seen.desired - len(ready), 0)
        if not missing:
            return math.ceil(load / self.target)
        return self._with_missing(load + (missing * self.target if ratio < 1 else 0), ratio, seen)

    def _with_missing(self, load: float, ratio: float, seen: Seen) -> int:
        corrected = load / seen.desired / self.target
        turned = (corrected > 1) != (ratio > 1)
        if turned or abs(corrected - 1) <= self.TOLERANCE:
            return seen.desired
        return math.ceil(corrected * seen.desired)


def _fastest(current: int) -> int:
    return max(2 * current, current + 4)


@dataclass(slots=True)
class Kpa:
    """Knative's pod autoscaler on concurrency."""

    bounds: Bounds
    target: float
    """Requests in flight per pod: Knative's target times its utilisation."""
    window: float = 60.0
    """The stable one, in seconds."""
    delay: float = 0.0
    """Of scaling down, in seconds."""
    period: float = 2.0
    _wishes: deque[tuple[float, int]] = field(default_factory=deque)
    _samples: deque[tuple[float, int]] = field(default_factory=deque)
    _sum: int = 0
    _panic_until: float = -math.inf
    _panic_most: int = 0

    PANIC_SHARE, PANIC_THRESHOLD, MOST_UP, MOST_DOWN = 0.1, 2.0, 1000.0, 2.0

    @property
    def settings(self) -> str:
        """What it goes by, as a user would say it."""
        windows = f"stable window {self.window:g} s, scale-down delay {self.delay:g} s"
        return f"{self.target:g} in flight per pod, {windows}"

    def decide(self, seen: Seen) -> Wish:
        """Follow the stable mean, or in panic the larger of both and never down."""
        ready = len(seen.ready)
        self._take(seen)
        stable = self._wanted(self._sum / len(self._samples), ready)
        panic = self._wanted(self._panic_mean(seen.now), ready)
        if panic / max(ready, 1) >= self.PANIC_THRESHOLD:
            if seen.now >= self._panic_until:
                self._panic_most = 0
            self._panic_until = seen.now + self.window
        if seen.now < self._panic_until:
            self._panic_most = stable = max(self._panic_most, stable, panic)
        return Wish(self._delayed(self.bounds.clamp(stable), seen.now))

    def _delayed(self, wish: int, now: float) -> int:
        """Return the largest wish of the delay window."""
        self._wishes.append((now, wish))
        while self._wishes[0][0] < now - self.delay:
            self._wishes.popleft()
        return max(replicas for _, replicas in self._wishes)

    def _take(self, seen: Seen) -> None:
        load = seen.held + sum(one.engine.in_flight for one in seen.replicas)
        self._samples.append((seen.now, load))
        self._sum += load
        while self._samples[0][0] <= seen.now - self.window:
            self._sum -= self._samples.popleft()[1]

    def _panic_mean(self, now: float) -> float:
        since = now - max(self.window * self.PANIC_SHARE, self.period)
        recent: list[int] = []
        for at, load in reversed(self._samples):
            if at <= since:
                break
            recent.append(load)
        return sum(recent) / len(recent)

    def _wanted(self, load: float, ready: int) -> int:
        up = math.ceil(self.MOST_UP * max(ready, 1))
        down = math.floor(ready / self.MOST_DOWN)
        return min(max(math.ceil(load / self.target), down), up)
