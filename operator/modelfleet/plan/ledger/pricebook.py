"""List prices on demand, as data with source and date in every row. Own prices override them."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from modelfleet.plan.ledger.prices import micros
from modelfleet.plan.ledger.units import Rate


@dataclass(frozen=True, slots=True)
class Listed:
    """A list price of an instance type in one region."""

    provider: str
    rate: Rate
    date: str
    source: str


@cache
def price_book() -> Mapping[tuple[str, str], Listed]:
    """Return the listed prices by region and instance type, as nodes are labelled with them."""
    text = files(__package__).joinpath("pricebook.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return MappingProxyType(
        {
            (row["region"], row["instance_type"]): Listed(
                row["provider"], micros(row["usd_per_hour"]), row["date"], row["source"]
            )
            for row in rows
        }
    )
