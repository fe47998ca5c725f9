"""Verdicts without an API server; `test_corpus.py` has the long list."""

from typing import Any

import pytest

from modelfleet.api.schema import Location
from modelfleet.api.v1alpha1 import Model
from modelfleet.api.validation import field_of, problems

SPEC = {"source": {"uri": "hf://a/b"}, "engine": {"name": "vllm"}}


@pytest.mark.parametrize(
    ("location", "field"),
    [
        ((), ""),
        (("spec",), "spec"),
        (("spec", "env", 1, "name"), "spec.env[1].name"),
        (("spec", "labels", "a b", "[key]"), "spec.labels"),
        (("spec", "labels", "a/b.c"), "spec.labels.a/b.c"),
    ],
)
def test_a_field_is_written_as_kubectl_writes_it(location: Location, field: str):
    assert field_of(location) == field


def test_problems_are_told_in_the_words_of_the_api():
    body = {"metadata": {"name": "chat"}, "spec": {"engine": {"name": "vllm"}, "gpus": 1}}

    told = {problem.field: problem.message for problem in problems(Model, body)}

    assert told == {"spec.source": "required, but not given", "spec.gpus": "unknown field"}


def test_a_status_is_left_out_as_the_api_server_leaves_it_out():
    assert problems(Model, {"metadata": {"name": "a"}, "spec": SPEC, "status": {"x": 1}}) == ()


def test_an_object_as_kubectl_prints_it_has_no_unknown_field():
    metadata = {
        **{"name": "chat", "namespace": "team", "uid": "1", "resourceVersion": "7"},
        **{"generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z", "selfLink": ""},
        **{"managedFields": [{"manager": "kubectl"}], "finalizers": ["a/b"]},
        **{"ownerReferences": [{"name": "x"}], "generateName": "chat-"},
        **{"deletionTimestamp": None, "deletionGracePeriodSeconds": 30},
        **{"labels": {"a.b/C": "d"}, "annotations": {"X.y/Z": "any text"}},
    }

    assert problems(Model, {"metadata": metadata, "spec": SPEC}) == ()


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"source": {"uri": "Qwen/Qwen2.5-7B"}}, "spec.source.uri", "write hf://Qwen/Qwen2.5-7B"),
        ({"source": {"uri": "hf://a b"}}, "spec.source.uri", "write a scheme and no space, as in "),
        ({"source": {"uri": "hf://a/b\n"}}, "spec.source.uri", "write a scheme and no space"),
        ({"resources": {"memory": "32GB"}}, "spec.resources.memory", "write bytes, as in 32Gi for"),
        ({"resources": {"cpu": "4 cores"}}, "spec.resources.cpu", "write cores, as in 4, 0.5 or"),
        ({"engine": {"name": "x", "image": "A/B"}}, "spec.engine.image", "write an image as in "),
    ],
)
def test_text_of_the_wrong_form_is_told_what_to_write(spec: Any, field: str, message: str):
    (problem,) = problems(Model, {"metadata": {"name": "chat"}, "spec": SPEC | spec})

    assert problem.field == field
    assert problem.message.startswith(message)
