"""What is read from a pod, and when its processes are told to end."""

from dataclasses import replace

import pytest

from devcluster.engine.dialects import Arguments, Dialect, dialect_for
from devcluster.engine.kubelet import Schedule, last_status, schedule_for
from devcluster.engine.pods import is_lost, pod_from
from unit.devcluster_engine.worlds import a_pod, spec_of


@pytest.mark.parametrize(
    ("engine", "image", "dialect"),
    [
        ("vllm", "vllm/vllm-openai:v0.33.0", Dialect.VLLM),
        ("vllm", "vllm/vllm-openai:v0.9.2", Dialect.VLLM_0_9),
        ("vllm", "registry:5000/vllm-openai:v0.11.2", Dialect.VLLM_0_9),
        ("vllm", "vllm/vllm-openai:latest", Dialect.VLLM),
        ("vllm", "vllm/vllm-openai@sha256:0123", Dialect.VLLM),
        ("vllm", "", Dialect.VLLM),
        ("llama-cpp", "x:v0.1.0", Dialect.LLAMA_CPP),
        ("llama-cpp", "x", Dialect.LLAMA_CPP),
        ("own", "x", None),
    ],
)
def test_the_dialect_follows_from_label_and_image(engine, image, dialect):
    assert dialect_for(engine, image) is dialect


def test_an_annotation_names_the_dialect():
    assert spec_of(annotations={"dialect": "vllm-0.9"}).dialect is Dialect.VLLM_0_9


def test_words_after_a_flag_belong_to_it():
    arguments = Arguments(["serve", "m", "--served-model-name", "a", "b", "--port=1", "--eager"])

    assert arguments.values("--served-model-name") == ["a", "b"]
    assert arguments.number("--port") == 1
    assert arguments.has("--eager")
    assert not arguments.has("--served")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        pytest.param({"args": ["--served-model-name=a"]}, ("a",), id="after an equals sign"),
        pytest.param({"engine": "llama-cpp", "args": ["--alias", "a,b"]}, ("a", "b"), id="alias"),
        pytest.param(
            {"command": ["sh", "-c", "exec vllm serve m --served-model-name a b"]},
            ("a", "b"),
            id="in a shell's script",
        ),
        pytest.param({}, ("chat",), id="the label"),
    ],
)
def test_served_names(options, names):
    assert spec_of(**options).names == names


def test_limits_come_from_arguments_and_the_annotation_wins():
    spec = spec_of(
        args=["--max-num-seqs", "8", "--max-num-queued-reqs", "5"],
        annotations={"profile": '{"maxRunning": 2}'},
    )

    assert (spec.profile.max_running, spec.profile.max_queued) == (2, 5)


@pytest.mark.parametrize(
    "annotations",
    [{"profile": "{"}, {"profile": '{"x": 1}'}, {"error-rate": "much"}, {"dialect": "own"}]
    + [{"crash-after-requests": number} for number in ("0", "-1", "soon", "")],
)
def test_a_bad_annotation_is_remarked_and_left_out(annotations):
    assert spec_of(annotations=annotations).remarks


@pytest.mark.parametrize(
    ("hook", "seconds"),
    [
        ({"sleep": {"seconds": 15}}, 15),
        ({"exec": {"command": ["sleep", "10"]}}, 10),
        ({"exec": {"command": ["/bin/sleep", "10s"]}}, 10),
        ({"exec": {"command": ["sh", "-c", "sleep 5"]}}, 5),
        ({"exec": {"command": ["true"]}}, 0),
        ({"httpGet": {"path": "/"}}, 0),
    ],
)
def test_pre_stop(hook, seconds):
    assert pod_from(a_pod(lifecycle={"preStop": hook})).pre_stop_seconds == seconds


@pytest.mark.parametrize(
    ("state", "running", "loaded"),
    [("waiting", False, False), ("running", True, False), ("ready", True, True)],
)
def test_the_state_of_the_container(state, running, loaded):
    pod = pod_from(a_pod(state=state))

    assert (pod.running, pod.loaded) == (running, loaded)


def test_a_pod_without_our_label_has_no_engine():
    document = a_pod()
    del document["metadata"]["labels"]["modelfleet.dev/engine"]

    assert pod_from(document).engine is None


def test_pods_of_one_template_share_their_spec():
    known = {}
    first, second = (pod_from(a_pod(name=name), known).engine for name in ("a", "b"))

    assert first is second


def test_a_node_is_lost_when_it_says_so():
    node = {"metadata": {"name": "n", "annotations": {"sim.modelfleet.dev/lost": "true"}}}

    assert is_lost(node)
    assert not is_lost({"metadata": {"name": "n"}})


def deleted(pre_stop=0.0, grace=30.0, at=1000.0):
    pod = pod_from(a_pod())
    return replace(pod, pre_stop_seconds=pre_stop, grace_seconds=grace, deletes_at=at + grace)


@pytest.mark.parametrize(
    ("pod", "now", "schedule"),
    [
        pytest.param(deleted(), 1000.9, Schedule(1000.9, 1030.9), id="counts from now if fresh"),
        pytest.param(deleted(), 1010.0, Schedule(1000.0, 1030.0), id="and from then if not"),
        pytest.param(deleted(15), 1010.0, Schedule(1015.0, 1030.0), id="preStop is inside"),
        pytest.param(deleted(60), 1010.0, Schedule(1030.0, 1032.0), id="or takes all of it"),
        pytest.param(deleted(0, 0), 1010.0, Schedule(1000.0, 1002.0), id="two seconds at least"),
    ],
)
def test_the_schedule_of_an_end(pod, now, schedule):
    assert schedule_for(pod, now) == schedule


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (137, "Failed")])
def test_the_last_status(code, phase, now):
    pod = pod_from(a_pod())

    patch = last_status(pod, code, now)

    (container,) = patch["status"]["containerStatuses"]
    assert patch["metadata"]["uid"] == pod.uid
    assert patch["status"]["phase"] == phase
    assert container["state"]["terminated"]["exitCode"] == code
    assert container["state"]["terminated"]["finishedAt"] == "2026-11-24T12:00:00Z"
    assert container["ready"] is False
