"""The text format of metrics, fast: a page of 600 lines is printed for each scrape of each pod."""

from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache

Labels = tuple[tuple[str, str], ...]
Bounds = tuple[float, ...]


class Histogram:
    """Counts of observations by size. `bounds` are upper bounds, ascending, without infinity."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count `value`, several times if told so."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    @property
    def total(self) -> int:
        """Number of observations."""
        return sum(self.counts)


class Page:
    """Collects the lines of one scrape."""

    def __init__(self, labels: Mapping[str, str] | None = None) -> None:
        self._labels = tuple((labels or {}).items())
        self._parts: list[str] = []

    def gauge(self, name: str, text: str, value: float, **labels: str) -> None:
        """Add a gauge with one series."""
        self.family(name, "gauge", text)
        self.sample(name, value, **labels)

    def counter(self, name: str, text: str, value: float, **labels: str) -> None:
        """Add a counter with one series."""
        self.family(name, "counter", text)
        self.sample(name, value, **labels)

    def family(self, name: str, kind: str, text: str) -> None:
        """Start a metric whose series follow by `sample`."""
        self._parts.append(_head(name, kind, text))

    def sample(self, name: str, value: float, **labels: str) -> None:
        """Add a series, with the labels of the page and its own."""
        labelled = _labelled((*self._labels, *labels.items()))
        self._parts.append(f"{name}{labelled} {number(value)}\n")

    def histogram(self, name: str, text: str, histogram: Histogram, **labels: str) -> None:
        """Add a histogram with one series."""
        self.family(name, "histogram", text)
        self.buckets(name, histogram, **labels)

    def buckets(self, name: str, histogram: Histogram, **labels: str) -> None:
        """Add a series of a histogram."""
        own = (*self._labels, *labels.items())
        if histogram.total:
            self._parts.append(_buckets(name, own, histogram))
        else:
            self._parts.append(_empty(name, own, histogram.bounds))

    def text(self) -> str:
        """Return the page."""
        return "".join(self._parts)


def number(value: float) -> str:
    """Return a value as the format wants it."""
    return repr(float(value))


@lru_cache(maxsize=1024)
def _head(name: str, kind: str, text: str) -> str:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


@lru_cache(maxsize=8192)
def _labelled(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in sorted(labels)) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


@lru_cache(maxsize=4096)
def _empty(name: str, labels: Labels, bounds: Bounds) -> str:
    """Return a histogram that has seen nothing; most of an idle fleet's lines are of those."""
    return _buckets(name, labels, Histogram(bounds))


def _buckets(name: str, labels: Labels, histogram: Histogram) -> str:
    lines = []
    running = 0
    for le, count in zip(_les(histogram.bounds), histogram.counts, strict=True):
        running += count
        lines.append(f"{name}_bucket{_labelled((*labels, ('le', le)))} {running}.0\n")
    labelled = _labelled(labels)
    lines.append(f"{name}_count{labelled} {running}.0\n")
    lines.append(f"{name}_sum{labelled} {number(histogram.sum)}\n")
    return "".join(lines)


@lru_cache(maxsize=64)
def _les(bounds: Bounds) -> tuple[str, ...]:
    return (*(number(bound) for bound in bounds), "+Inf")
