"""A month as people read it, and as FOCUS has it: every sum is the ledger's."""

import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings

from modelfleet.plan.ledger.focus import COLUMNS, focus_rows
from modelfleet.plan.ledger.report import GROUPINGS, USES, months_before, report
from modelfleet.plan.ledger.sums import Amount, Line, lines_of
from modelfleet.plan.ledger.units import GPU, GRAINS, HOUR, MILLION
from modelfleet.plan.ledger.values import IDLE, Account, Use
from support.chance import examples
from unit.plan.ledger.histories import History, histories, kept

FEW = settings(
    max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
CHAT = Account("model", "search", "chat", "search")
DOLLAR = MILLION * GRAINS
LINES = {
    Line("2026-11-27", "h100", CHAT, Use.USED, False, "spot", "Residual"): Amount(
        cost=2 * DOLLAR // 3, gpu_time=GPU * HOUR
    ),
    Line("2026-11-28", "h100", CHAT, Use.LOADING, True, "spot", "Residual"): Amount(
        cost=DOLLAR // 3
    ),
    Line("2026-11-28", "h100", IDLE, Use.FREE, False, "spot", "Residual"): Amount(cost=DOLLAR),
    Line("2026-10-31", "h100", CHAT, Use.USED, False, "spot", "Residual"): Amount(cost=5 * DOLLAR),
}


def test_a_month_is_told_beside_the_one_before() -> None:
    chat, idle = report(LINES, "2026-11", GROUPINGS["model"])

    assert (chat.name, chat.total, chat.before) == ("search/chat", MILLION, 5 * MILLION)
    assert (chat.by_use["used"], chat.by_use["starting"]) == (666_667, 333_333)
    assert (chat.canary, chat.gpu_hours) == (333_333, 1.0)
    assert (idle.name, idle.by_use["unallocated"]) == ("(idle)", MILLION)


def test_the_month_before_january_is_december() -> None:
    assert months_before("2027-01") == "2026-12"


@FEW
@given(histories())
@pytest.mark.parametrize("by", list(GROUPINGS))
@pytest.mark.parametrize("step", [1, 10_000], ids=["micro-dollars", "cents"])
def test_rows_and_their_parts_add_up_whatever_they_are_grouped_by(
    by: str, step: int, history: History
) -> None:
    lines = lines_of(kept(history)[1])

    rows = report(lines, "2026-11", GROUPINGS[by], step)

    whole = sum(a.cost for line, a in lines.items() if line.day.startswith("2026-11")) // GRAINS
    assert sum(row.total for row in rows) == whole // step * step
    for row in rows:
        assert set(row.by_use) == set(USES)
        assert sum(row.by_use.values()) == row.total


@FEW
@given(histories())
def test_focus_rows_cost_what_the_ledger_says_and_shares_of_an_origin_sum_to_one(
    history: History,
) -> None:
    lines = lines_of(kept(history)[1])

    rows = focus_rows(lines, "cluster")

    assert all(tuple(row) == COLUMNS for row in rows)
    total = sum(Decimal(row["EffectiveCost"]) for row in rows)
    assert int(total * MILLION) == sum(a.cost for a in lines.values()) // GRAINS
    origins: dict[tuple[str, ...], Decimal] = {}
    costs: dict[tuple[str, ...], int] = {}
    for row, (_, amount) in zip(rows, sorted(lines.items()), strict=True):
        origin = (row["ChargePeriodStart"], row["AllocatedResourceId"], row["AllocatedTags"])
        (element,) = json.loads(row["AllocatedMethodDetails"])["Elements"]
        origins[origin] = origins.get(origin, Decimal()) + Decimal(str(element["AllocatedRatio"]))
        costs[origin] = costs.get(origin, 0) + amount.cost
    assert all(share == 1 for origin, share in origins.items() if costs[origin])


def test_a_focus_row_of_a_model() -> None:
    row = focus_rows(LINES, "cluster")[1]

    assert row["ChargePeriodStart"] == "2026-11-27T00:00:00Z"
    assert row["ChargePeriodEnd"] == "2026-11-28T00:00:00Z"
    assert row["BillingPeriodStart"] == "2026-11-01T00:00:00Z"
    assert row["BillingPeriodEnd"] == "2026-12-01T00:00:00Z"
    assert row["EffectiveCost"] == "0.666667"
    assert (row["PricingCategory"], row["AllocatedMethodId"]) == ("Dynamic", "Residual")
    assert (row["SubAccountId"], row["x_Use"]) == ("search", "used")
