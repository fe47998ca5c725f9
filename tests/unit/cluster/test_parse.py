"""Objects as kubelets, schedulers and controllers really write them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelfleet.cluster import parse
from modelfleet.plan.world import Exit, Waiting

GPU = "nvidia.com/gpu"


def at(clock: str) -> datetime:
    hour, minute, second = map(int, clock.split(":"))
    return datetime(2026, 11, 24, hour, minute, second, tzinfo=UTC)


def stamp(clock: str) -> str:
    return f"2026-11-24T{clock}Z"


def condition(kind: str, status: str, since: str, **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": stamp(since), **more}


def container(name: str = "engine", **status: Any) -> dict[str, Any]:
    return {"name": name, "ready": False, "restartCount": 0, "state": {}, "lastState": {}, **status}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def terminated(code: int, reason: str, **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, **more}}


def a_pod(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "metadata": {
            "name": "chat-abc-1",
            "namespace": "team",
            "uid": "6b1f",
            "creationTimestamp": stamp("12:00:00"),
            "labels": {
                "modelfleet.dev/model": "chat",
                "modelfleet.dev/revision": "abc",
                "modelfleet.dev/serving": "true",
            },
            "ownerReferences": [
                {"kind": "ReplicaSet", "name": "chat-abc-5d4f", "controller": True}
            ],
        },
        "spec": {"containers": [{"name": "engine"}], **spec},
    }
    return body | ({"status": status} if status is not None else {})


READY = {
    "phase": "Running",
    "startTime": stamp("12:00:01"),
    "podIP": "10.1.2.3",
    "conditions": [
        condition("PodReadyToStartContainers", "True", "12:00:03"),
        condition("Initialized", "True", "12:00:01"),
        condition("Ready", "True", "12:02:00"),
        condition("ContainersReady", "True", "12:02:00"),
        condition("PodScheduled", "True", "12:00:01"),
    ],
    "containerStatuses": [
        container(ready=True, state={"running": {"startedAt": stamp("12:00:30")}})
    ],
}


# --- the life of a pod ----------------------------------------------------------------


def test_a_ready_pod() -> None:
    pod = parse.pod(a_pod(READY, nodeName="gpu-1"))

    assert (pod.namespace, pod.name, pod.uid) == ("team", "chat-abc-1", "6b1f")
    assert (pod.model, pod.revision, pod.serving) == ("chat", "abc", True)
    assert (pod.node, pod.address, pod.ready, pod.restarts) == ("gpu-1", "10.1.2.3", True, 0)
    assert pod.created_at == at("12:00:00")
    assert pod.scheduled_at == at("12:00:01")
    assert pod.started_at == at("12:00:30")
    assert pod.ready_at == at("12:02:00")
    assert (pod.unready_at, pod.waiting, pod.last_exit, pod.unschedulable) == (None,) * 4
    assert (pod.terminating, pod.finished, pod.failure) == (False, False, "")


def test_a_pod_that_nobody_has_looked_at_yet() -> None:
    """The API server sets the phase; before it, some writers leave the status out."""
    for status in (None, {}, {"phase": "Pending"}, {"phase": "Pending", "conditions": None}):
        pod = parse.pod(a_pod(status))

        assert pod.node is None
        assert (pod.scheduled_at, pod.started_at, pod.ready_at) == (None, None, None)
        assert not pod.ready
        assert pod.unschedulable is None


def test_a_pod_of_somebody_else_has_no_model() -> None:
    body = a_pod(READY)
    for labels in (None, {}, {"app": "notebook"}):
        body["metadata"]["labels"] = labels

        pod = parse.pod(body)
        assert (pod.model, pod.revision, pod.serving) == ("", "", False)


def test_a_pod_without_a_node_tells_why() -> None:
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    refused = condition(
        "PodScheduled", "False", "12:00:01", reason="Unschedulable", message=message
    )
    pod = parse.pod(a_pod({"phase": "Pending", "conditions": [refused]}))

    assert pod.unschedulable == message
    assert pod.scheduled_at is None


def test_a_scheduling_gate_is_no_refusal() -> None:
    gated = condition("PodScheduled", "False", "12:00:01", reason="SchedulingGated")

    assert parse.pod(a_pod({"conditions": [gated]})).unschedulable is None


def test_a_pod_that_leaves_is_terminating_until_it_is_gone() -> None:
    body = a_pod(READY, nodeName="gpu-1")
    body["metadata"] |= {"deletionTimestamp": stamp("12:10:00"), "deletionGracePeriodSeconds": 140}
    pod = parse.pod(body)

    assert (pod.terminating, pod.gone_by, pod.finished) == (True, at("12:10:00"), False)


@pytest.mark.parametrize(("phase", "finished"), [("Succeeded", True), ("Failed", True)])
def test_a_pod_that_ended_for_good_tells_why(phase: str, finished: bool) -> None:
    status = {
        "phase": phase,
        "reason": "Evicted",
        "message": "The node was low on resource: memory.",
    }
    pod = parse.pod(a_pod(status, nodeName="gpu-1"))

    assert pod.finished is finished
    assert (pod.failure, pod.failure_message) == ("Evicted", status["message"])


# --- when it stopped being ready --------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "changed", "since"),
    [
        pytest.param("False", "12:00:01", None, id="it never was: the kubelet has taken it in"),
        pytest.param("False", "12:00:03", None, id="it never was: the kubelet was slow"),
        pytest.param("False", "12:05:00", at("12:05:00"), id="it had been ready"),
        pytest.param("Unknown", "12:05:00", at("12:05:00"), id="its node was lost"),
        pytest.param("True", "12:05:00", None, id="it is ready"),
    ],
)
def test_since_when_a_pod_is_not_ready(status: str, changed: str, since: datetime | None) -> None:
    ready = condition("Ready", status, changed)
    pod = parse.pod(a_pod({"startTime": stamp("12:00:01"), "conditions": [ready]}))

    assert pod.unready_at == since


# --- containers that do not run ---------------------------------------------------------


def test_an_image_that_does_not_come() -> None:
    state = waiting("ImagePullBackOff", 'Back-off pulling image "vllm/vllm-openai:nope"')
    pod = parse.pod(a_pod({"containerStatuses": [container(state=state)]}))

    assert pod.waiting == Waiting(
        "ImagePullBackOff", 'Back-off pulling image "vllm/vllm-openai:nope"'
    )
    assert pod.started_at is None


def test_a_container_that_was_killed_for_memory_and_waits() -> None:
    ended = terminated(
        137,
        "OOMKilled",
        startedAt=stamp("12:00:00"),
        finishedAt=stamp("12:01:30"),
        containerID="containerd://1",
    )
    status = container(restartCount=4, state=waiting("CrashLoopBackOff"), lastState=ended)
    pod = parse.pod(a_pod({"containerStatuses": [status]}))

    assert pod.restarts == 4
    assert pod.waiting == Waiting("CrashLoopBackOff")
    assert pod.last_exit == Exit(137, "OOMKilled", "", 90)


def test_the_end_that_is_now_counts_before_the_one_before() -> None:
    now = terminated(1, "Error", message="ValueError: no such flag\n")
    before = terminated(137, "OOMKilled")
    pod = parse.pod(a_pod({"containerStatuses": [container(state=now, lastState=before)]}))

    assert pod.last_exit == Exit(1, "Error", "ValueError: no such flag\n")


def test_a_container_that_runs_again_still_tells_its_last_end() -> None:
    running = {"running": {"startedAt": stamp("12:05:00")}}
    status = container(restartCount=1, state=running, lastState=terminated(0, "Completed"))
    pod = parse.pod(a_pod({"containerStatuses": [status]}))

    assert pod.started_at == at("12:05:00")
    assert pod.last_exit == Exit(0, "Completed")


@pytest.mark.parametrize("order", [1, -1])
def test_of_many_containers_the_engine_is_looked_at(order: int) -> None:
    """A service mesh may put its own container first."""
    crashed = container(restartCount=3, state=waiting("CrashLoopBackOff"))
    proxy = container(
        "istio-proxy", ready=True, state={"running": {"startedAt": stamp("12:00:00")}}
    )
    pod = parse.pod(a_pod({"containerStatuses": [proxy, crashed][::order]}))

    assert (pod.restarts, pod.waiting) == (3, Waiting("CrashLoopBackOff"))


def test_an_init_container_in_trouble_is_told_as_the_engines_trouble() -> None:
    init = container("prepare", restartCount=2, state=waiting("CrashLoopBackOff"))
    engine = container(state=waiting("PodInitializing"))
    pod = parse.pod(a_pod({"initContainerStatuses": [init], "containerStatuses": [engine]}))

    assert (pod.restarts, pod.waiting) == (2, Waiting("CrashLoopBackOff"))


@pytest.mark.parametrize(
    "state",
    [
        {"running": {"startedAt": stamp("12:00:00")}},
        terminated(0, "Completed"),
        waiting("PodInitializing"),
    ],
)
def test_an_init_container_at_work_is_no_trouble(state: dict[str, Any]) -> None:
    engine = container(state=waiting("PodInitializing"))
    init = container("prepare", state=state)
    pod = parse.pod(a_pod({"initContainerStatuses": [init], "containerStatuses": [engine]}))

    assert (pod.waiting, pod.started_at) == (Waiting("PodInitializing"), None)


# --- GPUs --------------------------------------------------------------------------------


def asks(gpus: int | str, name: str = "engine", **more: Any) -> dict[str, Any]:
    return {"name": name, "resources": {"limits": {GPU: str(gpus), "memory": "1Gi"}}, **more}


@pytest.mark.parametrize(
    ("spec", "held"),
    [
        pytest.param({"containers": [{"name": "engine"}]}, (), id="none"),
        pytest.param({"containers": [asks(2)]}, ((GPU, 2),), id="limits alone"),
        pytest.param(
            {"containers": [{"name": "e", "resources": {"requests": {GPU: 2}}}]},
            ((GPU, 2),),
            id="requests, as a number",
        ),
        pytest.param({"containers": [asks(2), asks(1, "b")]}, ((GPU, 3),), id="containers add up"),
        pytest.param(
            {"containers": [asks(2)], "initContainers": [asks(4, "i"), asks(1, "j")]},
            ((GPU, 4),),
            id="init containers run one by one before",
        ),
        pytest.param(
            {"containers": [asks(2)], "initContainers": [asks(1, "i", restartPolicy="Always")]},
            ((GPU, 3),),
            id="a sidecar stays beside them",
        ),
        pytest.param(
            {
                "containers": [asks(1)],
                "initContainers": [
                    asks(4, "before"),
                    asks(2, "sidecar", restartPolicy="Always"),
                    asks(3, "beside"),
                ],
            },
            ((GPU, 5),),
            id="an init container runs beside the sidecars before it",
        ),
        pytest.param(
            {
                "containers": [
                    {"name": "e", "resources": {"limits": {"amd.com/gpu": "1", GPU: "1"}}},
                ]
            },
            (("amd.com/gpu", 1), (GPU, 1)),
            id="two kinds, in order of name",
        ),
        pytest.param({"containers": [asks("x"), asks("1")]}, ((GPU, 1),), id="nonsense"),
        pytest.param({}, (), id="no containers"),
        pytest.param({"containers": [{"name": "e", "resources": None}]}, (), id="null"),
    ],
)
def test_what_a_pod_holds(spec: dict[str, Any], held: tuple[tuple[str, int], ...]) -> None:
    body = a_pod()
    body["spec"] = spec

    assert parse.pod(body).requests == held


def a_node(**parts: Any) -> dict[str, Any]:
    return {"metadata": {"name": "gpu-1", "labels": {"pool": "h100"}}, **parts}


def test_a_node() -> None:
    node = parse.node(
        a_node(
            spec={},
            status={
                "allocatable": {"cpu": "64", "memory": "1Ti", GPU: "8", "hugepages-2Mi": "0"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        )
    )

    assert (node.name, node.labels, node.allocatable) == ("gpu-1", {"pool": "h100"}, ((GPU, 8),))
    assert (node.ready, node.schedulable) == (True, True)


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_a_node_that_does_not_report_is_not_ready(status: str) -> None:
    conditions = [{"type": "Ready", "status": status}]

    assert not parse.node(a_node(status={"conditions": conditions})).ready


def test_a_node_that_has_only_registered_is_not_ready() -> None:
    node = parse.node({"metadata": {"name": "new"}})

    assert (node.ready, node.schedulable, node.labels, node.allocatable) == (False, True, {}, ())


def test_a_cordoned_node_takes_nothing() -> None:
    assert not parse.node(a_node(spec={"unschedulable": True})).schedulable


# --- children ----------------------------------------------------------------------------


def a_deployment(**status: Any) -> dict[str, Any]:
    labels = {"modelfleet.dev/revision": "abc"}
    meta = {"name": "chat-abc", "uid": "d1", "generation": 3, "labels": labels}
    return {"metadata": meta, "spec": {"replicas": 2}, "status": status}


def test_a_deployment() -> None:
    found = parse.deployment(a_deployment(replicas=1, observedGeneration=3))

    assert (found.name, found.revision, found.uid) == ("chat-abc", "abc", "d1")
    assert (found.replicas, found.existing, found.observed, found.failure) == (2, 1, True, None)


def test_a_deployment_that_no_controller_has_seen_yet() -> None:
    assert not parse.deployment(a_deployment()).observed
    assert not parse.deployment(a_deployment(observedGeneration=2)).observed


def test_a_deployment_whose_pods_are_refused_says_why() -> None:
    failure = condition("ReplicaFailure", "True", "12:00:00", message="exceeded quota: most")
    over = condition("ReplicaFailure", "False", "12:00:00", message="it was so")

    assert parse.deployment(a_deployment(conditions=[failure])).failure == "exceeded quota: most"
    assert parse.deployment(a_deployment(conditions=[over])).failure is None


def test_a_kept_revision_has_its_template() -> None:
    template: dict[str, Any] = {"spec": {"containers": []}}
    found = parse.revision(
        {
            "metadata": {
                "name": "chat-abc",
                "uid": "r1",
                "creationTimestamp": stamp("12:00:00"),
                "labels": {"modelfleet.dev/revision": "abc"},
            },
            "revision": 7,
            "data": {"spec": {}, "template": template},
        }
    )

    assert (found.hash, found.number, found.template) == ("abc", 7, template)
    assert found.created_at == at("12:00:00")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-24T12:00:00Z", at("12:00:00")),
        ("2026-11-24T12:00:00.000000Z", at("12:00:00")),
        ("2026-11-24T14:00:00+02:00", at("12:00:00")),
        ("", None),
        (None, None),
    ],
)
def test_instants_have_a_time_zone(text: str | None, instant: datetime | None) -> None:
    assert parse.instant(text) == instant


def test_labels_alone_make_no_replica():
    copy = a_pod(READY)
    copy["metadata"]["ownerReferences"] = []
    other = a_pod(READY)
    other["metadata"]["ownerReferences"][0]["name"] = "chat-xyz-5d4f"

    assert parse.pod(copy).model == parse.pod(other).model == ""
