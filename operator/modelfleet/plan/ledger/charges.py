"""What one node's window cost and who had it: prices and holders change inside, and are summed
piece by piece, never sampled."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from modelfleet.plan.ledger.stays import Stay, Window
from modelfleet.plan.ledger.units import Millis, Rate, split
from modelfleet.plan.ledger.values import IDLE, Account, Charge, Quantities, Seat, Terms, Use
from modelfleet.plan.ledger.weights import (
    Components,
    Share,
    busy_part,
    components_for,
    rest_of,
    shares_for,
)

Span = tuple[Millis, Millis]


def charges_for(
    node: str, terms: Terms, stays: Sequence[Stay], window: Window
) -> tuple[Charge, ...]:
    """Return the charges of a node on fixed terms; they sum to its price for that time."""
    cuts = {window.start, window.end, window.clamp(window.watched)}
    cuts |= {window.clamp(at) for stay in stays for at in (stay.start, stay.end)}
    ledger = _Ledger(node, terms, window.watched)
    return tuple(
        charge
        for span in pairwise(sorted(cuts))
        for charge in ledger.piece(span, [one for one in stays if _covers(one, span)])
    )


def _covers(stay: Stay, span: Span) -> bool:
    return stay.start <= span[0] and span[1] <= stay.end


class _Ledger:
    """One node on fixed terms."""

    def __init__(self, node: str, terms: Terms, watched: Millis) -> None:
        self._node, self._terms, self._watched = node, terms, watched
        self._components = (
            components_for(terms.rate, terms.capacity, terms.policy)
            if terms.rate is not None
            else Components(0, 0, 0, terms.policy)
        )

    def piece(self, span: Span, stays: Sequence[Stay]) -> Iterable[Charge]:
        """Yield the charges of a time in which nothing changes."""
        shares = shares_for(self._components, self._terms.capacity, asks_of(stays))
        for stay in stays:
            for use, share in _uses(stay, shares[stay.uid]):
                yield self._written(span, stay, use, share)
        use = Use.FREE if self._terms.available else Use.UNAVAILABLE
        yield self._written(span, None, use, self._left_by(list(shares.values())))

    def _left_by(self, taken: Sequence[Share]) -> Share:
        return Share(
            (self._terms.rate or 0) - sum(one.rate for one in taken),
            self._components.gpu - sum(one.gpu_rate for one in taken),
            self._terms.capacity.gpu - sum(one.gpu for one in taken),
        )

    def _written(self, span: Span, stay: Stay | None, use: Use, share: Share) -> Charge:
        priced = self._terms.rate is not None
        return Charge(
            start=span[0],
            end=span[1],
            node=self._node,
            tenant=stay.uid if stay else "",
            account=stay.seat.account if stay else IDLE,
            use=use,
            canary=stay is not None and stay.seat.canary,
            pool=self._terms.pool,
            capacity_type=self._terms.capacity_type,
            policy=self._components.policy if priced else "",
            rate=share.rate,
            gpu_rate=share.gpu_rate,
            gpu=share.gpu,
            priced=priced,
            estimated=span[0] < self._watched,
        )


def _uses(stay: Stay, share: Share) -> tuple[tuple[Use, Share], ...]:
    """Divide serving into used and spare, where that was measured."""
    if stay.seat.use is not Use.SERVING:
        return ((stay.seat.use, share),)
    if stay.busy is None:
        return ((Use.UNMEASURED, share),)
    used = busy_part(share, stay.busy)
    return ((Use.USED, used), (Use.SPARE, rest_of(share, used)))


def asks_of(stays: Sequence[Stay]) -> Mapping[str, Quantities]:
    """Return what each tenant holds, its part of shared claims included."""
    asks = {stay.uid: stay.seat.asks for stay in stays}
    for uid, parts in _claimed(stays):
        asks[uid] = asks[uid] + Quantities(gpu=parts)
    return asks


def _claimed(stays: Sequence[Stay]) -> Iterable[tuple[str, int]]:
    """Yield each holder's part of each claim. A claim is charged once, however many share it."""
    sizes = {claim: parts for stay in stays for claim, parts in stay.seat.claims}
    for claim, parts in sorted(sizes.items()):
        holders = sorted(one.uid for one in stays if claim in dict(one.seat.claims))
        yield from zip(holders, split(parts, [1] * len(holders)), strict=True)


@dataclass(frozen=True, slots=True)
class Rates:
    """What a node costs per hour now, and who of it pays how much."""

    pool: str
    priced: bool
    whole: Rate
    idle: Rate
    by_account: Mapping[tuple[Account, bool], Rate]
    """By account and whether it is for a canary."""


def rates_of(terms: Terms, seats: Mapping[str, Seat]) -> Rates:
    """Return a node's rates as they are, until something changes."""
    stays = [Stay(uid, seat, 0, 1) for uid, seat in seats.items()]
    charges = charges_for("", terms, stays, Window(0, 1, 0))
    rates: dict[tuple[Account, bool], Rate] = {}
    for one in charges:
        who = (one.account, one.canary)
        rates[who] = rates.get(who, 0) + one.rate
    idle = rates.pop((IDLE, False))
    return Rates(terms.pool, terms.rate is not None, terms.rate or 0, idle, rates)
