from ipaddress import ip_address, ip_network

import pytest

from devcluster import network, nodes
from devcluster.options import pool_from

NOON = "2026-11-24T12:00:00Z"


def node(text, index=0, number=1):
    return nodes.node_for(pool_from(text), index, number, "v1.2.3", NOON)


def test_a_gpu_node_offers_its_gpus_and_says_which():
    made = node("h100=2x8:NVIDIA-H100-80GB-HBM3", index=1)

    assert made["metadata"]["name"] == "h100-1"
    assert made["status"]["capacity"]["nvidia.com/gpu"] == "8"
    assert made["status"]["allocatable"] == made["status"]["capacity"]
    labels = made["metadata"]["labels"]
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"
    assert labels["nvidia.com/gpu.count"] == "8"
    assert labels["devcluster/pool"] == "h100"


def test_a_node_is_ready_from_the_start():
    conditions = {c["type"]: c["status"] for c in node("a=1x8:X")["status"]["conditions"]}

    assert conditions["Ready"] == "True"


def test_a_node_without_gpus_offers_none():
    made = node("cpu=1x0")

    assert not [key for key in made["status"]["capacity"] if "gpu" in key]
    assert not [key for key in made["metadata"]["labels"] if "gpu" in key]


def test_extras_are_labels():
    labels = node("a=1x8:X:karpenter.sh/capacity-type=spot,team=blue")["metadata"]["labels"]

    assert labels["karpenter.sh/capacity-type"] == "spot"
    assert labels["team"] == "blue"


@pytest.mark.parametrize("setting", nodes.SETTINGS)
def test_settings_are_no_labels(setting):
    labels = node(f"a=1x8:X:{setting}=1")["metadata"]["labels"]

    assert setting not in labels


def test_a_taint_is_put_on_only_when_asked_for():
    assert node("a=1x8:X")["spec"]["taints"] == []
    assert node("a=1x8:X:taint=true")["spec"]["taints"] == [
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    ]


def test_another_vendors_gpus_have_its_resource_and_none_of_nvidias_labels():
    made = node("mi300=1x8:MI300X:resource=amd.com/gpu,amd.com/gpu.product-name=MI300X")

    assert made["status"]["capacity"]["amd.com/gpu"] == "8"
    assert "nvidia.com/gpu.product" not in made["metadata"]["labels"]
    assert made["metadata"]["labels"]["amd.com/gpu.product-name"] == "MI300X"


def test_nodes_are_spread_over_zones_unless_a_pool_names_one():
    spread = [node("a=3x8:X", index=i)["metadata"]["labels"] for i in range(3)]
    fixed = [node("a=3x8:X:zone=z", index=i)["metadata"]["labels"] for i in range(3)]

    assert len({labels["topology.kubernetes.io/zone"] for labels in spread}) == 3
    assert {labels["topology.kubernetes.io/zone"] for labels in fixed} == {"z"}


def test_ten_thousand_nodes_have_different_addresses_in_the_range_of_nodes():
    addresses = {ip_address(network.node_address(number)) for number in range(1, 10_001)}

    assert len(addresses) == 10_000
    assert all(address in ip_network(network.NODE_RANGE) for address in addresses)


def test_no_pod_runs_on_the_node_that_stands_for_this_machine():
    made = nodes.control_plane("v1.2.3", NOON)

    assert [taint["effect"] for taint in made["spec"]["taints"]] == ["NoSchedule"]
