"""Bets that a true hypothesis pays nothing for, reckoned exactly over all outcomes."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.plan.analysis import betting
from modelfleet.plan.analysis.latencies import ODDS, sign_factors
from modelfleet.plan.analysis.shares import Share, alarm_factors, clear_factors, guess_of

ROUNDING = 1e-6


def chance(times: int, of: int, share: float) -> float:
    return math.comb(of, times) * share**times * (1 - share) ** (of - times)


def means(factors, stable: int, canary: int, shares: tuple[float, float]) -> list[float]:  # type: ignore[no-untyped-def]
    """Return the exact mean of each e-value, over all outcomes of so many requests."""
    total = [0.0] * len(factors(Share(1, 0), Share(1, 0)))
    for bad_stable, bad_canary in product(range(stable + 1), range(canary + 1)):
        likely = chance(bad_stable, stable, shares[0]) * chance(bad_canary, canary, shares[1])
        logs = factors(Share(stable, bad_stable), Share(canary, bad_canary))
        total = [old + likely * math.exp(log) for old, log in zip(total, logs, strict=True)]
    return total


@pytest.mark.parametrize(("stable", "canary"), [(1, 1), (9, 1), (1, 9), (12, 4), (12, 12)])
@pytest.mark.parametrize("margin", [0.0, 0.01, 0.2])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.79])
@pytest.mark.parametrize("guess", [0.002, 0.7])
def test_a_tolerable_canary_is_not_expected_to_lose(
    stable: int, canary: int, margin: float, share: float, guess: float
) -> None:
    def factors(one: Share, other: Share) -> tuple[float, ...]:
        return alarm_factors(one, other, guess, margin)

    for worse in (0.0, margin / 2, margin):
        assert max(means(factors, stable, canary, (share, share + worse))) <= 1 + ROUNDING


@pytest.mark.parametrize(("stable", "canary"), [(1, 1), (9, 1), (1, 9), (12, 4), (12, 12)])
@pytest.mark.parametrize("margin", [0.05, 0.5])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.4])
@pytest.mark.parametrize("guess", [0.002, 0.7])
def test_an_unacceptable_canary_is_not_expected_to_pass(
    stable: int, canary: int, margin: float, share: float, guess: float
) -> None:
    def factors(one: Share, other: Share) -> tuple[float, ...]:
        return clear_factors(one, other, guess, margin)

    for worse in (margin, (1 + margin - share) / 2, 1 - share):
        found = means(factors, stable, canary, (share, share + worse))
        assert max(found) <= 1 + ROUNDING


def test_a_bad_canary_pays() -> None:
    factors = alarm_factors(Share(900, 1), Share(100, 30), guess=0.002, tolerated=0.01)
    assert max(factors) > math.log(1e6)


def test_a_good_canary_clears_itself() -> None:
    factors = clear_factors(Share(1000, 1), Share(100, 0), guess=0.002, unacceptable=0.05)
    assert max(factors) > math.log(20)


def test_nothing_was_asked_of_one_of_them() -> None:
    assert set(alarm_factors(Share(), Share(9, 9), 0.002, 0.01)) == {0.0}
    assert set(clear_factors(Share(9, 0), Share(), 0.002, 0.05)) == {0.0}


SHARES = st.floats(0, 1)


@given(st.integers(0, 10**9), st.integers(0, 10**9), SHARES, SHARES, SHARES, st.floats(0, 0.99))
def test_any_share_has_finite_bets(
    stable: int, canary: int, bad: float, worse: float, past: float, margin: float
) -> None:
    one, other = Share(stable, bad * stable), Share(canary, worse * canary)
    guess = guess_of(Share(1e6, past * 1e6))
    both = (*alarm_factors(one, other, guess, margin), *clear_factors(one, other, guess, margin))
    assert all(map(math.isfinite, both))


@pytest.mark.parametrize("times", [1, 6, 30])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_a_fair_sign_pays_nothing(times: int, share: float) -> None:
    outcomes = [(chance(k, times, share), sign_factors(k, times)) for k in range(times + 1)]
    for number in range(len(ODDS)):
        mean = math.fsum(likely * math.exp(logs[number]) for likely, logs in outcomes)
        assert mean <= 1 + ROUNDING


def test_twelve_of_twelve_signs_are_worth_more_than_a_thousand() -> None:
    money = betting.staked((), sign_factors(12, 12), (0.3, 0.3, 0.4))
    assert betting.worth_staked(money) > 750


class TestMoney:
    def test_it_neither_grows_nor_shrinks_by_itself(self) -> None:
        money: tuple[float, ...] = ()
        for look in range(50):
            money = betting.played(money, look, (0.0, 0.0), (0.4, 0.6))
            assert betting.worth(money, look + 1) == pytest.approx(1)

    @given(st.lists(st.floats(-7, 7), min_size=1, max_size=40))
    def test_a_look_changes_only_what_is_bet(self, logs: list[float]) -> None:
        """A factor with a mean of one leaves the mean as it is: it multiplies, and adds nothing.

        40 factors of e^7 stay below the bound of e^300, past which money is only enough.
        """
        money: tuple[float, ...] = ()
        for look, log in enumerate(logs):
            idle = betting.worth(betting.played(money, look, (0.0,), (1.0,)), look + 1)
            left = betting.cash(look + 1)
            money = betting.played(money, look, (log,), (1.0,))
            bet = (idle - left) * math.exp(log)
            assert betting.worth(money, look + 1) == pytest.approx(left + bet, rel=1e-6)

    def test_a_fault_that_shows_late_is_not_drowned_by_a_good_beginning(self) -> None:
        money: tuple[float, ...] = ()
        for look in range(60):
            money = betting.played(money, look, (-3.0,), (1.0,))
        for look in range(60, 66):
            money = betting.played(money, look, (2.0,), (1.0,))
        assert betting.worth(money, 66) > 100
