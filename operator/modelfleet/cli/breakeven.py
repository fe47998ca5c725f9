"""How `modelfleet cost --break-even` is shown."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from modelfleet.cli.columns import aligned
from modelfleet.plan.ledger.breakeven import Row, apis
from modelfleet.plan.ledger.figures import dollars

HEAD = ("MODEL", "$/H OF A REPLICA", "API", "$/M TOKENS", "TOKENS/H FROM WHICH IT IS CHEAPER")


def text_of(rows: Sequence[Row]) -> str:
    """Return a table, and how old its prices are."""
    cells = [HEAD, *(_cells(row) for row in rows)]
    dates = sorted({one.date for one in apis()})
    return f"{aligned(cells)}\nPrices of APIs as of {' to '.join(dates)}.\n"


def _cells(row: Row) -> tuple[str, ...]:
    hourly = "unpriced" if row.hourly is None else dollars(row.hourly)
    tokens = "" if row.tokens_an_hour is None else f"{row.tokens_an_hour:,}"
    return (row.model, hourly, row.api, dollars(row.per_million), tokens)


def json_of(rows: Sequence[Row]) -> str:
    """Return the rows; money is in micro-dollars."""
    return json.dumps({"unit": "micro-dollars", "rows": [asdict(row) for row in rows]}) + "\n"


SHOWN: Mapping[str, Callable[[Sequence[Row]], str]] = {"table": text_of, "json": json_of}
