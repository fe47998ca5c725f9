from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml

from devcluster import network, parts
from devcluster.layout import Layout

AT = Layout("dev", Path("/cache/clusters/dev"))


def flags(part):
    _, *words = next(p for p in parts.ALL if p.name == part).command(AT)
    return dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)


@pytest.mark.parametrize("part", parts.ALL, ids=lambda part: part.name)
def test_every_part_needs_only_parts_that_start_before_it(part):
    names = [other.name for other in parts.ALL]

    assert not part.needs or names.index(part.needs) < names.index(part.name)


@pytest.mark.parametrize("part", parts.ALL, ids=lambda part: part.name)
def test_no_flag_is_given_twice(part):
    given = [word.split("=", 1)[0] for word in part.command(AT) if word.startswith("--")]

    assert len(given) == len(set(given))


def test_the_api_server_and_the_controllers_agree_on_keys_and_addresses():
    server, controllers = flags("kube-apiserver"), flags("kube-controller-manager")

    assert server["service-cluster-ip-range"] == network.SERVICE_RANGE
    assert (
        server["service-account-signing-key-file"]
        == (controllers["service-account-private-key-file"])
    )
    assert server["client-ca-file"] == controllers["root-ca-file"]
    assert server["advertise-address"] == network.API_ADDRESS


def test_aggregated_apis_can_be_reached_and_trust_the_api_server():
    server = flags("kube-apiserver")

    assert server["enable-aggregator-routing"] == "true"
    assert server["requestheader-client-ca-file"].endswith("front-proxy-ca.crt")
    assert server["proxy-client-cert-file"].endswith("front-proxy-client.crt")


def test_controllers_are_faster_than_any_test_needs():
    scheduler = yaml.safe_load(parts.scheduler_configuration(AT.kubeconfig))

    assert int(flags("kube-controller-manager")["kube-api-qps"]) >= 1000
    assert scheduler["clientConnection"]["qps"] >= 1000
    assert scheduler["podMaxBackoffSeconds"] <= 2


def test_pods_get_the_addresses_that_are_on_the_loopback_device():
    assert flags("kwok")["pod-range"] == network.POD_RANGE
    assert f"addr replace {network.POD_RANGE} dev lo" in network.SETUP


def test_the_address_ranges_do_not_overlap():
    ranges = [network.POD_RANGE, network.SERVICE_RANGE, network.NODE_RANGE]
    ranges = [ip_network(text) for text in [*ranges, f"{network.API_ADDRESS}/32"]]

    assert not any(a.overlaps(b) for a in ranges for b in ranges if a is not b)
