"""What a node costs per hour, or that nobody knows.

| The node's labels say | Its price is                                                           |
|-----------------------|------------------------------------------------------------------------|
| spot                  | `spot`; nothing else says what spot costs                              |
| on demand             | `onDemand`; else the only other one: a reservation is on demand too    |
| reserved              | `reserved`; else the only other one                                    |
| nothing               | the only one beside `spot`, or the only one at all                     |

Without `spec.price` it is the price book's, for on-demand nodes whose region and instance type it
has. Anything else is unpriced.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from modelfleet.api.v1alpha1.price import HourlyPrice, OwnedPrice, Price
from modelfleet.plan.ledger.units import GPU, MILLION, Parts, Rate

ON_DEMAND, SPOT, RESERVED, OWNED = "on-demand", "spot", "reserved", "owned"

CAPACITY_LABELS: Mapping[str, Mapping[str, str]] = {
    "karpenter.sh/capacity-type": {"spot": SPOT, "on-demand": ON_DEMAND, "reserved": RESERVED},
    "eks.amazonaws.com/capacityType": {
        "SPOT": SPOT,
        "ON_DEMAND": ON_DEMAND,
        "CAPACITY_BLOCK": RESERVED,
    },
    "kubernetes.azure.com/scalesetpriority": {"spot": SPOT, "regular": ON_DEMAND},
    "cloud.google.com/gke-provisioning": {"spot": SPOT, "standard": ON_DEMAND},
    "cloud.google.com/gke-spot": {"true": SPOT},
    "cloud.google.com/gke-preemptible": {"true": SPOT},
}
IMPLIES_ON_DEMAND = ("kubernetes.azure.com/cluster",)
"""AKS labels only spot nodes with their priority."""

REGION = "topology.kubernetes.io/region"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
HOURS_OF_A_YEAR = 365 * 24


class Listed(Protocol):
    """A row of the price book."""

    @property
    def rate(self) -> Rate:
        """Micro-dollars per hour."""


Book = Mapping[tuple[str, str], Listed]


@dataclass(frozen=True, slots=True)
class Priced:
    """What a node costs. No rate: unpriced, and `source` says why."""

    rate: Rate | None
    capacity_type: str
    source: str


def micros(dollars: str) -> int:
    """Return dollars, as in "2.5", in micro-dollars; what is finer is cut off."""
    return int(Decimal(dollars) * MILLION)


def capacity_type_of(labels: Mapping[str, str]) -> str:
    """Return how a node was got, or nothing where its labels do not tell."""
    for label, meanings in CAPACITY_LABELS.items():
        if meaning := meanings.get(labels.get(label, "")):
            return meaning
    return ON_DEMAND if any(label in labels for label in IMPLIES_ON_DEMAND) else ""


def priced(price: Price | None, labels: Mapping[str, str], gpus: Parts, book: Book) -> Priced:
    """Return what a node with these labels and GPUs costs."""
    kind = capacity_type_of(labels)
    return _listed(kind, labels, book) if price is None else _own(price, kind, gpus)


def _listed(kind: str, labels: Mapping[str, str], book: Book) -> Priced:
    row = book.get((labels.get(REGION, ""), labels.get(INSTANCE_TYPE, "")))
    if row is None:
        return Priced(None, kind, "no spec.price, and the price book does not have the instance")
    if kind != ON_DEMAND:
        return Priced(None, kind, "no spec.price, and the price book is for on-demand nodes only")
    return Priced(row.rate, kind, "price book")


def _own(price: Price, kind: str, gpus: Parts) -> Priced:
    chosen = _chosen(price, kind)
    if chosen is None:
        return Priced(None, kind, f"spec.price does not say what a node costs that is {kind!r}")
    name, terms = chosen
    return Priced(rate_of(terms, gpus), kind or name, f"spec.price.{name}")


Terms = HourlyPrice | OwnedPrice


def _chosen(price: Price, kind: str) -> tuple[str, Terms] | None:
    given: dict[str, Terms | None] = {
        ON_DEMAND: price.on_demand,
        RESERVED: price.reserved,
        OWNED: price.owned,
        SPOT: price.spot,
    }
    known = {name: terms for name, terms in given.items() if terms is not None}
    if kind in known:
        return kind, known[kind]
    if kind == SPOT:
        return None
    others = [(name, terms) for name, terms in known.items() if name != SPOT]
    if not others and not kind:
        others = list(known.items())
    return others[0] if len(others) == 1 else None


def rate_of(terms: Terms, gpus: Parts) -> Rate:
    """Return what a node with so many GPUs costs in an hour, on these terms."""
    if isinstance(terms, OwnedPrice):
        return _owned_rate(terms)
    if terms.per_node_hour is not None:
        return micros(terms.per_node_hour)
    return micros(terms.per_gpu_hour or "0") * gpus // GPU


def _owned_rate(owned: OwnedPrice) -> Rate:
    bought = Decimal(owned.purchase_price) / (owned.years * HOURS_OF_A_YEAR)
    kilowatts = Decimal(owned.watts) / 1000 * Decimal(owned.pue)
    return int((bought + kilowatts * Decimal(owned.per_kilowatt_hour)) * MILLION)
