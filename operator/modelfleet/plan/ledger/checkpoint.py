"""What the ledger keeps in the API server: compact, and the same to the grain when read back.

One document holds what is open: the books, and the days that may still change. Days that are over
go into documents of their month, rounded to micro-dollars so that each day keeps its total.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelfleet.plan.ledger.sums import Amount, Line
from modelfleet.plan.ledger.tokens import Measured, Tokens
from modelfleet.plan.ledger.units import GRAINS, told
from modelfleet.plan.ledger.values import Account, Book, Quantities, Seat, State, Terms, Use

FORMAT = 1

Lines = Mapping[Line, Amount]
Model = tuple[str, str]
"""Namespace and name."""


class UnknownFormat(Exception):
    """Another version wrote it. It is left alone: overwriting would lose what it says."""


@dataclass(frozen=True, slots=True)
class Open:
    """What may still change."""

    state: State
    lines: Lines = field(default_factory=dict)
    archived: str = ""
    """The last day that is closed for good; what comes late is booked on the next one."""
    measured: Mapping[Model, Measured] = field(default_factory=dict)
    """Tokens of this month."""
    month: str = ""
    """Which that is."""


def pack_open(kept: Open) -> str:
    """Return the open document as text."""
    tables = _Tables()
    state = kept.state
    books = [_book_row(node, book, state, tables) for node, book in sorted(state.books.items())]
    lines = [_line_row(line, amount, tables) for line, amount in sorted(kept.lines.items())]
    body = {"openedAt": state.opened_at, "at": state.at, "books": books, "lines": lines}
    return _pack({**body, "archived": kept.archived, **_measured(kept), "tables": tables.values})


def _measured(kept: Open) -> dict[str, Any]:
    rows = [
        [*model, one.tokens.read, one.tokens.written, one.cost]
        for model, one in sorted(kept.measured.items())
    ]
    return {"tokens": rows, "month": kept.month}


def unpack_open(text: str) -> Open:
    """Read it back. Raises UnknownFormat."""
    body = _unpack(text)
    tables = body["tables"]
    books = dict(_book(row, body["at"], tables) for row in body["books"])
    state = State(opened_at=body["openedAt"], at=body["at"], books=books)
    lines = dict(_line(row, tables) for row in body["lines"])
    tokens = {
        (namespace, name): Measured(Tokens(read, written), cost)
        for namespace, name, read, written, cost in body["tokens"]
    }
    return Open(state, lines, body["archived"], tokens, body["month"])


def pack_days(lines: Lines) -> str:
    """Return days that are over as text, rounded to micro-dollars."""
    tables = _Tables()
    rows = [_line_row(line, amount, tables) for line, amount in sorted(lines.items())]
    return _pack({"lines": rows, "tables": tables.values})


def unpack_days(text: str) -> dict[Line, Amount]:
    """Read them back. Raises UnknownFormat."""
    body = _unpack(text)
    return dict(_line(row, body["tables"]) for row in body["lines"])


def rounded(lines: Lines) -> dict[Line, Amount]:
    """Round each day's costs to micro-dollars. Its total loses less than one of them."""
    days: dict[str, dict[Line, Amount]] = {}
    for line, amount in sorted(lines.items()):
        days.setdefault(line.day, {})[line] = amount
    return {line: one for day in days.values() for line, one in _rounded_day(day).items()}


def _rounded_day(day: Lines) -> dict[Line, Amount]:
    costs = told({line: amount.cost for line, amount in day.items()})
    return {
        line: Amount(
            cost=costs[line] * GRAINS,
            gpu_cost=min(amount.gpu_cost, costs[line] * GRAINS) // GRAINS * GRAINS,
            gpu_time=amount.gpu_time,
            unpriced=amount.unpriced,
            estimated=min(amount.estimated, costs[line] * GRAINS) // GRAINS * GRAINS,
            length=amount.length,
        )
        for line, amount in day.items()
    }


def without_seats(kept: Open) -> Open:
    """Leave out who sits where, for a fleet that is too large for one document.

    Whoever is still there is found again. Of a pod that goes while nobody looks the rest of its
    time is then told as idle.
    """
    books = {node: replace(book, seats={}) for node, book in kept.state.books.items()}
    return replace(kept, state=replace(kept.state, books=books))


class _Tables:
    """Texts and tuples that occur often, written once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Any, int] = {}

    def place(self, value: Any) -> int:
        """Return where a value stands."""
        if value not in self._places:
            self._places[value] = len(self.values)
            self.values.append(value)
        return self._places[value]


def _pack(body: Mapping[str, Any]) -> str:
    text = json.dumps({"format": FORMAT, **body}, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode()


def _unpack(text: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text)))
    if body.get("format") != FORMAT:
        raise UnknownFormat(f"the ledger has format {body.get('format')}, this version {FORMAT}")
    return body


def _line_row(line: Line, amount: Amount, tables: _Tables) -> list[int]:
    account = line.account
    who = tables.place((account.kind, account.namespace, account.name, account.team))
    what = tables.place(
        (line.day, line.pool, line.use, line.canary, line.capacity_type, line.policy)
    )
    spent = [amount.cost, amount.gpu_cost, amount.gpu_time, amount.length]
    return [who, what, *spent, *_rest(amount.unpriced, amount.estimated)]


def _rest(unpriced: int, estimated: int) -> Iterable[int]:
    return (unpriced, estimated) if unpriced or estimated else ()


def _line(row: list[int], tables: list[Any]) -> tuple[Line, Amount]:
    who, what, cost, gpu_cost, gpu_time, length, *rest = row
    day, pool, use, canary, capacity_type, policy = tables[what]
    line = Line(day, pool, Account(*tables[who]), Use(use), canary, capacity_type, policy)
    unpriced, estimated = rest or (0, 0)
    return line, Amount(cost, gpu_cost, gpu_time, unpriced, estimated, length)


def _book_row(node: str, book: Book, state: State, tables: _Tables) -> list[Any]:
    seats = [_seat_row(uid, seat, tables) for uid, seat in sorted(book.seats.items())]
    return [node, book.uid, book.at - state.at, tables.place(_terms_row(book.terms)), seats]


def _book(row: list[Any], at: int, tables: list[Any]) -> tuple[str, Book]:
    node, uid, since, terms, seats = row
    kept = dict(_seat(one, tables) for one in seats)
    return node, Book(at=at + since, uid=uid, terms=_terms(tables[terms]), seats=kept)


def _terms_row(terms: Terms) -> tuple[Any, ...]:
    size = terms.capacity
    return (
        terms.pool,
        terms.rate,
        size.cpu,
        size.memory,
        size.gpu,
        terms.policy,
        terms.capacity_type,
        terms.available,
    )


def _terms(row: list[Any]) -> Terms:
    pool, rate, cpu, memory, gpu, policy, capacity_type, available = row
    return Terms(
        pool=pool,
        rate=rate,
        capacity=Quantities(cpu, memory, gpu),
        policy=policy,
        capacity_type=capacity_type,
        available=available,
    )


def _seat_row(uid: str, seat: Seat, tables: _Tables) -> list[Any]:
    account, asks = seat.account, seat.asks
    who = tables.place((account.kind, account.namespace, account.name, account.team))
    what = tables.place((asks.cpu, asks.memory, asks.gpu, seat.canary, seat.use, seat.claims))
    return [uid, who, what] if seat.leaves_by is None else [uid, who, what, seat.leaves_by]


def _seat(row: list[Any], tables: list[Any]) -> tuple[str, Seat]:
    uid, who, what, *leaves_by = row
    cpu, memory, gpu, canary, use, claims = tables[what]
    return uid, Seat(
        account=Account(*tables[who]),
        asks=Quantities(cpu, memory, gpu),
        claims=tuple((claim, parts) for claim, parts in claims),
        canary=canary,
        use=Use(use),
        leaves_by=leaves_by[0] if leaves_by else None,
    )
