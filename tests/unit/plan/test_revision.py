"""The hash is a promise across releases: a changed golden value restarts every model server."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfleet.api.v1alpha1 import Model
from modelfleet.plan import revision
from support.chance import examples
from unit.plan.models import model_with

FULL: dict[str, Any] = {
    "source": {
        "uri": "hf://Qwen/Qwen2.5-7B-Instruct",
        "revision": "5f5d3a2",
        "secretRef": {"name": "hf-token"},
    },
    "license": "apache-2.0",
    "engine": {
        "name": "vllm",
        "image": "vllm/vllm-openai:v0.33.0",
        "args": ["--max-model-len=8192"],
        "env": [{"name": "A", "value": "b"}],
    },
    "resources": {"gpus": 2, "cpu": "4", "memory": "32Gi", "sharedMemory": "8Gi"},
    "nodePools": ["h100-spot", "h100"],
    "replicas": 3,
    "adapters": [{"name": "legal", "source": {"uri": "hf://acme/legal"}}],
    "startup": {"deadlineSeconds": 900},
    "drain": {"timeoutSeconds": 60},
    "podTemplate": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
    "servedNames": ["chat-default"],
}


@pytest.mark.parametrize(
    ("spec", "golden"),
    [
        pytest.param({}, "mo4scakugf", id="the least that a user can write"),
        pytest.param(FULL, "d6x4mlouy3", id="every input"),
    ],
)
def test_the_hash_stays_the_same_through_releases(spec: dict[str, Any], golden: str) -> None:
    assert revision.hash_for(model_with(**spec)) == golden


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 7},
        {"paused": True},
        {"license": "mit"},
        {"revisionHistoryLimit": 3},
    ],
    ids=str,
)
def test_what_needs_no_new_pod_changes_no_hash(change: dict[str, Any]) -> None:
    assert revision.hash_for(model_with(**FULL | change)) == revision.hash_for(model_with(**FULL))


@given(
    labels=st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")),
    annotations=st.dictionaries(st.sampled_from("abc"), st.text(max_size=5)),
    name=st.sampled_from(["chat", "other"]),
    replicas=st.integers(0, 1000),
    paused=st.booleans(),
    limit=st.integers(1, 50),
)
def test_the_models_own_metadata_changes_no_hash(
    labels: dict[str, str],
    annotations: dict[str, str],
    name: str,
    replicas: int,
    paused: bool,
    limit: int,
) -> None:
    metadata = {"labels": labels, "annotations": annotations}
    spec = FULL | {"replicas": replicas, "paused": paused, "revisionHistoryLimit": limit}

    changed = model_with(name, metadata, **spec)

    assert revision.hash_for(changed) == revision.hash_for(model_with(**FULL))


CHANGES: dict[str, Any] = {
    "source.uri": {"source": FULL["source"] | {"uri": "hf://Qwen/Qwen3-8B"}},
    "source.revision": {"source": FULL["source"] | {"revision": "abc"}},
    "source.secretRef": {"source": FULL["source"] | {"secretRef": {"name": "other"}}},
    "engine.name": {"engine": FULL["engine"] | {"name": "sglang"}},
    "engine.image": {"engine": FULL["engine"] | {"image": "vllm/vllm-openai:v0.32.0"}},
    "engine.args": {"engine": FULL["engine"] | {"args": ["--max-model-len=4096"]}},
    "engine.env": {"engine": FULL["engine"] | {"env": [{"name": "A", "value": "c"}]}},
    "resources.gpus": {"resources": FULL["resources"] | {"gpus": 4}},
    "resources.cpu": {"resources": FULL["resources"] | {"cpu": "5"}},
    "resources.memory": {"resources": FULL["resources"] | {"memory": "33Gi"}},
    "resources.sharedMemory": {"resources": FULL["resources"] | {"sharedMemory": "9Gi"}},
    "nodePools": {"nodePools": ["h100"]},
    "order of nodePools": {"nodePools": ["h100", "h100-spot"]},
    "adapters": {"adapters": []},
    "adapters.source": {"adapters": [{"name": "legal", "source": {"uri": "hf://acme/x"}}]},
    "startup": {"startup": {"deadlineSeconds": 901}},
    "drain": {"drain": {"timeoutSeconds": 61}},
    "podTemplate.labels": {"podTemplate": {"labels": {"a": "c"}, "annotations": {"c": "d"}}},
    "podTemplate.annotations": {"podTemplate": {"labels": {"a": "b"}}},
    "servedNames": {"servedNames": ["chat-default", "gpt"]},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_each_input_changes_the_hash(change: dict[str, Any]) -> None:
    assert revision.hash_for(model_with(**FULL | change)) != revision.hash_for(model_with(**FULL))


@pytest.mark.parametrize(
    "written",
    [
        {"replicas": 1},
        {"resources": {}},
        {"resources": {"gpus": 0}},
        {"drain": {"timeoutSeconds": 120}},
        {"startup": {"deadlineSeconds": 1800}},
        {"podTemplate": {}},
        {"podTemplate": {"labels": {}, "tolerations": []}},
        {"adapters": []},
        {"servedNames": []},
        {"engine": {"name": "vllm", "args": [], "env": []}},
        {"source": {"uri": "hf://Qwen/Qwen2.5-7B-Instruct", "revision": None}},
    ],
    ids=str,
)
def test_a_default_that_is_written_out_is_still_the_default(written: dict[str, Any]) -> None:
    assert revision.hash_for(model_with(**written)) == revision.hash_for(model_with())


def test_a_number_and_its_text_are_the_same_quantity() -> None:
    number, text = (model_with(resources={"cpu": cpu}) for cpu in (4, "4"))

    assert revision.hash_for(number) == revision.hash_for(text)


@settings(max_examples=examples(25))
@given(st.permutations(list(FULL)), st.permutations(list(FULL["engine"])))
def test_the_order_of_keys_is_nothing(fields: list[str], of_engine: list[str]) -> None:
    shuffled = {field: FULL[field] for field in fields}
    shuffled["engine"] = {field: FULL["engine"][field] for field in of_engine}

    assert revision.hash_for(model_with(**shuffled)) == revision.hash_for(model_with(**FULL))


def test_the_snapshot_is_json_that_makes_the_same_revision_again() -> None:
    model = model_with(**FULL)
    snapshot = json.loads(json.dumps(revision.inputs_for(model)))

    again = Model.model_validate({"metadata": {"name": "chat"}, "spec": snapshot})

    assert revision.hash_for(again) == revision.hash_for(model)
    assert set(snapshot) == set(FULL) - {"license", "replicas"}
