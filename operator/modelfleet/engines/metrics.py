"""What an engine's Prometheus page says, by signal. A missing metric is unknown, never zero.

A page has hundreds of lines and thousands of pages are read again and again, so only the lines
whose names are wanted are looked at. Where one of these cannot be read, its signal is unknown: the
sum of the others would look like a counter that fell.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from modelfleet.api.v1alpha1.engine import MetricNames, Metrics, Signal

LINE = re.compile(
    r"([A-Za-z_:][A-Za-z0-9_:]*)"
    r'(?:\{([^"}]*+(?:"(?:[^"\\]|\\.)*+"[^"}]*+)*+)\})?'  # possessive: linear in time
    r"[ \t]+(\S+)(?:[ \t]+-?\d+)?[ \t\r]*"
)
LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')
PLAIN = r"\{([^}\\\n]*)\} ([^\s]+)$"
"""The rest of a line with labels and a value, and with nothing that needs a closer look."""
ESCAPED = re.compile(r"\\(.)")

LONGEST_LINE = 16 * 1024
"""Characters. What is longer is not a sample."""
MOST_SERIES = 20_000
"""Of the wanted names on one page. A page with more is not believed."""

KNOWN_LABELS = 1024
"""Pages have the same labels again and again. Of the longest lines, so many take 16 MiB."""

MOST_BOUNDS = 256
"""Of one histogram, for the same reason; real ones have two dozen."""

STARTED = "process_start_time_seconds"
RANKS = frozenset({"tp_rank", "pp_rank", "moe_ep_rank"})
"""Processes that work on the same requests: each tells of all of them."""

DISTRIBUTIONS: frozenset[Signal] = frozenset({"timeToFirstToken", "timePerOutputToken"})
FULLEST: frozenset[Signal] = frozenset({"kvCacheUsage"})

Labels = frozenset[tuple[str, str]]
Buckets = dict[float, float]
"""Upper bound → observations that were at most that."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations since the start of a process, in seconds."""

    bounds: tuple[float, ...]
    """Ascending; the last is infinite."""
    counts: tuple[float, ...]
    """How many were at most the bound of the same place; the last is all of them."""
    sum: float | None = None
    """None where the page does not say."""

    @property
    def count(self) -> float:
        """All observations."""
        return self.counts[-1]


@dataclass(frozen=True, slots=True)
class Reading:
    """One page. A signal that is absent is unknown."""

    values: Mapping[Signal, float] = field(default_factory=dict)
    histograms: Mapping[Signal, Histogram] = field(default_factory=dict)
    started: float | None = None
    """When the process says that it started, in seconds since 1970."""


class Unreadable(ValueError):
    """The text is no page of metrics. The message never quotes it."""


@dataclass(frozen=True, slots=True)
class _Series:
    labels: str
    value: float
    """Not a number where the line makes no sense."""


_Found = Mapping[str, list[_Series]]


class Reader:
    """Reads pages by one engine's names. It keeps nothing of a page."""

    def __init__(self, metrics: Metrics) -> None:
        self._signals = metrics.signals
        self._lines = _patterns(frozenset(_names(metrics)) | {STARTED})

    def read(self, page: str) -> Reading:
        """Return what the page says. Raises Unreadable for what is not a page of metrics."""
        found = self._series(page)
        if not found and not _is_page(page):
            raise Unreadable("not one line is a sample")
        values = {one.signal: _value(found, one) for one in self._signals if not _is_spread(one)}
        spreads = {one.signal: _histogram(found, one) for one in self._signals if _is_spread(one)}
        return Reading(
            {signal: value for signal, value in values.items() if value is not None},
            {signal: one for signal, one in spreads.items() if one is not None},
            _known(max((one.value for one in found.get(STARTED, ())), default=None)),
        )

    def _series(self, page: str) -> _Found:
        found: defaultdict[str, list[_Series]] = defaultdict(list)
        page, count = f"\n{page}", 0
        for pattern in self._lines:
            for match in pattern.finditer(page):
                found[match[1]].append(_series_of(match))
                count += 1
                if count > MOST_SERIES:
                    raise Unreadable("too many series")
        return found


def _patterns(names: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    """Return what finds the lines of these names, five times as fast as a look at each line.

    Names of one engine begin alike, and a search for what is literal hurries from one to the next.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(names, key=len, reverse=True):
        before, colon, after = name.partition(":")
        groups[before + colon].append(after)
    return tuple(
        re.compile(
            rf"\n({re.escape(start)}(?:{'|'.join(map(re.escape, rest))}))(?:{PLAIN}|(?=[{{ ]).*)",
            re.MULTILINE,
        )
        for start, rest in sorted(groups.items())
    )


def _series_of(match: re.Match[str]) -> _Series:
    """Return a line's series: most lines are plain, and the others are looked at closely."""
    labels, value = match[2], match[3]
    if labels is None or labels.count('"') % 2 or len(labels) > LONGEST_LINE // 2:
        return _parsed(match[0][1:])
    return _Series(labels, _number(value))


@lru_cache(maxsize=256)
def _interned(bounds: tuple[float, ...]) -> tuple[float, ...]:
    """Return one object for equal bounds: thousands of pods have the same."""
    return bounds


def _names(metrics: Metrics) -> Iterator[str]:
    for one in metrics.signals:
        for name in one.names:
            yield from (f"{name}_bucket", f"{name}_sum") if _is_spread(one) else (name,)


def _is_spread(wanted: MetricNames) -> bool:
    return wanted.signal in DISTRIBUTIONS


def _is_page(text: str) -> bool:
    """Whether a text without wanted names is a page: an engine may have nothing to tell yet."""
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    return not lines or any(_is_sample(line) for line in lines)


def _is_sample(line: str) -> bool:
    return not math.isnan(_parsed(line).value) or line.lower().endswith(" nan")


def _parsed(line: str) -> _Series:
    match = LINE.fullmatch(line) if len(line) <= LONGEST_LINE else None
    if match is None:
        return _Series("", math.nan)
    return _Series(match.group(2) or "", _number(match.group(3)))


def _number(text: str) -> float:
    """Read a number as Prometheus writes it; what is none is not a number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


# --- gauges and counters ------------------------------------------------------


def _value(found: _Found, wanted: MetricNames) -> float | None:
    for name in wanted.names:
        if series := _that_count(found.get(name, ()), wanted):
            each = _per_replica(series).values()
            total = _max(each) if wanted.signal in FULLEST else math.fsum(each)
            return _known(total)
    return None


def _that_count(series: Iterable[_Series], wanted: MetricNames) -> list[_Series]:
    """Return the series with the right label. One without sense may be any of them."""
    if wanted.label is None:
        return list(series)
    right = {(wanted.label, value) for value in wanted.values}
    return [one for one in series if math.isnan(one.value) or right & _labels(one.labels)]


def _per_replica(series: Iterable[_Series]) -> dict[Labels, float]:
    """Take ranks that tell of the same requests together."""
    groups: defaultdict[Labels, list[float]] = defaultdict(list)
    for one in series:
        groups[_without_ranks(one.labels)].append(one.value)
    return {labels: _max(values) for labels, values in groups.items()}


def _max(values: Collection[float]) -> float:
    return math.nan if any(map(math.isnan, values)) else max(values)


# --- histograms ---------------------------------------------------------------


def _histogram(found: _Found, wanted: MetricNames) -> Histogram | None:
    for name in wanted.names:
        if series := _that_count(found.get(f"{name}_bucket", ()), wanted):
            sums = _that_count(found.get(f"{name}_sum", ()), wanted)
            each = _merged(_by_labels(series), _fullest)
            return _summed(list(each.values()), _known_sum(sums))
    return None


def _known_sum(series: list[_Series]) -> float | None:
    return _known(math.fsum(_per_replica(series).values())) if series else None


def _by_labels(series: Iterable[_Series]) -> dict[str, Buckets]:
    """Group by the labels as they are written, without `le`."""
    groups: defaultdict[str, Buckets] = defaultdict(dict)
    for one in series:
        bound, rest = _split(one.labels)
        groups[rest][_number(bound)] = one.value
    return groups


@lru_cache(maxsize=KNOWN_LABELS)
def _split(labels: str) -> tuple[str, str]:
    """Return the value of `le` and the other labels, as they are written."""
    if labels.startswith('le="'):
        bound, _, rest = labels[4:].partition('"')
        return bound, rest.removeprefix(",")
    before, found, after = labels.partition(',le="')
    if found and ',le="' not in after:
        bound, _, rest = after.partition('"')
        return bound, before + rest
    return _split_slowly(labels)


def _split_slowly(labels: str) -> tuple[str, str]:
    pairs = LABEL.findall(labels)
    bound = next((value for name, value in pairs if name == "le"), "")
    return bound, ",".join(f'{name}="{value}"' for name, value in pairs if name != "le")


def _merged(
    groups: Mapping[str, Buckets], merge: Callable[[Buckets, Buckets], Buckets]
) -> dict[Labels, Buckets]:
    merged: dict[Labels, Buckets] = {}
    for text, buckets in groups.items():
        labels = _without_ranks(text)
        merged[labels] = merge(merged[labels], buckets) if labels in merged else buckets
    return merged


def _fullest(one: Buckets, other: Buckets) -> Buckets:
    return {bound: _max((one[bound], other[bound])) for bound in one.keys() & other.keys()}


def _summed(each: list[Buckets], total: float | None) -> Histogram | None:
    """Add histograms up at the bounds that all of them have. None for what cannot be one."""
    common = set(each[0]).intersection(*each[1:])
    bounds = tuple(sorted(bound for bound in common if not math.isnan(bound)))
    counts = tuple(math.fsum(buckets[bound] for buckets in each) for bound in bounds)
    if any(math.isnan(bound) for buckets in each for bound in buckets) or not _rises(counts):
        return None
    return Histogram(_interned(bounds), counts, total) if bounds[-1] == math.inf else None


def _rises(counts: tuple[float, ...]) -> bool:
    """Whether these may be a histogram: finite, not too many, and none less than the one before."""
    if not 0 < len(counts) <= MOST_BOUNDS or not all(map(math.isfinite, counts)):
        return False
    return counts[0] >= 0 and all(a <= b for a, b in pairwise(counts))


# --- labels -------------------------------------------------------------------


@lru_cache(maxsize=KNOWN_LABELS)
def _labels(text: str) -> Labels:
    pairs = LABEL.findall(text)
    if "\\" in text:
        return frozenset((name, ESCAPED.sub(_unescaped, value)) for name, value in pairs)
    return frozenset(pairs)


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match.group(1) == "n" else match.group(1)


@lru_cache(maxsize=KNOWN_LABELS)
def _without_ranks(text: str) -> Labels:
    return frozenset(pair for pair in _labels(text) if pair[0] not in RANKS)
