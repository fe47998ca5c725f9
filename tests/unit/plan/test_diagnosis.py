"""Why a Model is not ready: one table of what is seen and what is said."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.api.conditions import Condition, Reason
from modelfleet.api.v1alpha1.model import ModelStatus
from modelfleet.plan.diagnosis import Diagnosis, diagnose
from modelfleet.plan.diagnosis.text import quoted, telling_line
from modelfleet.plan.world import Exit, Observed, Pod, Waiting
from support.builders import (
    GPU,
    NOON,
    a_crashing_pod,
    a_deployment,
    a_loading_pod,
    a_model,
    a_pending_pod,
    a_pod,
    a_pool,
    a_pulling_pod,
    a_world,
    later,
    seconds_ago,
)

IMAGE = "registry.example/engine:v1"


def waiting(reason: str, message: str = "") -> Pod:
    return a_pulling_pod(waiting=Waiting(reason, message))


def pull(message: str) -> Pod:
    return waiting("ErrImagePull", message)


def why(*pods: Pod, replicas: int = 1, **spec: Any) -> Diagnosis:
    """Return the diagnosis of a Model with these pods, all asked for."""
    seen = a_world(pods, deployments={"new": replicas})
    found = diagnose(a_model(replicas=replicas, **spec), seen, "new")
    assert found is not None
    return found


PULLS = [
    pytest.param(
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{IMAGE}": failed to '
        f'resolve reference "{IMAGE}": {IMAGE}: not found',
        Reason.IMAGE_NOT_FOUND,
        True,
        id="containerd: not found",
    ),
    pytest.param(
        f"Error response from daemon: manifest for {IMAGE} not found: manifest unknown: "
        "manifest unknown",
        Reason.IMAGE_NOT_FOUND,
        True,
        id="docker: manifest unknown",
    ),
    pytest.param(
        "rpc error: code = Unknown desc = reading manifest v1 in registry.example/engine: "
        "name unknown: Repo not found",
        Reason.IMAGE_NOT_FOUND,
        True,
        id="cri-o: name unknown",
    ),
    pytest.param(
        "rpc error: code = NotFound desc = no match for platform in manifest: not found",
        Reason.IMAGE_NOT_FOUND,
        True,
        id="another architecture",
    ),
    pytest.param(
        f'failed to pull and unpack image "{IMAGE}": failed to resolve reference: pull access '
        "denied, repository does not exist or may require authorization: server message: "
        "insufficient_scope: authorization failed",
        Reason.IMAGE_UNAUTHORIZED,
        True,
        id="Docker Hub: denied or not there",
    ),
    pytest.param(
        "unexpected status from HEAD request to https://registry.example/v2/engine/manifests/v1: "
        "401 Unauthorized",
        Reason.IMAGE_UNAUTHORIZED,
        True,
        id="401",
    ),
    pytest.param(
        "failed to fetch anonymous token: unexpected status: 403 Forbidden",
        Reason.IMAGE_UNAUTHORIZED,
        True,
        id="403",
    ),
    pytest.param(
        "Error response from daemon: Head https://x/v2/: no basic auth credentials",
        Reason.IMAGE_UNAUTHORIZED,
        True,
        id="ECR: no basic auth",
    ),
    pytest.param(
        "Error response from daemon: denied: requested access to the resource is denied",
        Reason.IMAGE_UNAUTHORIZED,
        True,
        id="docker: denied",
    ),
    pytest.param(
        "failed to do request: Head https://registry.example/v2/: dial tcp: lookup "
        "registry.example on 10.96.0.10:53: no such host",
        Reason.IMAGE_PULL_FAILED,
        False,
        id="DNS",
    ),
    pytest.param(
        "failed to do request: dial tcp 10.0.0.1:443: i/o timeout",
        Reason.IMAGE_PULL_FAILED,
        False,
        id="timeout",
    ),
    pytest.param(
        "unexpected status from GET request: 429 Too Many Requests: toomanyrequests",
        Reason.IMAGE_PULL_FAILED,
        False,
        id="rate limit",
    ),
    pytest.param(
        "failed to extract layer: write /var/lib/x: no space left on device",
        Reason.IMAGE_PULL_FAILED,
        True,
        id="disk full",
    ),
    pytest.param(
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        Reason.IMAGE_PULL_FAILED,
        True,
        id="unknown CA",
    ),
    pytest.param("something new", Reason.IMAGE_PULL_FAILED, False, id="unknown words"),
]


@pytest.mark.parametrize(("words", "reason", "stalled"), PULLS)
def test_an_image_that_does_not_come(words: str, reason: Reason, stalled: bool) -> None:
    found = why(pull(words))

    assert (found.reason, found.stalled) == (reason, stalled)
    assert found.message.startswith("1 of 1 replicas, as pod chat-new-1: ")


@pytest.mark.parametrize(("words", "reason", "stalled"), PULLS)
def test_trying_and_backing_off_say_the_same(words: str, reason: Reason, stalled: bool) -> None:
    backs_off = waiting(
        "ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {words}'
    )

    assert why(backs_off) == why(pull(words))
    assert (why(backs_off).reason, why(backs_off).stalled) == (reason, stalled)


def test_a_back_off_without_its_cause_keeps_what_was_known() -> None:
    known = Condition(
        type="Ready",
        status="False",
        reason="ImageNotFound",
        message="not there",
        last_transition_time="2026-11-24T12:00:00Z",
        observed_generation=1,
    )
    stalled = known.model_copy(update={"type": "Stalled", "status": "True"})
    model = a_model(status=ModelStatus(conditions=(known, stalled)))
    seen = a_world([waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"')])

    assert diagnose(model, seen, "new") == Diagnosis(Reason.IMAGE_NOT_FOUND, "not there", True)
    assert diagnose(a_model(generation=2), seen, "new") == Diagnosis(
        Reason.IMAGE_PULL_FAILED,
        "1 of 1 replicas, as pod chat-new-1: the image does not come",
        False,
    )


@pytest.mark.parametrize(
    "pod",
    [
        waiting("InvalidImageName", "couldn't parse image name: invalid reference format"),
        waiting("ErrImageNeverPull", "image is not present with pull policy of Never"),
    ],
    ids=["no name of an image", "never pulled"],
)
def test_an_image_that_is_never_tried(pod: Pod) -> None:
    assert why(pod).reason is Reason.IMAGE_NOT_FOUND


def test_the_remedy_names_the_field_that_chooses_the_image() -> None:
    absent = pull("not found")

    assert "Correct spec.engine.image (now that of Engine vllm), or push" in why(absent).message
    mine = why(absent, engine={"name": "vllm", "image": IMAGE})
    assert "Correct spec.engine.image, or push" in mine.message


def test_weights_that_are_an_image_are_the_source() -> None:
    found = why(
        pull("ghcr.io/weights/qwen:1: not found"), source={"uri": "oci://ghcr.io/weights/qwen:1"}
    )

    assert "Correct spec.source.uri" in found.message


@pytest.mark.parametrize(
    ("pod", "reason", "stalled", "part"),
    [
        pytest.param(
            waiting("CreateContainerConfigError", 'secret "hf-token" not found'),
            Reason.CONTAINER_CONFIG_ERROR,
            True,
            "Create that Secret",
            id="missing secret",
        ),
        pytest.param(
            waiting(
                "CreateContainerConfigError", "couldn't find key token in Secret team-search/hf"
            ),
            Reason.CONTAINER_CONFIG_ERROR,
            True,
            "needs the key `token`",
            id="missing key",
        ),
        pytest.param(
            waiting(
                "CreateContainerConfigError",
                "container has runAsNonRoot and image will run as root",
            ),
            Reason.CONTAINER_CONFIG_ERROR,
            True,
            "spec.security.runAsUser",
            id="root image",
        ),
        pytest.param(
            waiting("CreateContainerError", "context deadline exceeded"),
            Reason.PULLING_IMAGE,
            False,
            "waiting 1 for image and volumes",
            id="a slow runtime is not an error",
        ),
        pytest.param(
            a_crashing_pod(code=137, reason="OOMKilled", restarts=1),
            Reason.OUT_OF_MEMORY,
            True,
            "memory limit of 32Gi while loading the model. Raise spec.resources.memory",
            id="out of memory at load",
        ),
        pytest.param(
            a_loading_pod(restarts=1, last_exit=Exit(137, "OOMKilled"), unready_at=seconds_ago(90)),
            Reason.OUT_OF_MEMORY,
            False,
            "while serving, and loads again",
            id="out of memory while serving",
        ),
        pytest.param(
            a_crashing_pod(words="torch.OutOfMemoryError: CUDA out of memory. Tried to allocate"),
            Reason.CRASH_LOOP,
            True,
            "does not fit into the GPU's memory",
            id="CUDA out of memory",
        ),
        pytest.param(
            a_crashing_pod(
                words="401 Client Error: Unauthorized for url: https://huggingface.co/x"
            ),
            Reason.CRASH_LOOP,
            True,
            "Accept the model's terms",
            id="gated repository",
        ),
        pytest.param(
            a_crashing_pod(words="OSError: [Errno 28] No space left on device"),
            Reason.CRASH_LOOP,
            True,
            "do not fit on the node's disk",
            id="disk full",
        ),
        pytest.param(
            a_crashing_pod(words="api_server.py: error: unrecognized arguments: --max-modle-len"),
            Reason.CRASH_LOOP,
            True,
            "Correct spec.engine.args",
            id="unknown argument",
        ),
        pytest.param(
            a_crashing_pod(words="CUDA driver version is insufficient for CUDA runtime version"),
            Reason.CRASH_LOOP,
            True,
            "update the node's driver",
            id="driver too old",
        ),
        pytest.param(
            a_crashing_pod(words="boom", code=139),
            Reason.CRASH_LOOP,
            True,
            "last with exit code 139: boom. The engine crashed",
            id="exit code",
        ),
        pytest.param(
            a_loading_pod(restarts=2, last_exit=Exit(1)),
            Reason.CRASH_LOOP,
            True,
            "kubectl logs --previous",
            id="running again between two crashes",
        ),
        pytest.param(
            a_loading_pod(restarts=5, last_exit=Exit(1, seconds=86400)),
            Reason.RESTARTING,
            False,
            "starts again",
            id="it had run for a day",
        ),
        pytest.param(
            a_loading_pod(restarts=1, last_exit=Exit(1, "Error", "ValueError: once")),
            Reason.RESTARTING,
            False,
            "exit code 1: ValueError: once, and starts again",
            id="one restart",
        ),
        pytest.param(
            a_loading_pod(started_at=seconds_ago(1801)),
            Reason.STARTUP_DEADLINE_EXCEEDED,
            True,
            "within 1800 s of its start, the engine still loads",
            id="loads for too long",
        ),
        pytest.param(
            a_pulling_pod(scheduled_at=seconds_ago(1801)),
            Reason.STARTUP_DEADLINE_EXCEEDED,
            True,
            "no container runs yet",
            id="pulls for too long",
        ),
        pytest.param(
            a_loading_pod(restarts=3, last_exit=Exit(137, seconds=1802)),
            Reason.STARTUP_DEADLINE_EXCEEDED,
            True,
            "Raise spec.startup.deadlineSeconds",
            id="ended by the startup probe",
        ),
        pytest.param(
            a_loading_pod(started_at=seconds_ago(9000), unready_at=seconds_ago(60)),
            Reason.RESTARTING,
            False,
            "no longer answers its readiness probe",
            id="silent after it had served",
        ),
        pytest.param(
            a_pending_pod(
                unschedulable="0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes"
            ),
            Reason.WAITING_FOR_CAPACITY,
            False,
            "0/3 nodes are available: 3 Insufficient cpu. It starts when",
            id="no CPU",
        ),
        pytest.param(
            a_pending_pod(
                unschedulable="0/3 nodes are available: 3 node(s) had untolerated taint {gpu: }."
            ),
            Reason.SCHEDULING,
            False,
            "spec.tolerations of the GPUNodePool",
            id="taint",
        ),
        pytest.param(
            a_pending_pod(
                unschedulable='0/4 nodes are available: persistentvolumeclaim "weights" not '
                "found. not found"
            ),
            Reason.CLAIM_MISSING,
            True,
            "1 of 1 replicas waits for a node: there is no PersistentVolumeClaim weights in "
            "team-search. Create it",
            id="missing claim",
        ),
        pytest.param(
            a_pending_pod(
                unschedulable="0/4 nodes are available: pod has unbound immediate "
                "PersistentVolumeClaims. not found"
            ),
            Reason.SCHEDULING,
            False,
            "unbound immediate PersistentVolumeClaims. See with kubectl describe pvc why",
            id="unbound claim",
        ),
        pytest.param(
            a_pending_pod(
                unschedulable="0/4 nodes are available: 2 node(s) didn't match Pod's node "
                "affinity/selector, 2 node(s) had untolerated taint(s). no new claims to "
                "deallocate, preemption: 0/4 nodes are available: 4 Preemption is not helpful for "
                "scheduling."
            ),
            Reason.SCHEDULING,
            False,
            "had untolerated taint(s). Correct spec.nodePools or spec.podTemplate.nodeSelector, or "
            "label the nodes. Or: Tolerate the nodes' taints",
            id="selector and taint",
        ),
        pytest.param(
            a_pending_pod(
                unschedulable="0/1 nodes are available: 1 node(s) had volume node affinity conflict"
            ),
            Reason.SCHEDULING,
            False,
            "conflict. Use nodes in the zone of the claim's volume, or a volume that these nodes "
            "reach",
            id="volume elsewhere",
        ),
        pytest.param(
            a_pending_pod(unschedulable="0/1 nodes are available: 1 node(s) were unschedulable."),
            Reason.SCHEDULING,
            False,
            "kubectl uncordon",
            id="cordoned",
        ),
        pytest.param(
            a_pending_pod(unschedulable="0/1 nodes are available: 1 is on fire."),
            Reason.SCHEDULING,
            False,
            "1 is on fire. Read what the scheduler says",
            id="unheard of",
        ),
        pytest.param(
            a_pending_pod(), Reason.SCHEDULING, False, "waiting 1 for a node", id="scheduling"
        ),
        pytest.param(
            a_loading_pod(), Reason.LOADING_MODEL, False, "0 of 1 replicas ready", id="loading"
        ),
        pytest.param(
            a_loading_pod(terminating=True, gone_by=seconds_ago(61)),
            Reason.TERMINATING,
            False,
            "1 pod is still there after the grace period",
            id="stuck in termination",
        ),
        pytest.param(
            a_loading_pod(finished=True, failure="NodeShutdown", failure_message="bye"),
            Reason.RESTARTING,
            False,
            "ended for good (NodeShutdown): bye; it is replaced",
            id="node shut down",
        ),
    ],
)
def test_diagnose(pod: Pod, reason: Reason, stalled: bool, part: str) -> None:
    found = why(pod)

    assert (found.reason, found.stalled) == (reason, stalled)
    assert part in found.message


def test_the_models_own_memory_limit_is_named() -> None:
    killed = a_crashing_pod(code=137, reason="OOMKilled")

    assert "limit of 48Gi" in why(killed, resources={"gpus": 1, "memory": "48Gi"}).message


TOO_LARGE = (
    "0/4 nodes are available: 2 Insufficient cpu, 1 Insufficient memory, 2 node(s) had untolerated "
    "taint(s). no new claims to deallocate, preemption: 0/4 nodes are available: 4 Preemption is "
    "not helpful for scheduling."
)


def test_a_replica_that_no_node_can_hold_names_what_is_too_much() -> None:
    found = why(a_pending_pod(unschedulable=TOO_LARGE), resources={"gpus": 0, "cpu": 900})

    assert (found.reason, found.stalled) == (Reason.WAITING_FOR_CAPACITY, False)
    assert found.message == (
        "1 of 1 replicas waits for a node: no node that it may use is large enough for "
        "spec.resources.cpu (900) and spec.resources.memory (now the default of Engine vllm), "
        "however empty (0/4 nodes are available: 2 Insufficient cpu, 1 Insufficient memory, 2 "
        "node(s) had untolerated taint(s)). "
        "It never starts on these nodes: ask for less, or add larger nodes"
    )


def test_a_node_that_is_only_full_is_waited_for() -> None:
    full = TOO_LARGE.replace(
        "4 Preemption is not helpful for scheduling",
        "1 No preemption victims found for incoming pod, 3 Preemption is not helpful for "
        "scheduling",
    )

    found = why(a_pending_pod(unschedulable=full), resources={"gpus": 0, "cpu": 900})

    assert "It starts when nodes have room" in found.message


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"source": {"uri": "pvc://weights/qwen"}}, "spec.source.uri"),
        (
            {"adapters": [{"name": "french", "source": {"uri": "pvc://weights"}}]},
            "spec.adapters[french].source.uri",
        ),
    ],
)
def test_the_field_that_names_a_missing_claim_is_told(spec: dict[str, Any], field: str) -> None:
    said = 'persistentvolumeclaim "weights" not found'

    found = why(a_pending_pod(unschedulable=said), **spec)

    assert found.message.endswith(f"Create it, or correct {field}")


def test_a_claim_that_is_not_bound_is_named() -> None:
    said = "pod has unbound immediate PersistentVolumeClaims"

    found = why(a_pending_pod(unschedulable=said), source={"uri": "pvc://weights/qwen"})

    assert found.message.endswith("kubectl describe pvc weights why the volume is not bound")


# The world around the pods


def test_a_full_pool_says_what_is_asked_and_what_is_there() -> None:
    pods = [a_pod(), a_pending_pod("chat-new-2", unschedulable="0/2 nodes", requests=((GPU, 2),))]
    seen = a_world(pods, pools=[a_pool(free=[1, 1, 1])])

    found = diagnose(a_model(replicas=2, gpus=2), seen, "new")

    assert found == Diagnosis(
        Reason.WAITING_FOR_CAPACITY,
        "1 of 2 replicas waits for a node: 2 GPUs asked on one node; "
        "pool h100 has 3 free of 24, at most 1 on one node. "
        "It starts when GPUs become free; add nodes, or lower replicas here or elsewhere",
        stalled=False,
    )


def test_an_empty_pool_is_waited_for() -> None:
    found = diagnose(a_model(), a_world([a_pending_pod()], pools=[a_pool(free=[])]), "new")

    assert found is not None
    assert (found.reason, found.stalled) == (Reason.POOL_EMPTY, False)


@pytest.mark.parametrize(
    ("failure", "reason", "part"),
    [
        (
            'pods "chat-new-abc" is forbidden: exceeded quota: gpus, requested: 1, limited: 0',
            Reason.QUOTA_EXCEEDED,
            "replicas are refused: exceeded quota: gpus",
        ),
        (
            'pods "chat-new-abc" is forbidden: violates PodSecurity "restricted:latest": x',
            Reason.PODS_REFUSED,
            "Pod Security level",
        ),
        (
            'pods "chat-new-abc" is forbidden: error looking up service account team-search/x: '
            'serviceaccount "x" not found',
            Reason.PODS_REFUSED,
            "spec.podTemplate.serviceAccountName",
        ),
        (
            'pods "x" is forbidden: no PriorityClass with name gold was found',
            Reason.PODS_REFUSED,
            "spec.podTemplate.priorityClassName",
        ),
        (
            'pods "x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
            Reason.PODS_REFUSED,
            "LimitRange",
        ),
        ('pods "x" is forbidden: no', Reason.PODS_REFUSED, "the policy that refuses it"),
    ],
)
def test_pods_that_may_not_be(failure: str, reason: Reason, part: str) -> None:
    seen = a_world([], deployments={"new": 1})
    refused = replace(seen, deployments={"new": a_deployment(failure=failure)})

    found = diagnose(a_model(), refused, "new")

    assert found is not None
    assert (found.reason, found.stalled) == (reason, True)
    assert part in found.message
    assert "chat-new-abc" not in found.message, "the name is another at each try"


def test_a_lost_node_is_named() -> None:
    pod = a_loading_pod(node="node-7", unready_at=seconds_ago(5))
    seen = a_world([pod], lost_nodes=frozenset({"node-7"}))

    found = diagnose(a_model(), seen, "new")

    assert found is not None
    assert (found.reason, found.stalled) == (Reason.NODE_LOST, False)
    assert "as node node-7" in found.message


def evicted(name: str) -> Pod:
    said = "The node was low on resource: ephemeral-storage."
    return a_loading_pod(name, finished=True, failure="Evicted", failure_message=said)


def test_evictions_again_and_again_need_a_person() -> None:
    found = why(evicted("chat-new-1"), evicted("chat-new-2"), a_loading_pod("chat-new-3"))

    assert (found.reason, found.stalled) == (Reason.CRASH_LOOP, True)
    assert "2 pods of this revision were evicted and none is ready" in found.message
    assert "ephemeral-storage" in found.message


def test_evictions_of_the_past_are_forgotten_while_something_serves() -> None:
    old = [evicted(f"chat-new-{at}") for at in range(3)]

    found = why(*old, a_pod("chat-new-8"), a_loading_pod("chat-new-9"), replicas=2)

    assert found.reason is Reason.LOADING_MODEL


def test_a_pause_that_holds_something_back_is_told() -> None:
    seen = a_world([a_pod("chat-old-1", revision="old")])

    found = diagnose(a_model(paused=True), seen, "new")

    assert found is not None
    assert (found.reason, found.stalled) == (Reason.PAUSED, True)


def test_a_pause_with_nothing_left_to_do_is_no_trouble() -> None:
    assert diagnose(a_model(paused=True), a_world([a_pod()]), "new") is None


def test_what_a_person_must_do_goes_before_what_passes() -> None:
    pods = [pull("i/o timeout"), a_crashing_pod("chat-new-2"), a_loading_pod("chat-new-3")]

    assert why(*pods, replicas=3).reason is Reason.CRASH_LOOP


def test_phases_are_counted_and_the_earliest_gives_the_reason() -> None:
    pods = [
        a_pod("chat-new-1"),
        a_loading_pod("chat-new-2"),
        a_loading_pod("chat-new-3"),
        a_pulling_pod("chat-new-4"),
    ]

    assert why(*pods, replicas=4) == Diagnosis(
        Reason.PULLING_IMAGE,
        "1 of 4 replicas ready; waiting 1 for image and volumes, "
        "2 for the engine to load the model",
        stalled=False,
    )


def test_pods_that_are_not_there_yet() -> None:
    found = diagnose(a_model(replicas=2), a_world(), "new")

    assert found is not None
    assert (found.reason, found.stalled) == (Reason.CREATING, False)


def test_a_model_that_is_fully_ready_has_no_trouble() -> None:
    assert diagnose(a_model(), a_world([a_pod()]), "new") is None
    assert diagnose(a_model(replicas=0), a_world(), "new") is None


# Any world at all

WORDS = st.one_of(
    st.text(max_size=300),
    st.sampled_from(
        ["x" * 5000, "not found", "401 Unauthorized", "CUDA out of memory\n", "é" * 900]
    ),
)
REASONS = st.sampled_from(
    ["", "ContainerCreating", "ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff",
     "CreateContainerConfigError", "InvalidImageName", "Strange"]
)  # fmt: skip
INSTANTS = st.none() | st.integers(0, 4000).map(seconds_ago)


def pods() -> st.SearchStrategy[list[Pod]]:
    pod = st.builds(
        Pod,
        namespace=st.just("team-search"),
        name=st.just(""),
        revision=st.sampled_from(["new", "new", "old"]),
        node=st.sampled_from([None, "node-1", "lost"]),
        requests=st.just(((GPU, 1),)),
        scheduled_at=INSTANTS,
        started_at=INSTANTS,
        unready_at=INSTANTS,
        gone_by=INSTANTS,
        ready=st.booleans(),
        terminating=st.booleans(),
        finished=st.booleans(),
        restarts=st.integers(0, 3),
        unschedulable=st.none() | WORDS,
        waiting=st.none() | st.builds(Waiting, REASONS, WORDS),
        last_exit=st.none()
        | st.builds(Exit, st.integers(0, 255), st.sampled_from(["", "OOMKilled"]), WORDS),
        failure=st.sampled_from(["", "Evicted"]),
        failure_message=WORDS,
    )
    return st.lists(pod, max_size=4).map(
        lambda found: [replace(one, name=f"chat-{at}") for at, one in enumerate(found)]
    )


def worlds() -> st.SearchStrategy[Observed]:
    return st.builds(
        lambda found, failure, free: replace(
            a_world(found, pools=[a_pool(free=free)], lost_nodes=frozenset({"lost"})),
            deployments={"new": a_deployment("new", 4, failure=failure)},
        ),
        pods(),
        st.none() | WORDS,
        st.lists(st.integers(0, 2), max_size=2),
    )


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_pods_makes_no_difference(world: Observed, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = replace(world, pods=tuple(random.sample(world.pods, len(world.pods))))

    assert diagnose(a_model(replicas=4), shuffled, "new") == diagnose(
        a_model(replicas=4), world, "new"
    )


@given(worlds(), st.floats(0, 1))
def test_a_status_is_no_clock(world: Observed, share: float) -> None:
    """Between two instants at which some deadline passes nothing may change."""
    model = a_model(replicas=4)
    deadline = model.spec.startup.deadline_seconds
    passes = [
        (at - NOON).total_seconds() + after
        for pod in world.pods
        for at, after in (
            (pod.scheduled_at, deadline), (pod.started_at, deadline), (pod.gone_by, 60),
        )
        if at is not None
    ]  # fmt: skip
    until = min((one for one in passes if one >= 0), default=1e6)

    assert diagnose(model, later(world, share * until), "new") == diagnose(model, world, "new")


@given(worlds())
def test_a_message_is_one_short_line(world: Observed) -> None:
    found = diagnose(a_model(replicas=4), world, "new")

    if found is not None:
        assert 0 < len(found.message.encode()) <= 1024
        assert found.message.isprintable()


@given(worlds())
def test_a_model_that_is_not_ready_always_has_a_reason(world: Observed) -> None:
    ready = sum(
        pod.ready and pod.revision == "new" and not pod.terminating and not pod.finished
        for pod in world.pods
    )

    assert (diagnose(a_model(replicas=4), world, "new") is None) == (ready >= 4)


# Other programs' words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a\n\tb\x1b[31mc\u202ed", "a b [31mc d", id="no control characters"),
        pytest.param("token hf_abcdefghijklmnop.", "token ***", id="no token"),
        pytest.param("https://me:secret@host/x", "https://***@host/x", id="no password"),
        pytest.param(
            "read udp 10.0.0.3:41234->10.96.0.10:53: i/o timeout",
            "read udp 10.96.0.10:53: i/o timeout",
            id="no port of one connection",
        ),
        pytest.param(
            "(EngineCore_DP0 pid=123) ERROR 11-24 12:00:01 [core.py:1] boom",
            "ERROR [core.py:1] boom",
            id="no process number and time",
        ),
        pytest.param("2026-11-24T12:00:01.123Z boom", "boom", id="no timestamp"),
        pytest.param("a\ud800b", "a b", id="half a character"),
    ],
)
def test_quoted(text: str, expected: str) -> None:
    assert quoted(text) == expected


def test_a_log_is_told_by_its_last_error() -> None:
    log = "INFO start\nRuntimeError: CUDA error: bad\nINFO shutting down\n"

    assert telling_line(log) == "RuntimeError: CUDA error: bad"
    assert telling_line("one\ntwo\n\n") == "two"
    assert telling_line("") == ""


def test_a_long_text_is_cut_between_characters() -> None:
    cut = quoted("é" * 1000)

    assert len(cut.encode()) <= 400
    assert cut.endswith("é…")
