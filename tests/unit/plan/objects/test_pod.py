from typing import Any

import pytest

from modelfleet.api import labels
from modelfleet.plan.objects.pod import pod_template_for
from unit.plan.models import engine_named, engine_with, model_with, pool_with

LLAMA: dict[str, Any] = {
    "engine": {"name": "llama-cpp"},
    "source": {"uri": "pvc://weights/tiny.gguf"},
}


def pod_of(**spec: Any) -> Any:
    model = model_with(**spec)
    return pod_template_for(model, engine_named(model.spec.engine.name), ())["spec"]


def container_of(**spec: Any) -> Any:
    return pod_of(**spec)["containers"][0]


@pytest.mark.parametrize(
    ("deadline", "failures"), [(10, 2), (11, 3), (1800, 360), (86400, 17280)], ids=str
)
def test_the_startup_probe_waits_out_the_deadline(deadline: int, failures: int) -> None:
    probe = container_of(startup={"deadlineSeconds": deadline})["startupProbe"]

    assert (probe["failureThreshold"], probe["periodSeconds"]) == (failures, 5)


@pytest.mark.parametrize(
    ("engine", "image", "drain", "pre_stop", "grace"),
    [
        pytest.param("vllm", None, 120, 5, 140, id="finishes by itself"),
        pytest.param("vllm", "vllm:v0.17.1", 120, 125, 140, id="an older version cuts"),
        pytest.param("vllm", "vllm:v0.18.0", 120, 5, 140, id="the first version that finishes"),
        pytest.param("llama-cpp", None, 120, 125, 140, id="cuts: sleep through the drain"),
        pytest.param("llama-cpp", None, 0, 5, 20, id="cuts, but nothing to wait for"),
        pytest.param("sglang", None, 3600, 5, 3620, id="the longest drain"),
    ],
)
def test_sigterm_comes_when_it_does_no_harm(
    engine: str, image: str | None, drain: int, pre_stop: int, grace: int
) -> None:
    choice = {"name": engine, "image": image}
    pod = pod_of(engine=choice, drain={"timeoutSeconds": drain})

    assert pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == pre_stop
    assert pod["terminationGracePeriodSeconds"] == grace


def test_a_failed_start_has_nothing_to_drain() -> None:
    container = container_of(**LLAMA)

    assert container["startupProbe"]["terminationGracePeriodSeconds"] == 15
    assert container["livenessProbe"]["terminationGracePeriodSeconds"] == 15


def test_memory_that_the_user_gives_also_limits() -> None:
    resources = container_of(resources={"memory": "64Gi", "cpu": "8", "gpus": 1})["resources"]

    assert resources == {
        "requests": {"cpu": "8", "memory": "64Gi"},
        "limits": {"memory": "64Gi", "nvidia.com/gpu": "1"},
    }


def test_a_default_never_limits() -> None:
    assert container_of()["resources"] == {"requests": {"cpu": "4", "memory": "16Gi"}}


def test_an_engine_without_defaults_asks_for_nothing() -> None:
    engine = engine_with(defaults={})
    (container,) = pod_template_for(model_with(), engine, ())["spec"]["containers"]

    assert "resources" not in container


def test_a_label_of_the_user_never_hides_ours() -> None:
    written = {
        "app.kubernetes.io/managed-by": "me",
        labels.TEAM: "tax",
        "example.com/tier": "gold",
    }
    model = model_with(
        metadata={"labels": {labels.TEAM: "search"}}, podTemplate={"labels": written}
    )

    found = pod_template_for(model, engine_named(), ())["metadata"]["labels"]

    assert found[labels.MANAGED_BY] == "modelfleet"
    assert found[labels.TEAM] == "tax"
    assert found["example.com/tier"] == "gold"
    assert found[labels.SERVING] == "true"


@pytest.mark.parametrize("key", ["app.kubernetes.io/instance", "argocd.argoproj.io/instance", "x"])
def test_labels_of_the_model_stay_with_the_model(key: str) -> None:
    template = pod_template_for(model_with(metadata={"labels": {key: "y"}}), engine_named(), ())

    assert key not in template["metadata"]["labels"]


def test_a_pod_without_a_gpu_sees_none() -> None:
    hidden = {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}

    assert hidden in container_of()["env"]
    assert hidden not in container_of(resources={"gpus": 1})["env"]


def test_the_users_value_replaces_the_engines_in_its_place() -> None:
    choice = {"name": "vllm", "env": [{"name": "VLLM_NO_USAGE_STATS", "value": "0"}]}

    names = [one["name"] for one in container_of(engine=choice)["env"]]
    values = {one["name"]: one.get("value") for one in container_of(engine=choice)["env"]}

    assert names == [one["name"] for one in container_of()["env"]]
    assert values["VLLM_NO_USAGE_STATS"] == "0"


def test_a_token_comes_from_the_secret() -> None:
    source = {"uri": "hf://acme/tiny", "secretRef": {"name": "hf-token"}}

    assert container_of(source=source)["env"][-1] == {
        "name": "HF_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "token"}},
    }


def test_metrics_on_another_port_have_a_port() -> None:
    ports = container_of(engine={"name": "triton"}, source={"uri": "pvc://repository"})["ports"]

    assert [(port["name"], port["containerPort"]) for port in ports] == [
        ("http", 8000),
        ("metrics", 8002),
    ]


def test_weights_are_mounted_for_reading_only() -> None:
    pod = pod_of(**LLAMA)

    assert pod["volumes"][-1] == {
        "name": "model",
        "persistentVolumeClaim": {"claimName": "weights", "readOnly": True},
    }
    assert pod["containers"][0]["volumeMounts"][-1] == {
        "name": "model",
        "mountPath": "/mnt/model",
        "readOnly": True,
    }


@pytest.mark.parametrize(
    ("uri", "revision", "reference"),
    [
        ("oci://r.example.com:5000/tiny", None, "r.example.com:5000/tiny"),
        ("oci://r.example.com:5000/tiny:v1", None, "r.example.com:5000/tiny:v1"),
        ("oci://r.example.com:5000/tiny", "v1", "r.example.com:5000/tiny:v1"),
        ("oci://r.example.com/tiny", "sha256:ab", "r.example.com/tiny@sha256:ab"),
    ],
)
def test_an_image_volume_is_named_by_tag_or_digest(
    uri: str, revision: str | None, reference: str
) -> None:
    volumes = pod_of(source={"uri": uri, "revision": revision})["volumes"]

    assert volumes[-1] == {"name": "model", "image": {"reference": reference}}


def test_the_resource_is_the_pools() -> None:
    pools = (pool_with("mi300", resourceName="amd.com/gpu"),)
    template = pod_template_for(model_with(resources={"gpus": 8}), engine_named(), pools)

    assert template["spec"]["containers"][0]["resources"]["limits"] == {"amd.com/gpu": "8"}


def test_the_account_is_the_models_own_unless_it_names_one() -> None:
    assert pod_of()["serviceAccountName"] == "chat"
    named = pod_of(podTemplate={"serviceAccountName": "reader"})
    assert named["serviceAccountName"] == "reader"
    assert named["automountServiceAccountToken"] is False
