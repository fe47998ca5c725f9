"""What a gateway knows of Models and of the slices of their Services."""

from typing import Any

from modelfleet.api import labels
from modelfleet.cluster.fleet import Fleet
from modelfleet.cluster.gateways import Gateways
from modelfleet.plan.world import Key
from support import manifests

TEAM = "team"
CHAT = Key("Model", TEAM, "chat")


def a_slice(
    name: str, writer: str, port: int, *addresses: str, team: str = TEAM, **meta: Any
) -> dict[str, Any]:
    own = {
        labels.MODEL: "chat",
        labels.SERVICE_NAME: "chat",
        labels.SLICE_MANAGED_BY: writer,
    }
    metadata = {"name": name, "namespace": team, "resourceVersion": "7", "labels": own, **meta}
    return {
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
        "ports": [{"name": "http", "port": port}],
    }


def of_pods(*addresses: str, **meta: Any) -> dict[str, Any]:
    return a_slice("chat-x7k2p", "endpointslice-controller.k8s.io", 8000, *addresses, **meta)


def activator(port: int = 20_001, **meta: Any) -> dict[str, Any]:
    return a_slice("chat-activator", labels.FIELD_MANAGER, port, "10.1.0.1", **meta)


def a_fleet() -> tuple[Fleet, list[Key]]:
    changed: list[Key] = []
    fleet = Fleet(changed.append)
    model = manifests.model(TEAM)
    model["metadata"] |= {"uid": "u1", "resourceVersion": "5"}
    fleet.models.feed("ADDED", model)
    return fleet, changed


def test_replicas_are_those_of_the_service_and_not_the_gateways_themselves() -> None:
    fleet, changed = a_fleet()
    fleet.slices.feed("ADDED", activator())
    fleet.slices.feed("ADDED", of_pods("10.2.0.1", "10.2.0.2"))

    target = fleet.target(CHAT)

    assert target is not None
    assert target.backends == (("10.2.0.1", 8000), ("10.2.0.2", 8000))
    assert changed == [CHAT] * 3


def test_an_endpoint_that_is_not_ready_is_none() -> None:
    fleet, _ = a_fleet()
    slice_ = of_pods("10.2.0.1", "10.2.0.2")
    slice_["endpoints"][0]["conditions"] = {"ready": False, "serving": True}
    fleet.slices.feed("ADDED", slice_)

    target = fleet.target(CHAT)

    assert target is not None
    assert target.backends == (("10.2.0.2", 8000),)


def test_slices_of_no_model_and_of_a_service_that_has_no_ports_are_borne() -> None:
    fleet, _ = a_fleet()
    stranger = of_pods("10.2.0.1")
    del stranger["metadata"]["labels"][labels.MODEL]
    fleet.slices.feed("ADDED", stranger)
    empty = of_pods(resourceVersion="8") | {"endpoints": None, "ports": None}
    fleet.slices.feed("ADDED", empty)

    target = fleet.target(CHAT)

    assert target is not None
    assert target.backends == ()


def test_a_port_stands_for_the_model_that_had_it_first() -> None:
    """Somebody else's slice with the same port, in whatever namespace, leads nobody astray."""
    fleet, _ = a_fleet()
    fleet.slices.feed("ADDED", activator(team="a-thief", creationTimestamp="2026-11-24T12:00:01Z"))
    fleet.slices.feed("ADDED", activator(creationTimestamp="2026-11-24T12:00:00Z"))

    assert fleet.behind(20_001) == CHAT
    assert fleet.behind(20_002) is None
    assert fleet.doors() == {20_001}


def test_a_model_that_is_being_deleted_is_gone() -> None:
    fleet, _ = a_fleet()
    model = manifests.model(TEAM)
    model["metadata"] |= {"resourceVersion": "6", "deletionTimestamp": "2026-11-24T12:00:00Z"}
    fleet.models.feed("MODIFIED", model)

    assert fleet.target(CHAT) is None


def test_a_port_is_given_away_once() -> None:
    gateways, other = Gateways(), Key("Model", TEAM, "other")
    gateways.note_port(CHAT, 20_001)
    gateways.note_port(other, 20_001)
    assert gateways.ports == {20_001: CHAT}

    gateways.note_port(other, 20_002)
    gateways.note_port(CHAT, 20_001)
    assert gateways.ports == {20_001: CHAT, 20_002: other}

    gateways.free_port(CHAT)
    assert gateways.ports == {20_002: other}
    assert (CHAT in gateways, other in gateways) == (False, True)


def test_the_gateways_that_take_requests_are_told_when_they_change() -> None:
    gateways, told = Gateways(), list[tuple[str, ...]]()
    gateways.subscribe(lambda: told.append(gateways.ready()))

    gateways.slices.feed("ADDED", of_pods("10.3.0.2", "10.3.0.1"))
    gateways.slices.feed("DELETED", of_pods(resourceVersion="9"))

    assert told == [("10.3.0.1", "10.3.0.2"), ()]
