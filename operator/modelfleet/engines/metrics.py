"""What an engine's Prometheus page says, by signal. A missing metric is unknown, never zero."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from modelfleet.api.v1alpha1.engine import MetricNames, Metrics, Signal

LINE = re.compile(r"^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*$")
LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')
ESCAPED = re.compile(r"\\(.)")

RANKS = frozenset({"tp_rank", "pp_rank", "moe_ep_rank"})
"""Processes that work on the same requests: each tells of all of them."""

DISTRIBUTIONS: frozenset[Signal] = frozenset({"timeToFirstToken", "timePerOutputToken"})
FULLEST: frozenset[Signal] = frozenset({"kvCacheUsage"})


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a page."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram: how many observations were at most each bound, in seconds, and their sum."""

    at_most: tuple[tuple[float, float], ...]
    sum: float


def samples(page: str) -> Iterator[Sample]:
    """Yield the lines that are samples; comments and what does not parse are passed over."""
    for line in page.splitlines():
        found = LINE.match(line)
        if found and (value := _number(found.group(3))) is not None:
            yield Sample(found.group(1), dict(_labels(found.group(2) or "")), value)


def read(page: str, metrics: Metrics) -> dict[Signal, float]:
    """Return the gauges and counters that the page has, by signal."""
    found = list(samples(page))
    values = (
        (one.signal, _value(found, one))
        for one in metrics.signals
        if one.signal not in DISTRIBUTIONS
    )
    return {signal: value for signal, value in values if value is not None}


def distributions(page: str, metrics: Metrics) -> dict[Signal, Distribution]:
    """Return the histograms that the page has, by signal."""
    found = list(samples(page))
    histograms = (
        (one.signal, _distribution(found, one))
        for one in metrics.signals
        if one.signal in DISTRIBUTIONS
    )
    return {signal: histogram for signal, histogram in histograms if histogram is not None}


def _value(found: Iterable[Sample], wanted: MetricNames) -> float | None:
    for name in wanted.names:
        series = [one for one in found if one.name == name and _counts(one, wanted)]
        if series:
            each = _per_replica(series)
            return max(each) if wanted.signal in FULLEST else math.fsum(each)
    return None


def _counts(sample: Sample, wanted: MetricNames) -> bool:
    return wanted.label is None or sample.labels.get(wanted.label) in wanted.values


def _per_replica(series: Iterable[Sample]) -> list[float]:
    """Take ranks that tell of the same requests together."""
    groups: defaultdict[frozenset[tuple[str, str]], list[float]] = defaultdict(list)
    for one in series:
        groups[frozenset((k, v) for k, v in one.labels.items() if k not in RANKS)].append(one.value)
    return [max(values) for values in groups.values()]


def _distribution(found: Iterable[Sample], wanted: MetricNames) -> Distribution | None:
    for name in wanted.names:
        buckets: defaultdict[float, float] = defaultdict(float)
        for one in found:
            bound = _number(one.labels.get("le", ""))
            if one.name == f"{name}_bucket" and bound is not None:
                buckets[bound] += one.value
        if buckets:
            total = math.fsum(one.value for one in found if one.name == f"{name}_sum")
            return Distribution(tuple(sorted(buckets.items())), total)
    return None


def _labels(text: str) -> Iterator[tuple[str, str]]:
    for name, value in LABEL.findall(text):
        yield name, ESCAPED.sub(lambda one: "\n" if one.group(1) == "n" else one.group(1), value)


def _number(text: str) -> float | None:
    """Read a value as Prometheus writes it. Not a number is as good as no sample."""
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value
