"""What model servers told of themselves, as decisions read it. What is not there is unknown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from modelfleet.api.v1alpha1.engine import Signal
from modelfleet.engines.metrics import Histogram

__all__ = ["Histogram", "ProbeResult", "Process", "Reason", "Scrape", "ScrapeFailure"]


class Reason(StrEnum):
    """Why a pod told nothing. None of these says anything about its load."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    """No connection."""
    CUT = "cut"
    """The answer broke off, never began, or was not HTTP."""
    STATUS = "status"
    """An answer other than 200; redirects are not followed."""
    TOO_LARGE = "too_large"
    NOT_TEXT = "not_text"
    """Another content type, or packed though not asked for."""
    UNPARSABLE = "unparsable"
    ADDRESS = "address"
    """Not an IP address that a pod may have."""
    DEFECT = "defect"
    """An error of ours."""


@dataclass(frozen=True, slots=True)
class Process:
    """One run of an engine: its counters begin at zero and are never compared with another's."""

    restarts: int = 0
    """Of the container, as the API server had it."""
    started: float | None = None
    """What the page says of its start; only equality means anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """One reading of one pod's metrics."""

    pod: str
    """uid"""
    namespace: str
    model: str
    revision: str
    at: datetime
    """When the whole page had come."""
    process: Process = Process()
    values: Mapping[Signal, float] = field(default_factory=dict)
    """Gauges, and counters since the start of the process. A signal that is absent is unknown."""
    histograms: Mapping[Signal, Histogram] = field(default_factory=dict)
    """In seconds, counted since the start of the process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeFailure:
    """A reading that gave nothing."""

    pod: str
    """uid"""
    namespace: str
    model: str
    revision: str
    at: datetime
    reason: Reason
    status: int = 0
    """The HTTP status, where the reason is that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What became of one small request of our own to one pod."""

    pod: str
    """uid"""
    namespace: str
    model: str
    revision: str
    at: datetime
    """When it was sent."""
    failure: Reason | None = None
    status: int = 0
    """The HTTP status, where the failure is that; an error inside a stream counts as 500."""
    seconds: float
    """From sending it to the end of the answer, or until it failed."""
    first_token_seconds: float | None = None
    """None where none came or the request asks for none."""

    @property
    def ok(self) -> bool:
        """Whether it was answered in full."""
        return self.failure is None
