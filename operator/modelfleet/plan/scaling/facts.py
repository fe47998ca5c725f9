"""What a decision about replicas looks at. All of it can be made by hand, without Kubernetes."""

from dataclasses import dataclass
from datetime import datetime

UNMEASURED_COLD_START = 300.0
"""Seconds that a start is taken to last before the first one was measured: a 70B model's."""

STALE = 45.0
"""Seconds after which a reading says nothing any more: three rounds."""

YOUNG = 60.0
"""Seconds in which a replica that has become ready may have nothing to tell yet."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one ready replica told last. None: it did not say."""

    pod: str
    at: datetime
    """When it told."""
    running: float | None = None
    waiting: float | None = None
    kv_cache: float | None = None
    """Share of the cache that is in use."""
    tokens_per_second: float | None = None
    """Prompt and generated ones, over the last minute."""
    requests_per_second: float | None = None
    """Requests that ended, over the last minute."""
    arrived: float | None = None
    """Requests that came since the page before the last one."""
    arrived_seconds: float = 0.0
    """How long that was."""
    tokens_each: float | None = None
    """Prompt and generated ones of a request, over the last minute."""
    first_token_seconds: float | None = None
    """The policy's percentile over the last minute."""
    first_tokens: float | None = None
    """Requests that this percentile is of; 0: none had a first token, and None: it is not told."""
    failing: bool = False
    """Requests end in errors and none does well: what is not running says nothing about load."""
    young: bool = False
    """Ready for so short a time that it may have nothing to tell yet."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The readings of all ready replicas that answered. One that is missing did not."""

    readings: tuple[Reading, ...] = ()
    held: int | None = None
    """Requests that somebody holds for the model; None: nobody does that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The model itself. `desired` is what was decided last."""

    desired: int
    ready: int = 0
    """Replicas that are ready and stay."""
    young: int = 0
    """Those of them that became ready less than a minute ago."""
    loading: int = 0
    """On a node and on their way; those that fail again and again are not."""
    pending: int = 0
    """Asked for and without a node."""
    cold_start: float | None = None
    """Seconds, as measured last; None: never yet."""
    gpus: int = 0
    """Of one replica."""
    price: int | None = None
    """Micro-dollars of one GPU and hour; None: not known, and then no rule about cost applies."""
    rolling_out: bool = False
    """Revisions are being exchanged or compared."""
    scaled_by: str = ""
    """Who else scales it."""
    untold: frozenset[str] = frozenset()
    """Signals that this engine never tells, by their names in `plan.scaling.signals`."""

    @property
    def coming(self) -> int:
        """Replicas that were asked for and are not ready."""
        return self.loading + self.pending

    @property
    def start(self) -> float:
        """The length of a cold start in seconds, measured or assumed."""
        return UNMEASURED_COLD_START if self.cold_start is None else self.cold_start
