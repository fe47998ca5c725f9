"""The API server and pydantic must agree on every object of the corpus; the CRDs must work."""

import os
from collections.abc import Iterator

import pytest

from modelfleet.api.schema import Kind
from modelfleet.api.v1alpha1 import KINDS, Model
from support.corpus import Example, examples
from support.running import apply, kubectl
from support.verdicts import Judge, names


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


@pytest.fixture(scope="module")
def court() -> Iterator[str]:
    """Give all dry runs one namespace."""
    name = f"crds-{os.urandom(3).hex()}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("example", examples("valid"), ids=lambda one: one.name)
def test_the_api_server_accepts_a_valid_object(example: Example, judge: Judge, court: str):
    verdict = judge.on_create(example.kind, example.text_in(court), court)

    assert verdict.accepted, verdict.message


@pytest.mark.parametrize("example", examples("invalid"), ids=lambda one: one.name)
def test_the_api_server_refuses_and_names_the_field(example: Example, judge: Judge, court: str):
    verdict = judge.on_create(example.kind, example.text_in(court), court)

    assert not verdict.accepted
    assert names(verdict.fields, example.field), verdict.message


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.names.kind)
def test_kubectl_explains_a_kind_and_its_fields(kind: type[Kind]):
    text = kubectl("explain", kind.names.plural)

    assert " ".join((kind.__doc__ or "").split()) in " ".join(text.split())
    assert "FIELD: observedGeneration <integer>" in kubectl(
        "explain", f"{kind.names.plural}.status.observedGeneration"
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.names.kind)
def test_a_crd_is_served_under_all_its_names(kind: type[Kind]):
    listed = kubectl("api-resources", "--categories=modelfleet", "--no-headers").splitlines()

    row = next(row.split() for row in listed if row.startswith(f"{kind.names.plural} "))
    assert row[1] == kind.names.short
    assert row[3] == str(kind.names.scope == "Namespaced").lower()


@pytest.mark.parametrize("example", examples("valid"), ids=lambda one: one.name)
def test_a_fresh_object_is_not_taken_for_an_observed_one(
    example: Example, judge: Judge, court: str
):
    stored = judge.on_create(example.kind, example.text_in(court), court).stored

    assert stored is not None
    assert stored["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize("example", examples("valid"), ids=lambda one: one.name)
def test_what_the_api_server_fills_in_is_what_python_fills_in(
    example: Example, judge: Judge, court: str
):
    stored = judge.on_create(example.kind, example.text_in(court), court).stored

    assert stored is not None
    written, read = (example.kind.model_validate(body) for body in (example.body, stored))
    assert written.model_dump(include={"spec"}) == read.model_dump(include={"spec"})


def test_kubectl_scales_lists_and_selects_models(court: str):
    source, engine = {"uri": "pvc://weights"}, {"name": "llama-cpp"}
    meta = {"name": "scaled", "namespace": court}
    head = {"apiVersion": "modelfleet.dev/v1alpha1", "kind": "Model", "metadata": meta}
    apply({**head, "spec": {"source": source, "engine": engine, "paused": True}})

    kubectl("-n", court, "scale", "mdl/scaled", "--replicas=3")

    scale = ("-n", court, "get", "model", "scaled", "--subresource=scale")
    assert kubectl(*scale, "-o", "jsonpath={.kind}/{.spec.replicas}") == "Scale/3"
    header, row = kubectl("-n", court, "get", "models").splitlines()
    assert header.split() == ["NAME", *(name.upper() for name in _columns_of(Model))]
    # No operator has looked at it, and how many there should be is told by the status.
    assert row.split()[:3] == ["scaled", "llama-cpp", "0"]
    for selector, found in (("llama-cpp", "model.modelfleet.dev/scaled\n"), ("vllm", "")):
        chosen = f"--field-selector=spec.engine.name={selector}"
        assert kubectl("-n", court, "get", "models", chosen, "-o", "name") == found


def _columns_of(kind: type[Kind]) -> list[str]:
    return [column.name for column in kind.columns if not column.priority]
