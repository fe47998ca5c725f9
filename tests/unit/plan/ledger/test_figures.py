"""What statuses tell of money, and how seldom."""

from dataclasses import replace
from datetime import timedelta

import pytest

from modelfleet.plan.ledger.figures import (
    ModelFigures,
    PoolFigures,
    dollars,
    model_cost,
    pool_cost,
)
from modelfleet.plan.ledger.sums import Amount
from modelfleet.plan.ledger.tokens import Measured, Tokens
from modelfleet.plan.ledger.units import GPU, GRAINS, HOUR, MILLION
from modelfleet.plan.ledger.values import Use
from support.builders import NOON

DOLLAR = MILLION * GRAINS
SPENT = {
    (Use.USED, False): Amount(cost=6 * DOLLAR),
    (Use.SPARE, False): Amount(cost=4 * DOLLAR),
    (Use.LOADING, True): Amount(cost=DOLLAR // 3),
    (Use.FAILED, False): Amount(cost=DOLLAR // 3),
    (Use.LEAVING, False): Amount(cost=DOLLAR // 3),
}
CHAT = ModelFigures(team="search", rate=6_880_000, month=SPENT)


@pytest.mark.parametrize(
    ("micros", "told"),
    [(0, "0.00"), (6_880_000, "6.88"), (31_611, "0.0316"), (999_999, "0.9999"), (1, "0.0000")],
)
def test_dollars(micros: int, told: str) -> None:
    assert dollars(micros) == told


def test_a_model_tells_its_rate_its_month_and_what_that_was_spent_on() -> None:
    told = model_cost(None, CHAT, NOON)

    assert told is not None
    assert (told.hourly, told.month_to_date, told.utilization_percent) == ("6.88", "11.00", 60)
    assert (told.team, told.canary, told.per_million_tokens) == ("search", "0.33", None)
    assert told.split is not None
    parts = told.split.model_dump().values()
    assert sum(round(100 * float(part)) for part in parts) == 1100


def test_tokens_make_a_price_per_million() -> None:
    told = model_cost(
        None, replace(CHAT, measured=Measured(Tokens(20_000_000, 2_000_000), 11 * DOLLAR)), NOON
    )

    assert told is not None
    assert told.per_million_tokens == "0.5000"


def test_a_model_that_has_never_cost_anything_tells_nothing() -> None:
    assert model_cost(None, ModelFigures(), NOON) is None


def test_what_has_no_price_is_told_in_gpu_hours_and_not_as_zero_dollars() -> None:
    spent = {(Use.UNMEASURED, False): Amount(gpu_time=2 * GPU * HOUR, unpriced=2 * GPU * HOUR)}

    told = model_cost(None, ModelFigures(unpriced_pods=True, month=spent), NOON)

    assert told is not None
    assert (told.hourly, told.month_to_date, told.split) == (None, None, None)
    assert told.unpriced_gpu_hours == "2.00"


def test_a_steady_rate_is_told_once_an_hour_and_a_change_at_once() -> None:
    first = model_cost(None, CHAT, NOON)
    more = replace(CHAT, month={**SPENT, (Use.USED, False): Amount(cost=9 * DOLLAR)})
    dearer = replace(more, rate=13_760_000)
    soon, later = NOON + timedelta(minutes=59), NOON + timedelta(minutes=60)

    assert model_cost(first, more, soon) is first
    assert model_cost(first, dearer, soon) != first
    told = model_cost(first, more, later)
    assert told is not None
    assert (told.month_to_date, told.as_of) == ("14.00", "2026-11-24T13:00:00Z")
    assert model_cost(told, more, later + timedelta(days=1)) is told


def test_a_pool_tells_its_nodes_and_what_of_them_is_idle() -> None:
    figures = PoolFigures(
        rate=110_080_000, idle=13_760_000, priced_nodes=2, unpriced_nodes=1, month=3 * DOLLAR
    )

    told = pool_cost(None, figures, NOON)

    assert (told.hourly, told.idle_hourly, told.month_to_date) == ("110.08", "13.76", "3.00")
    assert told.unpriced_nodes == 1


def test_a_pool_without_a_price_tells_no_dollars() -> None:
    told = pool_cost(None, PoolFigures(unpriced_nodes=2), NOON)

    assert (told.hourly, told.idle_hourly, told.month_to_date) == (None, None, None)
