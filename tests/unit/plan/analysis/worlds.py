"""Scrapes and windows of which a test says only what matters to it."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

from modelfleet.api.v1alpha1.engine import Signal
from modelfleet.engines.metrics import Histogram
from modelfleet.plan.analysis import Evidence, Health, ProbeResults, Span, Window
from modelfleet.plan.analysis.evidence import Sum
from modelfleet.plan.samples import Process, Scrape

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_scrape(
    seconds: float,
    pod: str = "a",
    revision: str = "new",
    process: Process | None = None,
    ttft: tuple[float, float] | None = None,
    **values: float,
) -> Scrape:
    """Return what a pod told so many seconds after noon; `ttft` is a count and a sum."""
    histograms = {}
    if ttft is not None:
        histograms["timeToFirstToken"] = Histogram((math.inf,), (ttft[0],), ttft[1])
    return Scrape(
        pod=pod,
        namespace="team-search",
        model="chat",
        revision=revision,
        at=at(seconds),
        process=process or Process(0, 1.0),
        values=cast(Mapping[Signal, float], values),
        histograms=cast(Mapping[Signal, Histogram], histograms),
    )


def a_span(since: float = 0, until: float = 60, **changes: object) -> Span:
    """Return a span without a warm-up."""
    told: dict[str, object] = {"since": at(since), "until": at(until), "warm_up": timedelta(0)}
    return Span(**(told | changes))  # type: ignore[arg-type]


def a_window(
    revision: str = "new",
    look: int = 0,
    ttft: Mapping[int, tuple[int, float]] | None = None,
    restarts: int = 0,
    silent: frozenset[str] = frozenset(),
    **counts: float,
) -> Window:
    """Return the window of the look of that number; `ttft` has counts and means by moment."""
    latencies = {}
    if ttft is not None:
        sums = {number: Sum(count, count * mean) for number, (count, mean) in ttft.items()}
        latencies["timeToFirstToken"] = sums
    return Window(
        revision=revision,
        since=at(60 * look),
        until=at(60 * look + 60),
        pods=frozenset({f"{revision}-0"}),
        silent=silent,
        counts=counts,
        latencies=latencies,
        restarts=restarts,
    )


def evidence(
    window: Window, probes: ProbeResults | None = None, health: Health | None = None
) -> Evidence:
    return Evidence(window, probes, health or Health(pods=1))
