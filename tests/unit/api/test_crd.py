"""The CRDs of this version: their form, their size, and that the committed files are current."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic.fields import FieldInfo

from modelfleet.api import crd
from modelfleet.api.schema import Kind, Schema
from modelfleet.api.v1alpha1 import KINDS, AutoscalingPolicy, Engine, GPUNodePool, Model
from support.structural_checker import breaches

FOLDER = Path(__file__).parents[3] / "crds"
LARGEST = 100 * 1024
EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.names.kind)


def version(kind: type[Kind]) -> dict[str, Any]:
    (only,) = crd.crd_for(kind)["spec"]["versions"]
    return dict(only)


def schema(kind: type[Kind]) -> dict[str, Any]:
    return dict(version(kind)["schema"]["openAPIV3Schema"]["properties"])


def test_the_committed_files_are_current():
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.yaml")}

    assert committed == crd.render(), "run `python -m modelfleet crds --write crds`"


@EACH_KIND
def test_a_file_is_small_and_is_the_crd(kind: type[Kind]):
    text = crd.render([kind])[f"modelfleet.dev_{kind.names.plural}.yaml"]

    assert len(text.encode()) < LARGEST
    assert yaml.safe_load(text) == crd.crd_for(kind)
    assert not any(sign in text for sign in ("&id", "*id"))


@EACH_KIND
def test_the_schema_is_structural_and_bounded(kind: type[Kind]):
    fields = schema(kind)

    assert [*breaches(fields["spec"], "spec"), *breaches(fields["status"], "status")] == []


@EACH_KIND
def test_a_fresh_object_is_unobserved(kind: type[Kind]):
    status = schema(kind)["status"]

    assert status["default"] == {"observedGeneration": -1}
    assert "default" not in str(status["properties"])
    assert version(kind)["subresources"]["status"] == {}


@EACH_KIND
def test_conditions_are_merged_by_their_type(kind: type[Kind]):
    conditions = schema(kind)["status"]["properties"]["conditions"]

    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


@EACH_KIND
def test_names_follow_the_kind(kind: type[Kind]):
    spec = crd.crd_for(kind)["spec"]

    assert crd.crd_for(kind)["metadata"]["name"] == f"{spec['names']['plural']}.modelfleet.dev"
    assert spec["names"]["listKind"] == f"{kind.names.kind}List"
    assert spec["names"]["categories"] == ["modelfleet"]
    assert spec["names"]["shortNames"] == [kind.names.short]


@EACH_KIND
def test_every_column_points_to_a_field(kind: type[Kind]):
    for column in version(kind)["additionalPrinterColumns"]:
        path = column["jsonPath"]
        if path.startswith((".spec.", ".status.")):
            assert _type_at(schema(kind), path) in (column["type"], "array"), path


def _type_at(fields: dict[str, Any], path: str) -> str:
    """Return the type of the field at a path, or `array` where the path enters a list."""
    found: dict[str, Any] = {"properties": fields}
    for part in path.partition("[")[0].strip(".").split("."):
        found = found["properties"][part]
    return str(found["type"])


def test_a_model_scales_and_is_selected_by_its_engine_and_source():
    assert version(Model)["subresources"]["scale"] == {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    assert version(Model)["selectableFields"] == [
        {"jsonPath": ".spec.engine.name"},
        {"jsonPath": ".spec.source.uri"},
    ]
    assert "selectableFields" not in version(Engine)
    assert "scale" not in version(GPUNodePool)["subresources"]


def test_defaults_reach_an_object_that_gives_only_what_it_must():
    spec = schema(Model)["spec"]["properties"]

    assert spec["replicas"]["default"] == 1
    for name, inner in (("startup", {"deadlineSeconds": 1800}), ("resources", {"gpus": 0})):
        assert spec[name]["default"] == {}
        found = spec[name]["properties"]
        assert {key: found[key]["default"] for key in inner} == inner
    assert "default" not in spec["podTemplate"]


def test_scopes_differ():
    scopes = {kind.names.kind: crd.crd_for(kind)["spec"]["scope"] for kind in KINDS}

    assert scopes == {
        "Model": "Namespaced",
        "GPUNodePool": "Cluster",
        "Engine": "Cluster",
        "AutoscalingPolicy": "Namespaced",
    }


OF_OTHERS = {"rollout"}
"""Described beside the strategies."""


def _fields(inside: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in inside.get("properties", {}).items():
        if name not in OF_OTHERS:
            yield f"{path}.{name}", field
            yield from _fields(field, f"{path}.{name}")
    for below in ("items", "additionalProperties"):
        if below in inside:
            yield from _fields(inside[below], path)


@pytest.mark.parametrize("kind", [Model, GPUNodePool, AutoscalingPolicy])
@pytest.mark.parametrize("part", ["spec", "status"])
def test_kubectl_explains_every_field_in_a_sentence(kind: type[Kind], part: str):
    told = {path: field.get("description", "") for path, field in _fields(schema(kind)[part], part)}

    assert [path for path, text in told.items() if not re.fullmatch(r"[A-Z`].*\.", text)] == []


@pytest.mark.parametrize("kind", [Model, GPUNodePool, AutoscalingPolicy])
def test_kubectl_explains_every_default_with_its_value(kind: type[Kind]):
    fields = dict(_fields(schema(kind)["spec"], "spec"))
    defaults = {path: one for path, one in fields.items() if one.get("default") not in (None, {})}

    silent = [
        path
        for path, one in defaults.items()
        if f"default: {json.dumps(one['default']).strip(chr(34))}" not in one["description"]
    ]
    assert defaults
    assert silent == []


@EACH_KIND
def test_the_annotation_names_what_users_write_and_no_status(kind: type[Kind]) -> None:
    fields = crd.crd_for(kind)["metadata"]["annotations"][crd.FIELDS].split()

    assert {f"spec.{one.alias or name}" for name, one in _spec(kind).items()} <= set(fields)
    assert not any(field.startswith(("status", "metadata")) for field in fields)


def test_the_annotation_names_fields_in_lists_and_maps() -> None:
    fields = crd.crd_for(Model)["metadata"]["annotations"][crd.FIELDS].split()

    assert "spec.engine.env[].valueFrom.secretKeyRef.key" in fields
    assert "spec.podTemplate.labels[]" in fields


def _spec(kind: type[Kind]) -> dict[str, FieldInfo]:
    spec = kind.model_fields["spec"].annotation
    assert isinstance(spec, type)
    assert issubclass(spec, Schema)
    return spec.model_fields
