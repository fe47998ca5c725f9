"""From how many tokens an hour a replica of one's own is cheaper than an API.

API prices are data, with source and date in every row; they age fast.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from modelfleet.plan.ledger.prices import micros
from modelfleet.plan.ledger.report import name_of, of_month
from modelfleet.plan.ledger.sums import Amount, Lines, total_by
from modelfleet.plan.ledger.units import MILLION, Micros, Rate


@dataclass(frozen=True, slots=True)
class Api:
    """What an API asks for a million tokens, in micro-dollars."""

    name: str
    """Provider and model, as in openai/gpt-4.1."""
    read: Micros
    written: Micros
    date: str
    source: str

    def blended(self, read_percent: int) -> Micros:
        """Return the price of a million tokens of which so many percent are read."""
        return (self.read * read_percent + self.written * (100 - read_percent)) // 100


@dataclass(frozen=True, slots=True)
class Row:
    """One Model against one API."""

    model: str
    hourly: Rate | None
    """Of one replica, on average over the month; None: some of its time has no price."""
    api: str
    per_million: Micros
    tokens_an_hour: int | None
    """From here on, read and written together, the replica is cheaper."""


@cache
def apis() -> tuple[Api, ...]:
    """Return the APIs to compare with."""
    text = files(__package__).joinpath("apiprices.csv").read_text(encoding="utf-8")
    return tuple(
        Api(
            f"{row['provider']}/{row['model']}",
            micros(row["usd_per_million_in"]),
            micros(row["usd_per_million_out"]),
            row["date"],
            row["source"],
        )
        for row in csv.DictReader(text.splitlines())
    )


def tokens_an_hour(hourly: Rate, per_million: Micros) -> int:
    """Return hourly price ÷ price of a token, rounded up."""
    return -(-hourly * MILLION // per_million)


def break_even(lines: Lines, month: str, compared: Iterable[Api], read_percent: int) -> list[Row]:
    """Return a row for each Model of a month and each API, both by name and price."""
    by_price = sorted(compared, key=lambda api: (api.blended(read_percent), api.name))
    return [
        Row(
            model,
            hourly,
            api.name,
            price := api.blended(read_percent),
            None if hourly is None else tokens_an_hour(hourly, price),
        )
        for model, hourly in _replicas(lines, month)
        for api in by_price
    ]


def _replicas(lines: Lines, month: str) -> Iterator[tuple[str, Rate | None]]:
    """Yield what an hour of a replica has cost on average, loading and failing included."""
    models = {
        line: amount
        for line, amount in of_month(lines, month).items()
        if line.account.kind == "model"
    }
    for name, amount in sorted(total_by(models.items(), lambda one: name_of(one.account)).items()):
        if amount.length:
            yield name, _hourly(amount)


def _hourly(amount: Amount) -> Rate | None:
    """A cost in grains is a rate times milliseconds."""
    return None if amount.unpriced else amount.cost // amount.length
