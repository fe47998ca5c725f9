"""What the operator promises about a Model, each promise a sentence."""

from typing import Any

import pytest

from modelfleet.api import labels
from modelfleet.api.conditions import Reason, timestamp
from support.fake_cluster import FakeCluster
from support.fake_kubernetes import TEAM
from support.manifests import model

GPU = {"gpus": 1}
OTHER = {"name": "vllm", "args": ["--max-model-len=4096"]}


def served(cluster: FakeCluster, **spec: Any) -> str:
    """Create a Model, wait until it is served, and return its revision."""
    cluster.create(model(TEAM, resources=GPU, **spec))
    cluster.settle()
    revision = cluster.status().stable_revision
    assert revision
    return revision


def kinds(cluster: FakeCluster) -> list[str]:
    return sorted(kind for kind, _ in cluster.children())


def uids(cluster: FakeCluster) -> dict[Any, str]:
    return {name: found["metadata"]["uid"] for name, found in cluster.children().items()}


PORT = {"name": "http", "port": 80, "protocol": "TCP"}
ALL = ["ControllerRevision", "Deployment", "PodDisruptionBudget", "Service", "ServiceAccount"]


# --- from a Model to a served model -------------------------------------------------


def test_a_model_becomes_its_children_and_ready(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources=GPU, replicas=2))

    cluster.settle()

    assert kinds(cluster) == ALL
    assert [pod.ready for pod in cluster.pods()] == [True, True]
    status = cluster.status()
    assert [(one.type, one.status, one.reason) for one in status.conditions] == [
        ("Ready", "True", "AllReplicasReady")
    ]
    assert (status.replicas, status.ready_replicas, status.observed_generation) == (2, 2, 1)
    assert status.endpoint == "http://chat.team-search.svc/v1"
    assert status.selector == "modelfleet.dev/model=chat"
    assert status.current_revision == status.stable_revision is not None


def test_every_child_goes_with_its_model(cluster: FakeCluster) -> None:
    served(cluster)

    owners = [found["metadata"]["ownerReferences"] for found in cluster.children().values()]
    uid = cluster.get("Model", "chat")["metadata"]["uid"]
    assert {(one["uid"], one["controller"], len(each)) for each in owners for one in each} == {
        (uid, True, 1)
    }


def test_the_service_selects_exactly_the_pods_that_serve(cluster: FakeCluster) -> None:
    served(cluster)

    selector = cluster.get("Service", "chat")["spec"]["selector"]
    (pod,) = cluster.pods()
    assert selector.items() <= cluster.get("Pod", pod.name)["metadata"]["labels"].items()


def test_the_status_tells_the_phases_of_the_cold_start(cluster: FakeCluster) -> None:
    served(cluster)

    phases = cluster.status().startup
    assert phases
    assert (phases.scheduling_seconds, phases.pulling_seconds, phases.loading_seconds) == (
        0,
        20,
        60,
    )
    assert phases.total_seconds == 80


def test_while_it_starts_the_status_follows_each_phase(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources=GPU))
    told: list[str] = []
    for _ in range(20):
        cluster.step()
        ready = cluster.condition("Model", "chat")
        told += [ready.reason] if ready and told[-1:] != [ready.reason] else []
        cluster.advance(10)

    assert told == ["Creating", "PullingImage", "LoadingModel", "AllReplicasReady"]


def test_a_model_without_gpus_needs_no_pool(bare: FakeCluster) -> None:
    bare.add_node("cpu-1")
    bare.create(model(TEAM))

    bare.settle()

    assert bare.status().ready_replicas == 1


def test_ready_is_told_by_one_event(cluster: FakeCluster) -> None:
    served(cluster)

    told = [notice for notice in cluster.notices if notice.reason == Reason.ALL_REPLICAS_READY]
    assert [notice.type for notice in told] == ["Normal"]


def test_two_models_do_not_meet(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, "one", resources=GPU))
    cluster.create(model(TEAM, "two", resources=GPU, replicas=2))
    cluster.settle()

    cluster.delete("Model", "one")
    cluster.settle()

    assert not cluster.children("one")
    assert cluster.status("two").ready_replicas == 2


def test_a_name_of_fifty_characters_fits_everywhere(cluster: FakeCluster) -> None:
    name = "m" * 50
    cluster.create(model(TEAM, name, resources=GPU))

    cluster.settle()

    assert cluster.status(name).ready_replicas == 1


# --- scaling -------------------------------------------------------------------------


@pytest.mark.parametrize("replicas", [0, 1, 3, 8])
def test_it_is_scaled_to_what_is_asked(cluster: FakeCluster, replicas: int) -> None:
    first = served(cluster, replicas=2)

    cluster.spec(replicas=replicas)
    cluster.settle()

    assert len(cluster.pods()) == replicas
    assert cluster.status().current_revision == first
    ready = cluster.condition("Model", "chat")
    assert ready
    assert ready.status == "True"


def test_scaled_to_zero_is_well_and_keeps_the_deployment(cluster: FakeCluster) -> None:
    served(cluster)

    cluster.spec(replicas=0)
    cluster.settle()

    ready = cluster.condition("Model", "chat")
    assert ready
    assert (ready.status, ready.reason) == ("True", "ScaledToZero")
    assert kinds(cluster) == ALL


def test_a_pod_that_leaves_is_taken_out_of_traffic_first(cluster: FakeCluster) -> None:
    served(cluster, replicas=3)

    cluster.spec(replicas=2)
    told: list[set[str]] = []
    for _ in range(6):
        cluster.step()
        told.append({pod.name for pod in cluster.pods() if not pod.serving and pod.ready})
        gone = {pod.name for pod in cluster.pods() if pod.terminating}
        assert gone <= set().union(*told)
    assert any(told)


def test_without_deployment_controllers_scaling_waits(cluster: FakeCluster) -> None:
    served(cluster)

    cluster.spec(replicas=3)
    cluster.look()

    ready = cluster.condition("Model", "chat")
    assert ready
    assert (ready.status, ready.reason) == ("False", "Creating")


def test_a_condition_tells_since_when_it_is_so(cluster: FakeCluster) -> None:
    served(cluster)
    first = cluster.condition("Model", "chat")
    cluster.advance(3600)

    cluster.spec(license="apache-2.0")
    cluster.settle()
    same = cluster.condition("Model", "chat")
    assert first
    assert same
    assert same.observed_generation == 2
    assert same.last_transition_time == first.last_transition_time

    cluster.spec(replicas=2)
    cluster.step()
    cluster.look()
    other = cluster.condition("Model", "chat")
    assert other
    assert (other.status, other.last_transition_time) == ("False", timestamp(cluster.clock))


# --- what makes a new revision, and what does not -----------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 2},
        {"license": "apache-2.0"},
        {"revisionHistoryLimit": 3},
        {"drain": {"timeoutSeconds": 120}},
        {"startup": {}},
        {"nodePools": []},
        {"engine": {"name": "vllm", "args": []}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_needs_no_new_pods_replaces_none(cluster: FakeCluster, change: dict[str, Any]) -> None:
    first = served(cluster)
    before = {pod.uid for pod in cluster.pods()}

    cluster.spec(**change)
    cluster.settle()

    assert cluster.status().current_revision == first
    assert before <= {pod.uid for pod in cluster.pods()}


@pytest.mark.parametrize(
    "change",
    [
        {"engine": OTHER},
        {"engine": {"name": "sglang"}},
        {"source": {"uri": "hf://Qwen/Qwen2.5-14B-Instruct"}},
        {"resources": {"gpus": 2}},
        {"nodePools": ["h100"]},
        {"podTemplate": {"labels": {"team": "search"}}},
        {"servedNames": ["qwen"]},
        {"drain": {"timeoutSeconds": 30}},
        {"startup": {"deadlineSeconds": 600}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_needs_new_pods_replaces_all(cluster: FakeCluster, change: dict[str, Any]) -> None:
    first = served(cluster)
    before = {pod.uid for pod in cluster.pods()}

    cluster.spec(**change)
    cluster.settle()

    status = cluster.status()
    assert status.current_revision == status.stable_revision != first
    assert not before & {pod.uid for pod in cluster.pods()}
    assert [k for k in kinds(cluster) if k == "Deployment"] == ["Deployment"]


def test_labels_of_the_model_change_no_pod_and_the_team_reaches_its_children(
    cluster: FakeCluster,
) -> None:
    first = served(cluster)
    before = {pod.uid for pod in cluster.pods()}

    own = {labels.TEAM: "search", "argocd.argoproj.io/instance": "platform"}
    cluster.edit("Model", "chat", {"metadata": {"labels": own}})
    cluster.settle()

    assert cluster.status().current_revision == first
    assert {pod.uid for pod in cluster.pods()} == before
    found = cluster.get("Service", "chat")["metadata"]["labels"]
    assert found[labels.TEAM] == "search"
    assert "argocd.argoproj.io/instance" not in found


# --- hands in the children ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_a_deleted_child_comes_back(cluster: FakeCluster, kind: str) -> None:
    served(cluster)
    before = uids(cluster)
    (name,) = [name for one, name in before if one == kind]

    cluster.delete(kind, name)
    cluster.settle()

    after = uids(cluster)
    assert after.keys() == before.keys()
    assert {key for key in before if before[key] != after[key]} == {(kind, name)}


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("Service", {"spec": {"selector": {"modelfleet.dev/serving": "false"}}}),
        ("Service", {"spec": {"ports": [{**PORT, "targetPort": "metrics"}]}}),
        ("ServiceAccount", {"automountServiceAccountToken": True}),
        ("PodDisruptionBudget", {"spec": {"maxUnavailable": 0}}),
        ("Deployment", {"spec": {"replicas": 5}}),
        ("Service", {"metadata": {"labels": {"app.kubernetes.io/component": "database"}}}),
    ],
)
def test_a_tampered_field_is_put_back(
    cluster: FakeCluster, kind: str, patch: dict[str, Any]
) -> None:
    served(cluster)
    (name,) = [name for one, name in cluster.children() if one == kind]
    before = cluster.get(kind, name)["spec" if "spec" in patch else "metadata"]

    cluster.force(kind, name, patch)
    cluster.settle()

    found = cluster.get(kind, name)
    after = found["spec" if "spec" in patch else "metadata"]
    if "spec" in patch:
        assert after == before
    else:
        assert after["labels"] == before["labels"]


def test_a_tampered_template_is_put_back_and_its_pods_with_it(cluster: FakeCluster) -> None:
    first = served(cluster)
    name = f"chat-{first}"
    before = cluster.get("Deployment", name)["spec"]["template"]

    cluster.force(
        "Deployment", name, {"spec": {"template": {"spec": {"enableServiceLinks": True}}}}
    )
    cluster.settle()

    assert cluster.get("Deployment", name)["spec"]["template"] == before


def test_a_field_of_somebody_else_stays(cluster: FakeCluster) -> None:
    first = served(cluster)
    foreign = {"metadata": {"annotations": {"example.com/note": "mine"}, "labels": {"cost": "42"}}}

    cluster.force("Deployment", f"chat-{first}", foreign)
    cluster.force("Service", "chat", {"spec": {"trafficDistribution": "PreferClose"}})
    cluster.settle()
    cluster.spec(replicas=2)
    cluster.settle()

    found = cluster.get("Deployment", f"chat-{first}")["metadata"]
    assert (found["annotations"]["example.com/note"], found["labels"]["cost"]) == ("mine", "42")
    assert cluster.get("Service", "chat")["spec"]["trafficDistribution"] == "PreferClose"


def test_a_deleted_pod_is_replaced_and_its_model_ready_again(cluster: FakeCluster) -> None:
    served(cluster, replicas=2)
    first = cluster.pods()[0]

    cluster.controllers.end(cluster.get("Pod", first.name))
    cluster.settle()

    assert first.uid not in {pod.uid for pod in cluster.pods()}
    assert cluster.status().ready_replicas == 2


# --- deletion --------------------------------------------------------------------------------


@pytest.mark.parametrize("foreground", [False, True], ids=["background", "foreground"])
def test_deletion_leaves_nothing(cluster: FakeCluster, foreground: bool) -> None:
    served(cluster, replicas=2)

    cluster.delete("Model", "chat", foreground=foreground)
    cluster.settle()

    assert not cluster.children()
    assert not cluster.pods()


def test_nothing_is_written_while_it_is_being_deleted(cluster: FakeCluster) -> None:
    first = served(cluster)
    cluster.delete("Model", "chat", foreground=True)
    cluster.delete("Deployment", f"chat-{first}")
    before = cluster.world.version

    cluster.look()

    assert cluster.world.version == before


def test_a_model_of_the_same_name_waits_for_the_children_of_the_former(
    cluster: FakeCluster,
) -> None:
    served(cluster)
    before = uids(cluster)
    cluster.delete("Model", "chat")
    cluster.create(model(TEAM, resources=GPU))

    cluster.look()
    assert uids(cluster) == before

    cluster.settle()
    assert cluster.status().ready_replicas == 1
    uid = cluster.get("Model", "chat")["metadata"]["uid"]
    for found in cluster.children().values():
        assert found["metadata"]["ownerReferences"][0]["uid"] == uid


def test_children_that_an_orphaning_deletion_has_left_are_taken_up_again(
    cluster: FakeCluster,
) -> None:
    served(cluster)
    before = uids(cluster)
    for kind, name in before:
        cluster.force(kind, name, {"metadata": {"ownerReferences": None}})
    cluster.delete("Model", "chat")
    cluster.settle()

    cluster.create(model(TEAM, resources=GPU))
    cluster.settle()

    assert uids(cluster) == before
    assert cluster.status().ready_replicas == 1


# --- paused ------------------------------------------------------------------------------------


def test_paused_nothing_is_written_whatever_changes(cluster: FakeCluster) -> None:
    first = served(cluster, replicas=2)
    before = cluster.children()

    cluster.spec(paused=True, replicas=5, engine=OTHER)
    cluster.delete("Service", "chat")
    cluster.settle()

    assert cluster.children() == {key: one for key, one in before.items() if key[0] != "Service"}
    assert cluster.status().stable_revision == first
    stalled = cluster.condition("Model", "chat", "Stalled")
    assert stalled
    assert stalled.reason == "Paused"
    assert "spec.paused" in stalled.message


def test_a_model_that_is_created_paused_waits(cluster: FakeCluster) -> None:
    cluster.create(model(TEAM, resources=GPU, paused=True))

    cluster.settle()
    assert not cluster.children()

    cluster.spec(paused=False)
    cluster.settle()
    assert cluster.status().ready_replicas == 1


def test_unpaused_it_catches_up(cluster: FakeCluster) -> None:
    first = served(cluster)
    cluster.spec(paused=True, engine=OTHER, replicas=2)
    cluster.settle()

    cluster.spec(paused=None)
    cluster.settle()

    status = cluster.status()
    assert status.stable_revision == status.current_revision != first
    assert status.ready_replicas == 2


# --- upgrades ------------------------------------------------------------------------------------


def test_an_upgrade_of_the_operator_restarts_nothing(cluster: FakeCluster) -> None:
    served(cluster, replicas=2)
    before, template = {pod.uid for pod in cluster.pods()}, _template(cluster)

    vllm = cluster.engines["vllm"]
    spec = vllm.spec.model_copy(update={"image": "vllm/vllm-openai:v9.9.9"})
    newer = vllm.model_copy(update={"spec": spec})
    cluster.engines = {**cluster.engines, "vllm": newer}
    cluster.settle()

    assert {pod.uid for pod in cluster.pods()} == before
    assert _template(cluster) == template
    assert cluster.controllers.restarts == 0

    cluster.spec(engine=OTHER)
    cluster.settle()
    assert "v9.9.9" in str(_template(cluster))


def test_another_taint_of_the_pool_reaches_only_new_revisions(cluster: FakeCluster) -> None:
    served(cluster)
    before, template = {pod.uid for pod in cluster.pods()}, _template(cluster)

    cluster.edit("GPUNodePool", "h100", {"spec": {"nodeSelector": {"zone": "a"}}})
    cluster.settle()

    assert {pod.uid for pod in cluster.pods()} == before
    assert _template(cluster) == template


def _template(cluster: FakeCluster) -> Any:
    (found,) = [one for (kind, _), one in cluster.children().items() if kind == "Deployment"]
    return found["spec"]["template"]
