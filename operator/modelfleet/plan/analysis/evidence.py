"""What is known of one revision between two instants. What nobody told is not in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MOMENT = timedelta(seconds=10)
"""The shortest time over which latencies of two revisions are compared: about a scrape interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time that a window covers, after `since` up to and with `until`."""

    since: datetime
    until: datetime
    warm_up: timedelta = timedelta(seconds=30)
    """Left out at the beginning of each pod's life in traffic."""
    serving_since: Mapping[str, datetime] = field(default_factory=dict)
    """Pods (uid) that should tell something, and since when they take traffic.

    A pod that is not in here is taken to begin with the first of its scrapes that are given.
    """
    moment: timedelta = MOMENT

    @property
    def is_usable(self) -> bool:
        """Whether there is any time in it."""
        return self.since < self.until and self.moment > timedelta(0)


@dataclass(frozen=True, slots=True)
class Sum:
    """Observations of one latency: how many, and their sum in seconds."""

    count: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(self.count + other.count, self.seconds + other.seconds)

    @property
    def mean(self) -> float | None:
        """Seconds; None without an observation."""
        return self.seconds / self.count if self.count > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """All pods of one revision together. A signal that is absent is unknown, never zero."""

    revision: str
    since: datetime
    until: datetime
    pods: frozenset[str] = frozenset()
    """Those that at least two scrapes tell of: one scrape is no change."""
    silent: frozenset[str] = frozenset()
    """Pods that should have told something all the time and told nothing."""
    unknown: Mapping[str, int] = field(default_factory=dict)
    """Signals that some pods told and others did not → how many did not. They are left out."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """What the counters grew by, as {"succeeded": 240, "errors": 2}."""
    latencies: Mapping[str, Mapping[int, Sum]] = field(default_factory=dict)
    """Signal → number of the moment since `since` → what was observed in it."""
    restarts: int = 0
    """Processes that ended between two scrapes, and began again."""
    dropped: int = 0
    """Values that no counter can have: no number, infinite, negative."""


@dataclass(frozen=True, slots=True)
class ProbeResults:
    """Labelled requests of our own to one revision: a second source, apart from the users'."""

    ok: int = 0
    failed: int = 0
    first_token_seconds: tuple[float, ...] = ()
    """Of those that were answered."""


@dataclass(frozen=True, slots=True)
class Health:
    """Facts about the pods of one revision since it takes traffic, as Kubernetes tells them."""

    pods: int = 0
    restarts: int = 0
    """Containers that ended under load since the window before; each is told once."""
    crash_looping: int = 0
    """Pods whose container the kubelet holds back, or whose phase is Failed."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One revision in one interval, from all sources. None: the source has nothing to say."""

    window: Window
    probes: ProbeResults | None = None
    health: Health = Health()
