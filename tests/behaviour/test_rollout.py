"""What the operator promises about the way from one revision to the next."""

from collections.abc import Iterator
from typing import Any

import pytest

from modelfleet.cluster import rest
from support import manifests
from support.fake_cluster import FakeCluster
from support.fake_kubernetes import TEAM
from support.fake_nodes import CRASH_LOOP, IMAGE_NOT_FOUND
from support.manifests import model

GPU = {"gpus": 1}
REPLICAS = 3


def with_arguments(*arguments: str) -> dict[str, Any]:
    return {"name": "vllm", "args": list(arguments)}


FIRST, SECOND = with_arguments("--seed=1"), with_arguments("--seed=2")


def served(cluster: FakeCluster, **spec: Any) -> str:
    cluster.create(model(TEAM, **{"resources": GPU, "engine": FIRST, "replicas": REPLICAS, **spec}))
    cluster.settle()
    revision = cluster.status().stable_revision
    assert revision
    return revision


def rolled_out(cluster: FakeCluster, engine: dict[str, Any]) -> str:
    cluster.spec(engine=engine)
    cluster.settle()
    revision = cluster.status().stable_revision
    assert revision
    return revision


def numbers(cluster: FakeCluster) -> dict[str, int]:
    """Revision → its number, of all that are kept."""
    kept = [one for (kind, _), one in cluster.children().items() if kind == "ControllerRevision"]
    return {one["metadata"]["labels"]["modelfleet.dev/revision"]: one["revision"] for one in kept}


def template(cluster: FakeCluster, revision: str) -> Any:
    return cluster.get("Deployment", f"chat-{revision}")["spec"]["template"]


def fewest_ready(cluster: FakeCluster, rounds: int = 60) -> int:
    """Let everything happen; return how many replicas were serving at the worst moment."""
    fewest = 1000
    for _ in range(rounds):
        before = cluster.world.version
        cluster.step()
        fewest = min(fewest, sum(pod.ready and pod.serving for pod in cluster.pods()))
        if cluster.world.version == before and not cluster.wait():
            break
    return fewest


def fill(cluster: FakeCluster, gpus: int) -> None:
    """Let somebody else take GPUs."""
    for at in range(gpus):
        limits = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
        cluster.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"notebook-{at}", "namespace": TEAM},
                "spec": {
                    "containers": [{"name": "main", **limits}],
                    "nodeSelector": {"pool": "h100"},
                },
            }
        )
    cluster.settle()


# --- revisions -----------------------------------------------------------------------


def test_each_revision_is_kept_with_a_number_that_grows(cluster: FakeCluster) -> None:
    first = served(cluster)
    second = rolled_out(cluster, SECOND)

    assert numbers(cluster) == {first: 1, second: 2}


def test_going_back_uses_the_kept_revision(cluster: FakeCluster) -> None:
    first = served(cluster)
    second = rolled_out(cluster, SECOND)

    again = rolled_out(cluster, FIRST)

    assert again == first
    assert numbers(cluster) == {second: 2, first: 3}


def test_going_back_uses_the_very_template_though_the_engine_document_has_changed(
    cluster: FakeCluster,
) -> None:
    first = served(cluster)
    before = template(cluster, first)
    rolled_out(cluster, SECOND)
    vllm = cluster.engines["vllm"]
    newer = vllm.spec.model_copy(update={"image": "vllm/vllm-openai:v9.9.9", "port": 9000})
    cluster.engines = {**cluster.engines, "vllm": vllm.model_copy(update={"spec": newer})}

    again = rolled_out(cluster, FIRST)

    assert template(cluster, again) == before


def test_a_deleted_snapshot_of_what_runs_comes_back_with_the_same_template(
    cluster: FakeCluster,
) -> None:
    first = served(cluster)
    before = template(cluster, first)

    cluster.delete("ControllerRevision", f"chat-{first}")
    cluster.settle()

    assert template(cluster, first) == before
    assert list(numbers(cluster)) == [first]
    assert cluster.controllers.restarts == 0


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_no_more_revisions_are_kept_than_asked(cluster: FakeCluster, limit: int) -> None:
    served(cluster, replicas=1, revisionHistoryLimit=limit)
    for seed in range(2, 6):
        newest = rolled_out(cluster, with_arguments(f"--seed={seed}"))

    kept = numbers(cluster)
    assert sorted(kept.values()) == list(range(6 - limit, 6))
    assert newest in kept


def test_a_lower_limit_drops_the_oldest(cluster: FakeCluster) -> None:
    served(cluster, replicas=1)
    for seed in (2, 3, 4):
        rolled_out(cluster, with_arguments(f"--seed={seed}"))

    cluster.spec(revisionHistoryLimit=2)
    cluster.settle()

    assert sorted(numbers(cluster).values()) == [3, 4]


# --- where there is room, and where there is none ---------------------------------------------


def test_where_new_replicas_fit_beside_the_old_none_is_missing(cluster: FakeCluster) -> None:
    first = served(cluster)

    cluster.spec(engine=SECOND)

    assert fewest_ready(cluster) >= REPLICAS
    assert cluster.status().stable_revision != first


def test_on_a_full_pool_one_replica_gives_way_at_a_time(cluster: FakeCluster) -> None:
    first = served(cluster)
    fill(cluster, 5)

    cluster.spec(engine=SECOND)

    assert fewest_ready(cluster) == REPLICAS - 1
    assert cluster.status().stable_revision != first
    assert cluster.status().ready_replicas == REPLICAS


def test_a_single_replica_on_a_full_pool_is_replaced_and_it_is_told(cluster: FakeCluster) -> None:
    served(cluster, replicas=1)
    fill(cluster, 7)

    cluster.spec(engine=SECOND)
    cluster.step()

    found = cluster.condition("Model", "chat", "Reconciling")
    assert found
    assert "nothing answers until the new is ready" in found.message
    assert fewest_ready(cluster) == 0
    assert cluster.status().ready_replicas == 1


@pytest.mark.parametrize("strategy", ["Auto", "Surge", "Replace", "BlueGreen"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"resources": {"gpus": 0}}, {"resources": {"gpus": 1}}),
        ({"resources": {"gpus": 1}}, {"resources": {"gpus": 0}}),
        ({"nodePools": ["l40s"]}, {"nodePools": ["h100"]}),
        ({"nodePools": ["amd"]}, {"nodePools": ["h100"]}),
    ],
    ids=["to GPUs", "from GPUs", "to another pool", "to another kind of GPU"],
)
def test_every_strategy_gets_to_other_hardware_where_there_is_room(
    cluster: FakeCluster, strategy: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    for pool in ("l40s", "amd"):
        cluster.add_node(pool, 4, pool=pool)
        cluster.create(manifests.pool(pool, pool=pool))
    amd = {"status": {"allocatable": {"amd.com/gpu": "4"}}}
    cluster.world.merge(rest.NODES, ("", "amd"), amd, "status")
    cluster.edit("GPUNodePool", "amd", {"spec": {"resourceName": "amd.com/gpu"}})
    first = served(cluster, **{"nodePools": ["h100"], **before}, rollout={"strategy": strategy})

    cluster.spec(**after)
    cluster.settle()

    assert cluster.status().stable_revision != first
    assert cluster.status().ready_replicas == REPLICAS


def test_replace_gives_nothing_up_for_a_gpu_that_is_not_there(cluster: FakeCluster) -> None:
    first = served(cluster, resources={"gpus": 0}, rollout={"strategy": "Replace"})
    fill(cluster, 8)

    cluster.spec(resources=GPU)
    cluster.settle()

    assert [pod.revision for pod in cluster.pods() if pod.ready] == [first] * REPLICAS
    found = cluster.condition("Model", "chat", "Reconciling")
    assert found
    assert "no old replica holds such a GPU, so none gives way" in found.message


def test_without_gpus_it_rolls_out_too(bare: FakeCluster) -> None:
    bare.add_node("cpu-1")
    bare.create(model(TEAM, engine=FIRST, replicas=REPLICAS))
    bare.settle()

    bare.spec(engine=SECOND)

    assert fewest_ready(bare) >= REPLICAS
    assert len(bare.world.of(rest.DEPLOYMENTS)) == 1


def test_no_pod_ever_restarts_in_place(cluster: FakeCluster) -> None:
    served(cluster)
    for engine in (SECOND, FIRST, with_arguments()):
        rolled_out(cluster, engine)

    assert cluster.controllers.restarts == 0


@pytest.mark.parametrize("strategy", ["Surge", "BlueGreen"])
def test_a_model_that_can_never_start_takes_no_room_from_others(
    cluster: FakeCluster, strategy: str
) -> None:
    first = served(cluster, rollout={"strategy": strategy})
    nowhere = {"nodeSelector": {"zone": "nowhere"}}
    cluster.create(model(TEAM, "stuck", resources=GPU, replicas=8, podTemplate=nowhere))
    cluster.settle()

    cluster.spec(engine=SECOND)
    cluster.settle()

    assert cluster.status().stable_revision != first


# --- a spec that fails -------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [IMAGE_NOT_FOUND, CRASH_LOOP], ids=["image", "crash"])
@pytest.mark.parametrize("others", [0, 5], ids=["with room", "full"])
def test_a_broken_spec_leaves_the_old_revision_serving(
    cluster: FakeCluster, fault: Any, others: int
) -> None:
    first = served(cluster)
    fill(cluster, others)
    cluster.fail(fault)

    cluster.spec(engine=SECOND)

    assert fewest_ready(cluster) >= REPLICAS - (1 if others else 0)
    assert sum(pod.ready and pod.revision == first for pod in cluster.pods()) >= REPLICAS - 1
    stalled = cluster.condition("Model", "chat", "Stalled")
    assert stalled
    assert f"of revision {first} still serve" in stalled.message
    assert cluster.status().stable_revision == first


def test_taken_back_a_broken_spec_leaves_no_trace(cluster: FakeCluster) -> None:
    first = served(cluster)
    before = {pod.uid for pod in cluster.pods()}
    cluster.fail(IMAGE_NOT_FOUND)
    cluster.spec(engine=SECOND)
    cluster.settle()

    cluster.spec(engine=FIRST)
    cluster.settle()

    assert {pod.uid for pod in cluster.pods()} == before
    assert cluster.status().stable_revision == first
    assert len(cluster.world.of(rest.DEPLOYMENTS)) == 1


def test_a_third_spec_replaces_a_broken_second(cluster: FakeCluster) -> None:
    first = served(cluster)
    cluster.fail(IMAGE_NOT_FOUND)
    cluster.spec(engine=SECOND)
    cluster.settle()
    cluster.mend()

    third = rolled_out(cluster, with_arguments("--seed=3"))

    assert third != first
    assert len(cluster.world.of(rest.DEPLOYMENTS)) == 1
    assert cluster.status().ready_replicas == REPLICAS


def test_what_keeps_serving_still_follows_replicas_while_the_new_spec_cannot_be_met(
    cluster: FakeCluster,
) -> None:
    first = served(cluster)

    cluster.spec(engine={"name": "no-such-engine"}, replicas=5)
    cluster.settle()

    assert [pod.revision for pod in cluster.pods()] == [first] * 5
    found = cluster.condition("Model", "chat")
    assert found
    assert found.reason == "UnknownEngine"


def test_the_stable_revision_outlives_any_history_limit(cluster: FakeCluster) -> None:
    first = served(cluster, revisionHistoryLimit=1)
    cluster.fail(IMAGE_NOT_FOUND)
    for seed in range(2, 6):
        cluster.spec(engine=with_arguments(f"--seed={seed}"))
        cluster.settle()

    assert first in numbers(cluster)
    assert sum(pod.ready and pod.revision == first for pod in cluster.pods()) == REPLICAS


def test_scaled_to_zero_nothing_is_proven_so_what_was_proven_last_is_kept(
    cluster: FakeCluster,
) -> None:
    first = served(cluster, replicas=1, revisionHistoryLimit=1)
    cluster.spec(replicas=0)
    cluster.settle()

    for seed in range(2, 5):
        cluster.spec(engine=with_arguments(f"--seed={seed}"))
        cluster.settle()

    assert cluster.status().stable_revision == first
    assert set(numbers(cluster)) == {first, cluster.status().current_revision}


# --- blue-green ----------------------------------------------------------------------------------

BLUE_GREEN = {"strategy": "BlueGreen"}


def bound_to(cluster: FakeCluster) -> str | None:
    """Return the only revision that the Service leads to."""
    selector: dict[str, str] = cluster.get("Service", "chat")["spec"]["selector"]
    return selector.get("modelfleet.dev/revision")


def asked(cluster: FakeCluster) -> dict[str, int]:
    """Revision → replicas of its Deployment."""
    found = [one for (kind, _), one in cluster.children().items() if kind == "Deployment"]
    return {
        one["metadata"]["labels"]["modelfleet.dev/revision"]: one["spec"]["replicas"]
        for one in found
    }


def rounds(cluster: FakeCluster, most: int = 100) -> Iterator[None]:
    """Let everybody act once, again and again, until nothing happens any more."""
    for _ in range(most):
        before = cluster.world.version
        cluster.step()
        yield
        if cluster.world.version == before and not cluster.wait():
            return
    raise AssertionError(f"no rest after {most} rounds")


def test_blue_green_binds_the_service_to_the_old_then_to_the_new_then_to_none(
    cluster: FakeCluster,
) -> None:
    first = served(cluster, rollout=BLUE_GREEN)

    cluster.spec(engine=SECOND)
    bound: list[str | None] = []
    for _ in rounds(cluster):
        now = bound_to(cluster)
        if now not in (None, first) and now not in bound:
            pods = [pod for pod in cluster.pods() if pod.ready and pod.revision == now]
            assert len(pods) == REPLICAS
            assert asked(cluster)[first] == REPLICAS, "the old ones wait for the switch"
        bound += [now] if bound[-1:] != [now] else []

    assert bound == [first, cluster.status().stable_revision, None]
    assert asked(cluster) == {cluster.status().stable_revision: REPLICAS}


def test_blue_green_never_leads_to_a_revision_that_fails(cluster: FakeCluster) -> None:
    first = served(cluster, rollout=BLUE_GREEN)
    cluster.fail(CRASH_LOOP)

    cluster.spec(engine=SECOND)

    assert {bound_to(cluster) for _ in rounds(cluster)} == {first}
    assert asked(cluster)[first] == REPLICAS


def test_blue_green_without_room_says_what_it_needs(cluster: FakeCluster) -> None:
    first = served(cluster, rollout=BLUE_GREEN)
    fill(cluster, 3)

    cluster.spec(engine=SECOND)
    cluster.settle()

    assert asked(cluster)[first] == REPLICAS
    told = cluster.status().rollout
    assert told
    assert told.message
    assert told.message.startswith(
        "BlueGreen needs room for 3 more at once: 1 GPU asked; pool h100"
    )


# --- leaving -------------------------------------------------------------------------------------


def marked(cluster: FakeCluster, revision: str) -> list[str]:
    """Return the living pods of a revision that get no more requests."""
    pods = [pod for pod in cluster.pods() if pod.revision == revision and not pod.terminating]
    return [pod.name for pod in pods if not pod.serving]


def test_before_replicas_fall_as_many_pods_are_out_of_traffic(cluster: FakeCluster) -> None:
    first = served(cluster)
    fill(cluster, 5)

    cluster.spec(engine=SECOND)
    falls = 0
    before = REPLICAS
    while first in asked(cluster):
        out = len(marked(cluster, first))
        cluster.look()
        now = asked(cluster).get(first, 0)
        assert now == 0 or before - now <= out
        falls, before = falls + (now < before), now
        cluster.controllers.step()
        cluster.nodes.step()
        cluster.wait()
    assert falls == REPLICAS


@pytest.mark.parametrize("back", [False, True], ids=["on", "back"])
def test_an_operator_that_ends_between_mark_and_deletion_is_made_up_for(
    cluster: FakeCluster, back: bool
) -> None:
    first = served(cluster)
    fill(cluster, 5)
    cluster.spec(engine=SECOND)
    cluster.look_at()
    (leaver,) = marked(cluster, first)
    assert asked(cluster)[first] == REPLICAS

    before = cluster.pods()
    cluster.claims.clear()  # all that an operator keeps in memory
    if back:
        cluster.spec(engine=FIRST)
    cluster.step()

    gone = {pod.name for pod in before} - {pod.name for pod in cluster.pods()}
    assert gone == (set() if back else {leaver})
    assert marked(cluster, first) == []


# --- back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["Auto", "Surge", "BlueGreen", "Canary"])
def test_a_revert_is_instant_while_the_old_pods_stand(cluster: FakeCluster, strategy: str) -> None:
    served(cluster, rollout={"strategy": strategy})
    before = {pod.uid for pod in cluster.pods()}
    cluster.spec(engine=SECOND)
    while len([pod for pod in cluster.pods() if pod.node]) == len(before):
        cluster.step()

    cluster.spec(engine=FIRST)
    cluster.look()

    assert cluster.status().current_revision == cluster.status().stable_revision
    cluster.settle()
    assert {pod.uid for pod in cluster.pods()} == before, "no pod had to start again"


# --- pins and pauses -----------------------------------------------------------------------------


def test_a_pin_goes_back_and_its_end_goes_on(cluster: FakeCluster) -> None:
    first = served(cluster)
    second = rolled_out(cluster, SECOND)

    cluster.spec(rollout={"pinRevision": first})
    cluster.settle()
    assert asked(cluster) == {first: REPLICAS}
    assert cluster.status().stable_revision == first

    cluster.spec(rollout={"pinRevision": None})
    cluster.settle()
    assert asked(cluster) == {second: REPLICAS}


def test_a_pin_to_what_is_not_kept_is_refused_and_the_kept_are_named(cluster: FakeCluster) -> None:
    first = served(cluster)
    second = rolled_out(cluster, SECOND)

    cluster.spec(rollout={"pinRevision": "a" * 10})
    cluster.settle()

    stalled = cluster.condition("Model", "chat", "Stalled")
    assert stalled
    assert stalled.reason == "InvalidSpec"
    assert "there is no kept revision aaaaaaaaaa" in stalled.message
    assert f"kept are {first}, {second}" in stalled.message
    assert asked(cluster) == {second: REPLICAS}


def test_a_paused_rollout_starts_nothing_still_scales_and_goes_on(cluster: FakeCluster) -> None:
    first = served(cluster, rollout={"paused": True})

    cluster.spec(engine=SECOND, replicas=4)
    cluster.settle()
    assert asked(cluster) == {first: 4}

    cluster.spec(rollout={"paused": False})
    cluster.settle()
    assert asked(cluster) == {cluster.status().stable_revision: 4}
    assert cluster.status().stable_revision != first
