"""A burst is more than one replica can serve: only what comes in tells its size."""

from datetime import timedelta
from typing import Any

import pytest

from modelfleet.plan.samples import Histogram, Process, Scrape
from modelfleet.plan.scaling import Reading, Replica, Samples, Targets, Why, readings_for
from support.builders import NOON
from unit.plan.scaling.cases import a_policy, decided, some_facts, told

TOKENS = a_policy(targets=Targets(tokens_per_second=3000), most=20)
BURST: dict[str, Any] = {
    "tokens_per_second": 8000.0,
    "arrived": 150.0,
    "arrived_seconds": 15.0,
    "tokens_each": 2000.0,
}


def page(seconds: float, first_tokens: float = 0, started: float = 1.0, **values: float) -> Scrape:
    return Scrape(
        pod="pod",
        namespace="team",
        model="chat",
        revision="a",
        at=NOON - timedelta(seconds=seconds),
        process=Process(started=started),
        values=values,  # type: ignore[arg-type]
        histograms={"timeToFirstToken": Histogram((float("inf"),), (first_tokens,))},
    )


def read(*pages: Scrape) -> Reading:
    (reading,) = readings_for(pages, [Replica("pod")], 0.95, NOON)
    return reading


def counted(running: float, waiting: float, succeeded: float, **more: float) -> dict[str, float]:
    tokens = {"promptTokens": 0.0, "generationTokens": 0.0}
    return tokens | {"running": running, "waiting": waiting, "succeeded": succeeded} | more


@pytest.mark.parametrize(
    ("before", "after", "arrived"),
    [
        pytest.param(counted(1, 0, 10), counted(1, 0, 14), 4.0, id="as many as have ended"),
        pytest.param(counted(1, 0, 10), counted(5, 8, 14), 16.0, id="and those on their way"),
        pytest.param(counted(5, 8, 10), counted(5, 0, 12), 0.0, id="fewer than none came"),
        pytest.param(
            counted(3, 0, 0, aborted=1, errors=0),
            counted(0, 0, 0, aborted=3, errors=1),
            0.0,
            id="those that ended otherwise",
        ),
        pytest.param({"running": 1.0}, counted(1, 0, 14), None, id="a page that tells less"),
    ],
)
def test_what_came_between_two_pages(
    before: dict[str, float], after: dict[str, float], arrived: float | None
) -> None:
    reading = read(page(15, **before), page(0, **after))

    assert (reading.arrived, reading.arrived_seconds) == (arrived, 15.0)


def test_nothing_is_compared_across_a_restart() -> None:
    reading = read(page(15, **counted(9, 9, 99)), page(0, started=2.0, **counted(1, 0, 1)))

    assert reading.arrived is None


def test_tokens_of_a_request_are_a_mean_of_many() -> None:
    tokens = {"promptTokens": 40_000.0, "generationTokens": 2_000.0}

    few = read(page(60, **counted(0, 0, 0)), page(0, 9, **(counted(0, 0, 9) | tokens)))
    many = read(page(60, **counted(0, 0, 0)), page(0, 20, **(counted(0, 0, 20) | tokens)))

    assert few.tokens_each is None
    assert many.tokens_each == pytest.approx(2100)


def test_a_burst_is_sized_by_what_comes() -> None:
    # surely 150 - 2 * sqrt(150) = 125.5 requests in 15 s, of 2000 tokens: 16,734 tokens/s
    assert decided(TOKENS, some_facts(1), told(1.0, **BURST)).replicas == 6


def test_what_chance_brings_is_no_burst() -> None:
    chance = BURST | {"tokens_per_second": 2900.0, "arrived": 25.0}  # 3333 tokens/s, 2000 surely

    assert decided(TOKENS, some_facts(1), told(1.0, **chance)).replicas == 1


def test_a_burst_that_goes_on_does_not_wait_for_replicas_on_their_way() -> None:
    facts = some_facts(4, ready=1, loading=3)

    by_tokens = decided(TOKENS, facts, told(1.0, **BURST))
    by_queue = decided(a_policy(), facts, told(60.0))

    assert by_tokens.replicas == 6
    assert (by_queue.replicas, by_queue.why) == (4, Why.WAITS)


@pytest.mark.parametrize("strange", [float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("name", ["arrived", "arrived_seconds", "tokens_each"])
def test_strange_measures_are_unknown(name: str, strange: float) -> None:
    decision = decided(TOKENS, some_facts(3), told(*[1.0] * 3, **(BURST | {name: strange})))

    assert decision.replicas == 8  # what is served: 24,000 tokens/s


def test_no_reading_is_no_burst() -> None:
    assert decided(TOKENS, some_facts(3), Samples()).replicas == 3
