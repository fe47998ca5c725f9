"""What a node costs, and when nobody knows."""

from datetime import date
from typing import Any

import pytest

from modelfleet.api.v1alpha1.price import Price
from modelfleet.plan.ledger.pricebook import price_book
from modelfleet.plan.ledger.prices import priced
from modelfleet.plan.ledger.units import GPU

SPOT = {"karpenter.sh/capacity-type": "spot"}
ON_DEMAND = {"eks.amazonaws.com/capacityType": "ON_DEMAND"}
RESERVED = {"karpenter.sh/capacity-type": "reserved"}
AKS = {"kubernetes.azure.com/cluster": "c"}
AKS_SPOT = {**AKS, "kubernetes.azure.com/scalesetpriority": "spot"}
A, B = {"perNodeHour": "55.04"}, {"perGPUHour": "3.3"}
OWNED = {
    "purchasePrice": 350_400, "years": 4, "watts": 10_000, "pue": "1.3", "perKilowattHour": "0.12",
}  # fmt: skip
P5 = {
    "node.kubernetes.io/instance-type": "p5.48xlarge", "topology.kubernetes.io/region": "us-east-1",
}  # fmt: skip


@pytest.mark.parametrize(
    ("price", "labels", "rate", "kind"),
    [
        pytest.param({"onDemand": A}, ON_DEMAND, 55_040_000, "on-demand", id="per node"),
        pytest.param({"spot": B}, SPOT, 26_400_000, "spot", id="per GPU, of eight"),
        pytest.param({"onDemand": A, "spot": B}, SPOT, 26_400_000, "spot", id="by the label"),
        pytest.param({"onDemand": A}, SPOT, None, "spot", id="spot has no other price"),
        pytest.param({"onDemand": A}, {}, 55_040_000, "on-demand", id="unlabelled takes the only"),
        pytest.param({"spot": B}, {}, 26_400_000, "spot", id="unlabelled takes only spot too"),
        pytest.param({"onDemand": A, "reserved": B}, {}, None, "", id="unlabelled cannot choose"),
        pytest.param({"reserved": A}, ON_DEMAND, 55_040_000, "on-demand", id="reserved on demand"),
        pytest.param({"spot": B}, ON_DEMAND, None, "on-demand", id="on demand is not spot"),
        pytest.param({"onDemand": A, "reserved": B}, RESERVED, 26_400_000, "reserved", id="res"),
        pytest.param({"onDemand": A}, AKS, 55_040_000, "on-demand", id="AKS says spot or nothing"),
        pytest.param({"onDemand": A}, AKS_SPOT, None, "spot", id="AKS spot"),
        pytest.param({"owned": OWNED}, {}, 11_560_000, "owned", id="10 $/h and 13 kW at 0.12 $"),
        pytest.param(None, {**P5, **ON_DEMAND}, 55_040_000, "on-demand", id="price book"),
        pytest.param(None, {**P5, **SPOT}, None, "spot", id="the book does not know spot"),
        pytest.param(None, P5, None, "", id="the book does not guess"),
        pytest.param(None, ON_DEMAND, None, "on-demand", id="not in the book"),
        pytest.param(
            {"onDemand": B}, {**P5, **ON_DEMAND}, 26_400_000, "on-demand", id="own before book"
        ),
    ],
)
def test_priced(price: Any, labels: dict[str, str], rate: int | None, kind: str) -> None:
    given = Price.model_validate(price) if price else None

    found = priced(given, labels, 8 * GPU, price_book())

    assert (found.rate, found.capacity_type) == (rate, kind)
    assert found.source


def test_a_price_per_gpu_is_nothing_on_a_node_without_gpus() -> None:
    assert priced(Price.model_validate({"onDemand": B}), {}, 0, {}).rate == 0


def test_every_row_of_the_price_book_has_a_source_and_a_date() -> None:
    assert len(price_book()) > 40
    for row in price_book().values():
        assert row.rate > 0
        assert "/" in row.source
        assert date(2026, 1, 1) <= date.fromisoformat(row.date) <= date(2026, 11, 28)
