"""What autoscaling promises, on a cluster with controllers and time."""

from datetime import timedelta
from typing import Any

import pytest

from modelfleet.plan.samples import Process, Scrape
from modelfleet.plan.world import Key
from modelfleet.reconcile import asks_for_a_look
from support.fake_cluster import FakeCluster
from support.fake_kubernetes import TEAM
from support.manifests import API_VERSION, model

GPU = {"gpus": 1}
ROUND = 15.0
CHAT = {"policyRef": {"name": "chat"}}


def a_policy(name: str = "chat", **spec: Any) -> dict[str, Any]:
    """Ten requests for each of one to four replicas; a window of two cold starts of 80 s."""
    wanted = {
        "signals": {"concurrencyPerReplica": 10},
        "maxReplicas": 4,
        "windows": {"down": {"coldStartPercent": 200}},
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "AutoscalingPolicy",
        "metadata": {"name": name, "namespace": TEAM},
        "spec": {**wanted, **spec},
    }


def tell(cluster: FakeCluster, load: float | None, **more: float | None) -> None:
    """Let the ready pods tell their share of the load; None: they tell nothing of use."""
    ready = [pod for pod in cluster.pods() if pod.ready and not pod.terminating]
    for pod in ready:
        values = {"running": None if load is None else load / len(ready), "waiting": 0.0, **more}
        cluster.pages.append(
            Scrape(
                pod=pod.uid,
                namespace=TEAM,
                model="chat",
                revision=pod.revision,
                at=cluster.clock,
                process=Process(pod.restarts),
                values={key: one for key, one in values.items() if one is not None},  # type: ignore[misc]
            )
        )


def work(cluster: FakeCluster, load: float | None, seconds: float, **more: float | None) -> None:
    """Let a load last, with a round of readings and looks every 15 s."""
    until = cluster.clock + timedelta(seconds=seconds)
    while cluster.clock < until:
        cluster.pages = [
            one for one in cluster.pages if cluster.clock - one.at < timedelta(seconds=75)
        ]
        tell(cluster, load, **more)
        for _ in range(4):
            cluster.step()
        cluster.advance(ROUND)


def served(cluster: FakeCluster, policy: dict[str, Any] | None = None, **chosen: Any) -> None:
    """Create a Model with a policy and wait until it is ready."""
    cluster.create(policy or a_policy())
    cluster.create(model(TEAM, resources=GPU, autoscaling={**CHAT, **chosen}))
    cluster.settle()
    assert cluster.status().ready_replicas == max(1, chosen.get("minReplicas", 1))


def replicas(cluster: FakeCluster) -> int:
    return sum(not pod.terminating for pod in cluster.pods())


def decided(cluster: FakeCluster) -> tuple[int, str]:
    told = cluster.status().autoscaling
    assert told
    return told.replicas, told.reason


def followed(cluster: FakeCluster) -> tuple[str, str]:
    told = cluster.condition("Model", "chat", "Autoscaled")
    assert told
    return told.status, told.reason


def test_load_brings_replicas_and_their_going_takes_them_away_again(cluster: FakeCluster) -> None:
    served(cluster)

    work(cluster, 38, 200)
    assert (replicas(cluster), cluster.status().ready_replicas) == (4, 4)

    work(cluster, 3, 600)
    assert replicas(cluster) == 1
    assert [(one.before, one.replicas) for one in cluster.status().autoscaling.decisions] == [
        (4, 1),
        (1, 4),
    ]  # type: ignore[union-attr]
    assert followed(cluster) == ("True", "PolicyFollowed")


def test_spec_replicas_is_left_alone_and_not_looked_at(cluster: FakeCluster) -> None:
    cluster.create(a_policy(minReplicas=2))
    cluster.create(model(TEAM, resources=GPU, autoscaling=CHAT, replicas=4))

    cluster.settle()

    assert replicas(cluster) == 2
    assert cluster.get("Model", "chat")["spec"]["replicas"] == 4
    status = cluster.status()
    assert (status.replicas, status.desired_replicas, status.ready_replicas) == (2, 2, 2)
    assert cluster.condition("Model", "chat").reason == "AllReplicasReady"  # type: ignore[union-attr]


def test_a_second_look_changes_nothing(cluster: FakeCluster) -> None:
    served(cluster)
    work(cluster, 12, 400)
    before = cluster.world.version

    work(cluster, 12, 600)

    assert cluster.world.version == before


def test_noise_writes_nothing(cluster: FakeCluster) -> None:
    served(cluster)
    work(cluster, 25, 600)
    before = cluster.world.version

    for load in (24, 26, 25.5, 23, 27, 24.2, 26.4, 25) * 8:
        work(cluster, load, ROUND)

    assert cluster.world.version == before


@pytest.mark.parametrize(
    ("load", "more"),
    [
        pytest.param(None, {}, id="renamed"),
        pytest.param(float("nan"), {}, id="not a number"),
        pytest.param(-3.0, {}, id="negative"),
        pytest.param(0.0, {"waiting": None}, id="half of it"),
    ],
)
def test_what_makes_no_sense_takes_no_replica_away(
    cluster: FakeCluster, load: float | None, more: dict[str, float | None]
) -> None:
    served(cluster)
    work(cluster, 38, 400)

    work(cluster, load, 3000, **more)

    assert replicas(cluster) == 4
    assert decided(cluster) == (4, "NoData")
    assert followed(cluster) == ("False", "MetricsMissing")


def test_replicas_that_fall_silent_are_not_taken_for_idle(cluster: FakeCluster) -> None:
    served(cluster)
    work(cluster, 38, 400)
    tell(cluster, 0)

    for _ in range(200):
        cluster.step()
        cluster.advance(ROUND)

    assert decided(cluster) == (4, "NoData")
    assert replicas(cluster) == 4


def test_a_restarted_operator_goes_on_where_the_old_one_was(cluster: FakeCluster) -> None:
    """The window of a scale-down neither begins again nor is forgotten."""
    served(cluster)
    work(cluster, 38, 400)
    start = cluster.clock
    work(cluster, 3, 90)
    cluster.memories.clear()
    work(cluster, 3, 15)
    assert replicas(cluster) == 4

    while replicas(cluster) == 4:
        work(cluster, 3, ROUND)

    # Two cold starts of 80 s, and the rounds that they are seen in.
    assert timedelta(seconds=160) <= cluster.clock - start <= timedelta(seconds=205)


def test_an_operator_that_was_away_for_long_looks_before_it_takes_away(
    cluster: FakeCluster,
) -> None:
    served(cluster)
    work(cluster, 38, 400)
    cluster.memories.clear()
    cluster.advance(5000)

    work(cluster, 3, ROUND)

    assert replicas(cluster) == 4


def test_a_look_that_dies_after_any_write_scales_nothing_by_what_nobody_can_read(
    cluster: FakeCluster,
) -> None:
    served(cluster)
    tell(cluster, 38)
    cluster.most_writes = 1
    cluster.look()
    assert decided(cluster)[0] == 4
    assert replicas(cluster) == 1

    cluster.most_writes = None
    cluster.memories.clear()
    cluster.pages.clear()
    cluster.settle()

    assert (decided(cluster)[0], replicas(cluster)) == (4, 4)


def test_no_replica_stays_only_where_nobody_minds(cluster: FakeCluster) -> None:
    served(cluster, minReplicas=0)

    work(cluster, 0, 3000)

    assert replicas(cluster) == 1
    assert followed(cluster) == ("False", "ZeroRefused")
    cluster.edit("AutoscalingPolicy", "chat", {"spec": {"scaleToZero": {"withoutHold": True}}})
    work(cluster, 0, 900)
    assert replicas(cluster) == 0
    assert decided(cluster) == (0, "ScaledToZero")
    assert cluster.condition("Model", "chat").reason == "ScaledToZero"  # type: ignore[union-attr]
    cluster.spec(autoscaling={**CHAT, "minReplicas": 1})
    work(cluster, 0, 200)
    assert cluster.status().ready_replicas == 1


def test_a_policy_that_is_not_there_holds_what_there_is_and_says_so(cluster: FakeCluster) -> None:
    served(cluster)
    work(cluster, 38, 400)

    cluster.delete("AutoscalingPolicy", "chat")
    work(cluster, 3, 600)

    assert replicas(cluster) == 4
    assert followed(cluster) == ("False", "PolicyMissing")
    assert "PolicyMissing" in [one.reason for one in cluster.notices]


def test_where_an_hpa_scales_as_well_nothing_is_taken_away_until_a_person_does(
    cluster: FakeCluster,
) -> None:
    served(cluster)
    work(cluster, 28, 400)
    scaled_by("kube-controller-manager", cluster)

    work(cluster, 3, 1200)
    assert replicas(cluster) == 3
    assert decided(cluster) == (3, "ScaledByOthers")
    assert followed(cluster) == ("False", "ScaledByOthers")
    work(cluster, 38, 300)
    assert replicas(cluster) == 4

    scaled_by("kubectl", cluster)
    work(cluster, 3, 300)
    assert replicas(cluster) == 1
    assert followed(cluster) == ("True", "PolicyFollowed")
    assert [one.reason for one in cluster.notices].count("ScaledByOthers") == 1


def scaled_by(manager: str, cluster: FakeCluster) -> None:
    """Let somebody be the last who wrote spec.replicas through `/scale`."""
    entry = {
        "manager": manager,
        "subresource": "scale",
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }
    cluster.edit("Model", "chat", {"metadata": {"managedFields": [entry]}})


def test_without_autoscaling_the_spec_says_how_many_again(cluster: FakeCluster) -> None:
    served(cluster)
    work(cluster, 38, 400)

    cluster.spec(autoscaling=None, replicas=2)
    cluster.settle()

    status = cluster.status()
    assert (status.ready_replicas, status.desired_replicas, status.autoscaling) == (2, 2, None)
    assert cluster.condition("Model", "chat", "Autoscaled") is None
    assert not cluster.memories


def test_autoscaling_begins_with_what_is_there(cluster: FakeCluster) -> None:
    cluster.create(a_policy())
    cluster.create(model(TEAM, resources=GPU, replicas=3))
    cluster.settle()

    cluster.spec(autoscaling=CHAT)
    work(cluster, 25, 300)

    assert decided(cluster)[0] == 3
    assert len(cluster.pods()) == 3


def test_a_paused_model_is_not_scaled(cluster: FakeCluster) -> None:
    served(cluster)
    cluster.spec(paused=True)

    work(cluster, 38, 300)

    assert (replicas(cluster), decided(cluster)[0]) == (1, 1)


def test_the_least_busy_replicas_leave_first(cluster: FakeCluster) -> None:
    served(cluster)
    work(cluster, 38, 400)
    keeps = cluster.pods()[2]

    for _ in range(20):
        tell(cluster, 0)
        cluster.pages = [one if one.pod != keeps.uid else _busy(one) for one in cluster.pages]
        for _ in range(4):
            cluster.step()
        cluster.advance(ROUND)

    assert [pod.name for pod in cluster.pods() if not pod.terminating] == [keeps.name]


def _busy(page: Scrape) -> Scrape:
    return Scrape(
        pod=page.pod,
        namespace=page.namespace,
        model=page.model,
        revision=page.revision,
        at=page.at,
        process=page.process,
        values={"running": 3.0, "waiting": 0.0},
    )


def test_a_schedule_wakes_its_replicas_a_cold_start_before(cluster: FakeCluster) -> None:
    """It is noon UTC; the cold start was measured to be 80 s."""
    office = {"name": "office", "timeZone": "UTC", "from": "12:30", "to": "13:00", "minReplicas": 3}
    served(cluster, a_policy(schedules=[office]))
    begins = cluster.clock.replace(hour=12, minute=30, second=0, microsecond=0)
    work(cluster, 1, (begins - cluster.clock).total_seconds() - 125)
    assert decided(cluster)[0] == 1

    work(cluster, 1, 125)

    assert cluster.status().ready_replicas == 3
    work(cluster, 1, 2400)
    assert replicas(cluster) == 1


def test_a_ceiling_holds_where_the_price_is_known(cluster: FakeCluster) -> None:
    price = {"onDemand": {"perGPUHour": "3"}}
    cluster.edit("GPUNodePool", "h100", {"spec": {"price": price}})
    served(cluster, a_policy(costCeilingPerHour="7"))

    work(cluster, 38, 400)

    assert replicas(cluster) == 2
    assert decided(cluster) == (2, "Limited")
    cluster.edit("GPUNodePool", "h100", {"spec": {"price": None}})
    work(cluster, 38, 400)
    assert followed(cluster) == ("False", "PriceUnknown")


def test_a_rollout_takes_the_number_that_was_decided(cluster: FakeCluster) -> None:
    served(cluster)
    work(cluster, 28, 400)
    assert replicas(cluster) == 3

    cluster.spec(engine={"name": "vllm", "args": ["--max-model-len=4096"]})
    work(cluster, 28, 900)

    status = cluster.status()
    assert (status.ready_replicas, status.stable_revision) == (3, status.current_revision)


# --- between looks --------------------------------------------------------------------

WHICH = Key("Model", TEAM, "chat")


def test_at_rest_nobody_is_woken_and_the_load_is_remembered(cluster: FakeCluster) -> None:
    served(cluster)
    work(cluster, 9, 300)
    before = cluster.memories[WHICH]
    cluster.advance(ROUND)
    tell(cluster, 9)

    assert asks_for_a_look(WHICH, cluster) is False

    assert cluster.memories[WHICH] != before


def test_load_that_asks_for_more_wakes_its_model(cluster: FakeCluster) -> None:
    served(cluster)
    work(cluster, 9, 300)
    cluster.pages.clear()
    tell(cluster, 25)

    assert asks_for_a_look(WHICH, cluster) is True


def test_a_model_that_is_gone_is_forgotten(cluster: FakeCluster) -> None:
    served(cluster)
    cluster.delete("Model", "chat")

    assert asks_for_a_look(WHICH, cluster) is False

    assert WHICH not in cluster.memories


def test_the_status_says_since_when(cluster: FakeCluster) -> None:
    served(cluster)
    work(cluster, 38, 300)

    told = cluster.status().autoscaling
    assert told
    assert told.since
    assert told.message.endswith(f". Since {told.since[11:19]} UTC")
