"""What is kept is what there was, to the grain, and within the bounds of a ConfigMap."""

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelfleet.plan.ledger.archive import (
    MOST_LINES,
    REST,
    bounded,
    closed_until,
    due,
    extended,
    too_old,
    without,
)
from modelfleet.plan.ledger.checkpoint import (
    Open,
    UnknownFormat,
    pack_days,
    pack_open,
    rounded,
    unpack_days,
    unpack_open,
    without_seats,
)
from modelfleet.plan.ledger.fold import fold
from modelfleet.plan.ledger.sums import Amount, Line, lines_of
from modelfleet.plan.ledger.units import GRAINS, HOUR
from modelfleet.plan.ledger.values import Account, Use
from support.chance import examples
from unit.plan.ledger.histories import END, MOMENTS, START, Gap, History, gaps, histories, kept

FEW = settings(
    max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@FEW
@given(histories(), gaps(), MOMENTS)
def test_a_ledger_that_is_written_and_read_back_is_the_same(
    history: History, away: tuple[Gap, ...], more: Sequence[int]
) -> None:
    state, charges = kept(history, more, away)
    before = Open(state, lines_of(charges), "2026-11-20")

    assert unpack_open(pack_open(before)) == before


@FEW
@given(histories(), st.integers(START, END))
def test_a_crash_without_the_seats_loses_no_second_of_any_node(history: History, at: int) -> None:
    state, charges = fold(None, history.at(START, START), START)
    for one in [moment for moment in history.changes() if moment <= at]:
        state, more = fold(state, history.at(one, START), one)
        charges += more

    thin = unpack_open(pack_open(without_seats(Open(state)))).state
    _, with_seats = fold(state, history.at(END, END), END)
    _, without = fold(thin, history.at(END, END), END)

    assert sum(one.cost for one in without) == sum(one.cost for one in with_seats)


def test_another_version_is_left_alone() -> None:
    text = base64.b64encode(zlib.compress(json.dumps({"format": 2}).encode())).decode()

    with pytest.raises(UnknownFormat):
        unpack_open(text)


@FEW
@given(histories())
def test_days_that_are_over_keep_their_totals_to_the_micro_dollar(history: History) -> None:
    lines = lines_of(kept(history)[1])

    told = unpack_days(pack_days(rounded(lines)))

    for day in {line.day for line in lines}:
        exact = sum(amount.cost for line, amount in lines.items() if line.day == day)
        assert sum(a.cost for line, a in told.items() if line.day == day) == (
            exact // GRAINS * GRAINS
        )
    assert {line: amount.gpu_time for line, amount in told.items()} == {
        line: amount.gpu_time for line, amount in lines.items()
    }


def a_line(day: str = "2026-11-27", name: str = "chat", team: str = "search") -> Line:
    return Line(day, "h100", Account("model", "ns", name, team), Use.USED)


def test_a_day_is_closed_an_hour_after_its_midnight() -> None:
    midnight = 1_795_824_000_000  # 2026-11-28

    assert closed_until(midnight + HOUR - 1) == "2026-11-26"
    assert closed_until(midnight + HOUR) == "2026-11-27"


def test_only_days_that_are_over_and_not_yet_kept_are_due() -> None:
    lines = {a_line(day): Amount(cost=GRAINS) for day in ("2026-11-26", "2026-11-27", "2026-11-28")}

    found = due(lines, "2026-11-26", 1_795_824_000_000 + 2 * HOUR)

    assert list(found) == ["2026-11-27"]
    assert without(lines, "2026-11-27") == {a_line("2026-11-28"): Amount(cost=GRAINS)}


def test_a_day_that_is_archived_twice_is_there_once() -> None:
    day = {a_line(): Amount(cost=GRAINS)}

    once, _ = extended({a_line("2026-11-26"): Amount(cost=GRAINS)}, day)
    twice, fits = extended(unpack_days(once), day)

    assert fits
    assert unpack_days(twice) == unpack_days(once)


def test_too_many_accounts_of_a_day_become_one_of_their_team_and_the_sum_stays() -> None:
    lines = {
        a_line(name=f"m{number}", team=f"t{number % 3}"): Amount(cost=number)
        for number in range(MOST_LINES + 1000)
    }

    few = bounded(lines)

    assert len(few) <= MOST_LINES
    assert sum(few.values(), Amount()) == sum(lines.values(), Amount())
    assert {line.account.team for line in few if line.account.name == REST} == {"t0", "t1", "t2"}
    assert a_line(name=f"m{MOST_LINES}", team=f"t{MOST_LINES % 3}") in few


def test_months_are_kept_for_400_days() -> None:
    assert too_old(["2025-09", "2025-10", "2026-11"], "2026-11-28") == {"2025-09"}


def test_a_month_of_a_thousand_models_fits_into_a_few_documents() -> None:
    """4 uses of each of 1,000 Models every day: the bytes are told in docs/cost.md."""
    day = {
        replace(a_line(name=f"model-{number:04d}"), use=use): Amount(
            cost=(number * 7919 % 1000 + 1) * 86_400 * GRAINS,
            gpu_time=(number * 104_729 % 86_400_000) * 25_200,
            length=number * 15_485 % 86_400_000,
        )
        for number in range(1000)
        for use in (Use.PULLING, Use.LOADING, Use.UNMEASURED, Use.LEAVING)
    }

    assert len(pack_days(day)) * 3 // 4 < 130_000
