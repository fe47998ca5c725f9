"""Own replicas against APIs."""

import re

from hypothesis import given
from hypothesis import strategies as st

from modelfleet.plan.ledger.breakeven import Api, apis, tokens_an_hour
from modelfleet.plan.ledger.units import MILLION

MONEY = st.integers(1, 10**12)


@given(MONEY, MONEY)
def test_from_there_on_and_not_before_the_replica_is_no_dearer(hourly: int, price: int) -> None:
    tokens = tokens_an_hour(hourly, price)

    assert tokens * price >= hourly * MILLION
    assert (tokens - 1) * price < hourly * MILLION


@given(st.sampled_from(apis()), st.integers(0, 100))
def test_a_blended_price_lies_between_both(api: Api, read_percent: int) -> None:
    found = api.blended(read_percent)

    assert min(api.read, api.written) <= found <= max(api.read, api.written)


def test_every_price_has_its_date_and_source() -> None:
    assert len({one.name for one in apis()}) == len(apis()) > 0
    for one in apis():
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", one.date)
        assert one.source
        assert 0 < one.read <= one.written
