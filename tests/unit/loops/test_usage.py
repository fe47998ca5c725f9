"""Tokens from round to round, with what the Model cost meanwhile."""

from typing import Any

import pytest

from modelfleet.loops.usage import Usage
from modelfleet.plan.ledger.tokens import Tokens
from modelfleet.plan.samples import Scrape
from unit.loops.fleets import CHAT, Fleet
from unit.plan.ledger.test_usage import told

NAME = (CHAT.namespace, CHAT.name)


class Round:
    """A fleet of one replica, whose engine tells what a test says."""

    def __init__(self) -> None:
        self.fleet, self.pages = Fleet(), list[Scrape]()
        self.fleet.see(self.fleet.pool(), self.fleet.node(), self.fleet.model(), self.fleet.pod())
        self.fleet.books.open(None, {})
        self.usage = Usage(self.fleet.caches, lambda _: self.pages)

    def passes(self, seconds: float, read: int | None, pod: str = "uid-chat-abc-1") -> Any:
        """Let time pass and a round come; return what is measured so far."""
        self.fleet.wait(seconds)
        values = {} if read is None else {"promptTokens": read, "generationTokens": 0}
        self.pages = [told(pod, **values)]
        self.fleet.books.close_all()
        self.usage.count([CHAT], self.fleet.books.accounts)
        return self.fleet.books.accounts.measured.get(NAME)


@pytest.fixture
def rounds() -> Round:
    return Round()


def test_the_first_round_measures_nothing_for_nobody_knows_since_when(rounds: Round) -> None:
    assert rounds.passes(60, 1_000_000) is None


def test_a_round_adds_what_has_moved_and_what_it_cost_meanwhile(rounds: Round) -> None:
    rounds.passes(1800, 1_000_000)
    measured = rounds.passes(1800, 3_000_000)

    assert measured.tokens == Tokens(2_000_000, 0)
    told = rounds.fleet.books.model_cost(CHAT, None, rounds.fleet.now)
    assert told is not None
    assert (told.month_to_date, told.per_million_tokens) == ("2.00", "0.5000")


def test_a_reading_that_is_missing_for_a_round_is_not_counted_from_zero(rounds: Round) -> None:
    rounds.passes(60, 1_000_000)
    rounds.passes(60, 10, pod="another")
    measured = rounds.passes(60, 1_500_000)

    assert measured.tokens == Tokens(500_010, 0)


def test_an_engine_that_tells_no_tokens_has_no_price_per_million(rounds: Round) -> None:
    rounds.passes(1800, None)

    assert rounds.passes(1800, None) is None
    told = rounds.fleet.books.model_cost(CHAT, None, rounds.fleet.now)
    assert told is not None
    assert told.per_million_tokens is None
