"""What the operator promises about Models that sleep, each promise a sentence."""

from typing import Any

import pytest

from behaviour.test_autoscaling import a_policy, decided, replicas, served, work
from modelfleet.api import labels
from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster import customs, parse, rest
from modelfleet.plan.sleep import FIRST_PORT, PORTS, sleep_of
from support.fake_cluster import FakeCluster, is_led_to
from support.fake_kubernetes import TEAM
from support.manifests import model

GATEWAYS = ("10.1.0.1", "10.1.0.2")


def create(cluster: FakeCluster, name: str = "chat", **spec: Any) -> None:
    cluster.create(model(TEAM, name, resources={"gpus": 1}, **spec))
    cluster.settle()


def annotate(cluster: FakeCluster, key: str, value: str | None, name: str = "chat") -> None:
    cluster.edit("Model", name, {"metadata": {"annotations": {key: value}}})


def told(cluster: FakeCluster) -> tuple[str, str]:
    ready = cluster.condition("Model", "chat")
    assert ready is not None
    return ready.status, ready.reason


def led_to(cluster: FakeCluster, name: str = "chat") -> tuple[str, ...] | None:
    """Return the gateways that a Model's Service leads to; None: there is no such slice."""
    found = cluster.children(name).get(("EndpointSlice", f"{name}-activator"))
    return parse.endpoints(found).ready if found else None


def port_of(cluster: FakeCluster, name: str = "chat") -> int:
    port = cluster.children(name)["EndpointSlice", f"{name}-activator"]["ports"][0]["port"]
    assert isinstance(port, int)
    return port


def asleep(cluster: FakeCluster, **spec: Any) -> None:
    """Create a Model that has been served and now sleeps."""
    cluster.gateways = GATEWAYS
    create(cluster, **spec)
    annotate(cluster, labels.SLEEP, "1")
    cluster.settle()
    assert told(cluster) == ("True", "Asleep")


def test_a_model_that_is_put_to_sleep_has_no_replica_and_leads_to_the_gateways(
    cluster: FakeCluster,
) -> None:
    asleep(cluster, replicas=2)

    assert cluster.pods() == []
    assert led_to(cluster) == GATEWAYS
    assert FIRST_PORT <= port_of(cluster) < FIRST_PORT + PORTS


def test_there_is_no_moment_in_which_nobody_answers_while_it_falls_asleep(
    cluster: FakeCluster,
) -> None:
    cluster.gateways = GATEWAYS
    create(cluster, replicas=2)
    annotate(cluster, labels.SLEEP, "1")

    while cluster.pods() or not led_to(cluster):
        cluster.step()
        cluster.wait()
        answering = [pod for pod in cluster.pods() if is_led_to(pod, None)]
        assert answering or led_to(cluster)


def test_the_slice_leads_nowhere_until_gateways_have_had_time_to_listen(
    cluster: FakeCluster,
) -> None:
    cluster.gateways = GATEWAYS
    create(cluster)
    annotate(cluster, labels.SLEEP, "1")

    cluster.look_at()

    assert led_to(cluster) == ()
    assert cluster.get("Deployment", _deployment(cluster))["spec"]["replicas"] == 1


def _deployment(cluster: FakeCluster) -> str:
    return f"chat-{cluster.status().current_revision}"


def test_a_wake_that_names_the_sleep_ends_it(cluster: FakeCluster) -> None:
    asleep(cluster, replicas=2)
    before = cluster.status().stable_revision

    annotate(cluster, labels.WAKE, "1")
    cluster.look_at()
    assert led_to(cluster) == GATEWAYS  # while it starts, requests are held
    cluster.settle()

    assert [pod.ready for pod in cluster.pods()] == [True, True]
    assert led_to(cluster) == ()
    assert told(cluster) == ("True", "AllReplicasReady")
    assert cluster.status().stable_revision == before


def test_a_late_wake_ends_no_later_sleep(cluster: FakeCluster) -> None:
    asleep(cluster)
    annotate(cluster, labels.SLEEP, "2")
    annotate(cluster, labels.WAKE, "1")

    cluster.settle()

    assert cluster.pods() == []


def test_it_falls_asleep_again_at_a_new_value_and_keeps_its_port(cluster: FakeCluster) -> None:
    asleep(cluster)
    port = port_of(cluster)
    annotate(cluster, labels.WAKE, "1")
    cluster.settle()

    annotate(cluster, labels.SLEEP, "2")
    cluster.settle()

    assert told(cluster) == ("True", "Asleep")
    assert port_of(cluster) == port


def test_to_take_the_annotation_away_wakes_it(cluster: FakeCluster) -> None:
    asleep(cluster)

    annotate(cluster, labels.SLEEP, None)
    cluster.settle()

    assert told(cluster) == ("True", "AllReplicasReady")
    assert led_to(cluster) == ()


def test_where_no_gateway_runs_it_sleeps_without_one_and_says_so(cluster: FakeCluster) -> None:
    create(cluster)
    annotate(cluster, labels.SLEEP, "1")
    cluster.settle()

    ready = cluster.condition("Model", "chat")
    assert ready is not None
    assert ready.reason == "Asleep"
    assert "no gateway is there" in ready.message
    assert (cluster.pods(), led_to(cluster)) == ([], None)


def test_a_model_that_nobody_puts_to_sleep_gets_no_slice(cluster: FakeCluster) -> None:
    cluster.gateways = GATEWAYS
    create(cluster)

    assert led_to(cluster) is None


def test_a_model_that_is_scaled_to_zero_is_off_and_leads_nowhere(cluster: FakeCluster) -> None:
    asleep(cluster)

    cluster.spec(replicas=0)
    cluster.settle()

    assert led_to(cluster) == ()


def test_gateways_that_come_and_go_wake_nobody(cluster: FakeCluster) -> None:
    asleep(cluster)

    for there in ((), GATEWAYS[:1], GATEWAYS):
        cluster.gateways = there
        cluster.settle()
        assert (cluster.pods(), led_to(cluster)) == ([], there)


def test_requests_are_held_while_an_awake_model_has_lost_its_last_replica(
    cluster: FakeCluster,
) -> None:
    asleep(cluster)
    annotate(cluster, labels.WAKE, "1")
    cluster.settle()

    cluster.controllers.end(cluster.world.get(rest.PODS, TEAM, cluster.pods()[0].name))
    cluster.look_at()
    assert led_to(cluster) == GATEWAYS

    cluster.settle()
    assert led_to(cluster) == ()


def test_each_model_has_a_port_of_its_own(cluster: FakeCluster) -> None:
    cluster.gateways = GATEWAYS
    for number in range(8):
        body = model(TEAM, f"model-{number}")
        body["metadata"]["annotations"] = {labels.SLEEP: "1"}
        cluster.create(body)
    cluster.settle()

    assert len({port_of(cluster, f"model-{number}") for number in range(8)}) == 8


def test_of_two_models_with_one_port_one_gets_another(cluster: FakeCluster) -> None:
    asleep(cluster)
    taken = port_of(cluster)
    cluster.create(model(TEAM, "other"))
    annotate(cluster, labels.SLEEP, "1", "other")
    cluster.settle()
    ports = [{"name": "http", "port": taken, "protocol": "TCP"}]
    cluster.force("EndpointSlice", "other-activator", {"ports": ports})

    cluster.settle()

    assert port_of(cluster) != port_of(cluster, "other")


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_an_operator_that_dies_after_any_write_ends_up_the_same(
    cluster: FakeCluster, writes: int
) -> None:
    cluster.most_writes = writes
    asleep(cluster, replicas=2)
    annotate(cluster, labels.WAKE, "1")
    cluster.settle()

    assert [pod.ready for pod in cluster.pods()] == [True, True]
    assert led_to(cluster) == ()


# --- where a policy decides -------------------------------------------------------------


def asleep_by_policy(cluster: FakeCluster) -> None:
    """Create an autoscaled Model that has had no request for long."""
    cluster.gateways = GATEWAYS
    served(cluster, a_policy(scaleToZero={}), minReplicas=0)
    work(cluster, 0, 1500)
    assert decided(cluster) == (0, "ScaledToZero")
    assert told(cluster) == ("True", "Asleep")


def test_a_policy_may_take_the_last_replica_where_gateways_hold(cluster: FakeCluster) -> None:
    asleep_by_policy(cluster)

    assert (cluster.pods(), led_to(cluster)) == ([], GATEWAYS)


def test_a_held_request_wakes_a_model_that_its_policy_let_fall_asleep(
    cluster: FakeCluster,
) -> None:
    asleep_by_policy(cluster)

    annotate(cluster, labels.WAKE, name_of(cluster))
    work(cluster, 0, 200)

    assert decided(cluster)[0] == 1
    assert cluster.status().ready_replicas == 1
    assert led_to(cluster) == ()


def name_of(cluster: FakeCluster) -> str:
    """Return the name of the sleep as gateways see it."""
    found = customs.model(cluster.get("Model", "chat"))
    assert isinstance(found, Model)
    name = sleep_of(found)
    assert name is not None
    return name


def test_it_falls_asleep_again_after_as_long_a_quiet_and_an_old_wake_does_nothing(
    cluster: FakeCluster,
) -> None:
    asleep_by_policy(cluster)
    first = name_of(cluster)
    annotate(cluster, labels.WAKE, first)
    work(cluster, 0, 400)
    assert replicas(cluster) == 1

    work(cluster, 0, 1500)

    assert (decided(cluster)[0], replicas(cluster)) == (0, 0)
    assert name_of(cluster) != first


def test_a_policy_never_leaves_a_moment_without_an_answer(cluster: FakeCluster) -> None:
    cluster.gateways = GATEWAYS
    served(cluster, a_policy(scaleToZero={}), minReplicas=0)

    for _ in range(100):
        work(cluster, 0, 15)
        answering = [pod for pod in cluster.pods() if is_led_to(pod, None)]
        assert answering or led_to(cluster)
    assert cluster.pods() == []


def test_gateways_that_are_gone_for_a_moment_wake_no_autoscaled_model(
    cluster: FakeCluster,
) -> None:
    asleep_by_policy(cluster)

    for there in ((), GATEWAYS):
        cluster.gateways = there
        work(cluster, 0, 60)
        assert (replicas(cluster), led_to(cluster)) == (0, there)
