"""From pages of metrics to rates and percentiles: resets, restarts and what is left out."""

from datetime import datetime, timedelta
from math import inf
from typing import Any

import pytest

from modelfleet.engines.metrics import Histogram
from modelfleet.plan.samples import Process, Scrape
from modelfleet.plan.scaling import Reading, Replica, readings_for, requests_in
from support.builders import NOON, seconds_ago

OLD = Replica("pod-0", seconds_ago(1000))
BOUNDS = (0.1, 1.0, inf)


def a_page(ago: float = 0, pod: str = "pod-0", restarts: int = 0, **values: float) -> Scrape:
    counts = values.pop("first", None)
    first: Any = counts
    return Scrape(
        pod=pod,
        namespace="team",
        model="chat",
        revision="new",
        at=seconds_ago(ago),
        process=Process(restarts),
        values=values,  # type: ignore[arg-type]
        histograms={"timeToFirstToken": Histogram(BOUNDS, first)} if first else {},
    )


def reading(*pages: Scrape, replica: Replica = OLD, **more: Any) -> Reading:
    (found,) = readings_for(pages, [replica], 0.5, NOON, **more)
    return found


def test_gauges_are_those_of_the_newest_page() -> None:
    found = reading(a_page(15, running=9.0), a_page(running=2.0, waiting=1.0, kvCacheUsage=0.5))

    assert (found.running, found.waiting, found.kv_cache, found.at) == (2.0, 1.0, 0.5, NOON)


def test_rates_are_of_the_last_minute() -> None:
    pages = [
        a_page(90, promptTokens=0, generationTokens=0),
        a_page(60, promptTokens=1000, generationTokens=100),
        a_page(promptTokens=2200, generationTokens=220, succeeded=0),
    ]

    found = reading(*pages)

    assert found.tokens_per_second == pytest.approx((1200 + 120) / 60)
    assert found.requests_per_second is None


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([a_page(promptTokens=5, generationTokens=5)], id="one page only"),
        pytest.param(
            [
                a_page(60, promptTokens=900, generationTokens=900),
                a_page(promptTokens=5, generationTokens=5),
            ],
            id="counters that fell",
        ),
        pytest.param(
            [
                a_page(60, promptTokens=1, generationTokens=1),
                a_page(restarts=1, promptTokens=5, generationTokens=5),
            ],
            id="another process",
        ),
        pytest.param(
            [a_page(60, promptTokens=1, generationTokens=1), a_page(promptTokens=5)],
            id="half of it renamed",
        ),
        pytest.param(
            [
                a_page(3, promptTokens=1, generationTokens=1),
                a_page(promptTokens=5, generationTokens=1),
            ],
            id="too short a time",
        ),
    ],
)
def test_a_rate_that_cannot_be_told_is_unknown(pages: list[Scrape]) -> None:
    assert reading(*pages).tokens_per_second is None


def test_an_engine_with_one_kind_of_tokens_tells_these() -> None:
    pages = (a_page(60, promptTokens=0), a_page(promptTokens=600))

    assert reading(*pages, named=["promptTokens"]).tokens_per_second == 10
    assert reading(*pages, named=[]).tokens_per_second is None


def test_a_percentile_is_of_what_came_in_between() -> None:
    found = reading(a_page(60, first=(100, 100, 100)), a_page(first=(100, 108, 110)))

    assert found.first_tokens == 10
    assert found.first_token_seconds == pytest.approx(0.1 + 0.9 * 5 / 8)


def test_what_is_beyond_the_last_bound_counts_as_that_bound() -> None:
    assert reading(a_page(60, first=(0, 0, 1)), a_page(first=(0, 0, 9))).first_token_seconds == 1.0


def test_without_requests_there_is_no_percentile() -> None:
    found = reading(a_page(60, first=(1, 2, 3)), a_page(first=(1, 2, 3)))

    assert (found.first_tokens, found.first_token_seconds) == (0, None)


def test_what_users_waited_for_before_a_replica_came_is_forgotten() -> None:
    """Else the same slow minute would ask for one replica after the other."""
    pages = [
        a_page(60, first=(0, 0, 1)),
        a_page(20, first=(0, 0, 50)),
        a_page(first=(8, 8, 58)),
    ]
    young = Replica("pod-1", seconds_ago(25))

    (found,) = readings_for(pages, [OLD, young], 0.5, NOON)

    assert (found.first_tokens, found.first_token_seconds) == (8, pytest.approx(0.05))


def test_a_percentage_is_no_share() -> None:
    assert reading(a_page(kvCacheUsage=45.0)).kv_cache is None


def test_pods_that_left_or_are_unknown_have_no_reading() -> None:
    assert readings_for([a_page(pod="other"), a_page(100)], [OLD], 0.5, NOON) == ()


def test_the_order_of_pages_changes_nothing() -> None:
    pages = [a_page(at, promptTokens=900 - at, generationTokens=0) for at in (60, 45, 30, 0)]

    assert reading(*pages) == reading(*reversed(pages))


def test_requests_are_those_of_the_newest_page_that_tells_both() -> None:
    since = NOON - timedelta(seconds=45)
    pages = [
        a_page(30, running=9, waiting=9),
        a_page(running=2, waiting=1),
        a_page(pod="pod-1", running=1),
        a_page(60, pod="pod-2", running=1, waiting=1),
    ]

    assert requests_in(pages, since) == {"pod-0": 3}


def test_young_is_a_minute() -> None:
    def ready(at: datetime | None) -> bool:
        return reading(a_page(), replica=Replica("pod-0", at)).young

    assert [ready(seconds_ago(10)), ready(seconds_ago(60)), ready(None)] == [True, False, False]
