from typing import Any

import pytest

from modelfleet.plan.ledger.gpus import capacity_of, held, unit_of
from modelfleet.plan.ledger.units import GPU

NVIDIA = "nvidia.com/gpu"


@pytest.mark.parametrize(
    ("resource", "labels", "expected"),
    [
        pytest.param(NVIDIA, {}, GPU, id="a whole GPU"),
        pytest.param("amd.com/gpu", {}, 0, id="of another pool's kind"),
        pytest.param("nvidia.com/mig-3g.40gb", {}, GPU * 3 // 7, id="three slices of seven"),
        pytest.param("nvidia.com/mig-7g.80gb", {}, GPU, id="all slices"),
        pytest.param("nvidia.com/mig-1g.10gb.me", {}, GPU // 7, id="a slice with media engine"),
        pytest.param(
            "nvidia.com/mig-2g.12gb", {"nvidia.com/gpu.product": "NVIDIA-A30"}, GPU // 2,
            id="an A30 has four slices",
        ),
        pytest.param(NVIDIA, {"nvidia.com/gpu.replicas": "4"}, GPU // 4, id="time-sliced"),
        pytest.param(
            "nvidia.com/gpu.shared", {"nvidia.com/gpu.replicas": "10"}, GPU // 10, id="renamed"
        ),
        pytest.param(NVIDIA, {"nvidia.com/gpu.replicas": "none"}, GPU, id="a label that is none"),
    ],
)  # fmt: skip
def test_unit_of(resource: str, labels: dict[str, Any], expected: int) -> None:
    assert unit_of(resource, NVIDIA, labels) == expected


def test_slices_that_nobody_can_ask_for_belong_to_the_node() -> None:
    labels = {"nvidia.com/gpu.count": "1"}
    offered = [("nvidia.com/mig-2g.20gb", 3)]

    assert held(offered, NVIDIA, labels) == GPU * 6 // 7
    assert capacity_of(offered, NVIDIA, labels) == GPU


def test_a_count_without_anything_to_ask_for_is_no_gpu() -> None:
    assert capacity_of([("cpu", 4)], NVIDIA, {"nvidia.com/gpu.count": "8"}) == 0
