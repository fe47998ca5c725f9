"""An upgrade of the CRDs must not break what users have stored."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from modelfleet.api.compatibility import breaking_changes
from modelfleet.api.crd import crd_for
from modelfleet.api.v1alpha1 import KINDS

Crd = dict[str, Any]

OLD: Crd = {
    "spec": {
        "group": "modelfleet.dev",
        "scope": "Namespaced",
        "names": {
            **{"kind": "Thing", "plural": "things", "singular": "thing"},
            **{"shortNames": ["thg"], "categories": ["modelfleet"]},
        },
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "subresources": {"status": {}, "scale": {}},
                "selectableFields": [{"jsonPath": ".spec.name"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["name"],
                                "x-kubernetes-validations": [{"rule": "a"}, {"rule": "b"}],
                                "properties": {
                                    "name": {"type": "string", "maxLength": 9, "pattern": "^a$"},
                                    "size": {
                                        **{"type": "integer", "minimum": 1},
                                        **{"maximum": 9, "default": 3},
                                    },
                                    "mode": {"type": "string", "enum": ["A", "B"]},
                                    "list": {
                                        **{"type": "array", "maxItems": 4},
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["key"],
                                        "items": {
                                            "type": "object",
                                            "required": ["key"],
                                            "properties": {"key": {"type": "string"}},
                                        },
                                    },
                                    "map": {
                                        **{"type": "object", "maxProperties": 4},
                                        "additionalProperties": {"type": "string", "maxLength": 5},
                                    },
                                },
                            }
                        },
                    }
                },
            }
        ],
    }
}


def version(crd: Crd) -> Crd:
    return crd["spec"]["versions"][0]  # type: ignore[no-any-return]


def spec(crd: Crd) -> Crd:
    root = version(crd)["schema"]["openAPIV3Schema"]
    return root["properties"]["spec"]  # type: ignore[no-any-return]


def field(crd: Crd, name: str) -> Crd:
    return spec(crd)["properties"][name]  # type: ignore[no-any-return]


BREAKING: dict[str, tuple[Callable[[Crd], Any], str]] = {
    "a field is removed": (lambda new: spec(new)["properties"].pop("mode"), "spec: mode removed"),
    "a field is newly required": (
        lambda new: spec(new)["required"].append("mode"),
        "spec: mode is now required",
    ),
    "a new field is required": (
        lambda new: (
            spec(new)["properties"].update(new={"type": "string"}),
            spec(new)["required"].append("new"),
        ),
        "spec: new is now required",
    ),
    "a type changes": (
        lambda new: field(new, "name").update(type="integer"),
        "spec.name: type changed from string to integer",
    ),
    "a text gets shorter": (
        lambda new: field(new, "name").update(maxLength=8),
        "spec.name: maxLength tightened from 9 to 8",
    ),
    "a text gets a lower bound": (
        lambda new: field(new, "name").update(minLength=1),
        "spec.name: minLength tightened from none to 1",
    ),
    "a pattern changes": (
        lambda new: field(new, "name").update(pattern="^b$"),
        "spec.name: pattern changed from ^a$ to ^b$",
    ),
    "a pattern is added": (
        lambda new: field(new, "mode").update(pattern="^A$"),
        "spec.mode: pattern changed from None to ^A$",
    ),
    "a minimum rises": (
        lambda new: field(new, "size").update(minimum=2),
        "spec.size: minimum tightened from 1 to 2",
    ),
    "a default changes": (
        lambda new: field(new, "size").update(default=4),
        "spec.size: default changed from 3 to 4",
    ),
    "a value is removed": (
        lambda new: field(new, "mode").update(enum=["B", "C"]),
        "spec.mode: value A removed",
    ),
    "values are listed": (
        lambda new: field(new, "name").update(enum=["x", "y"]),
        "spec.name: now only x, y",
    ),
    "a list gets shorter": (
        lambda new: field(new, "list").update(maxItems=3),
        "spec.list: maxItems tightened from 4 to 3",
    ),
    "a list merges otherwise": (
        lambda new: field(new, "list").update({"x-kubernetes-list-type": "atomic"}),
        "spec.list: x-kubernetes-list-type changed from map to atomic",
    ),
    "an item's text gets a bound": (
        lambda new: field(new, "list")["items"]["properties"]["key"].update(maxLength=3),
        "spec.list[].key: maxLength tightened from none to 3",
    ),
    "a map's value gets shorter": (
        lambda new: field(new, "map")["additionalProperties"].update(maxLength=4),
        "spec.map{}: maxLength tightened from 5 to 4",
    ),
    "a map becomes an object": (
        lambda new: field(new, "map").pop("additionalProperties"),
        "spec.map: no longer a map",
    ),
    "a rule is added": (
        lambda new: spec(new)["x-kubernetes-validations"].append({"rule": "c"}),
        "spec: new rule: c",
    ),
    "a version goes": (
        lambda new: version(new).update(name="v1beta1"),
        "v1alpha1 is no longer served",
    ),
    "a version is not served": (
        lambda new: version(new).update(served=False),
        "v1alpha1 is no longer served",
    ),
    "scale goes": (
        lambda new: version(new)["subresources"].pop("scale"),
        "v1alpha1: subresource scale removed",
    ),
    "a field selector goes": (
        lambda new: version(new).pop("selectableFields"),
        "v1alpha1: field selector .spec.name removed",
    ),
    "the scope changes": (
        lambda new: new["spec"].update(scope="Cluster"),
        "scope changed from Namespaced to Cluster",
    ),
    "a short name goes": (
        lambda new: new["spec"]["names"].pop("shortNames"),
        "shortNames: thg removed",
    ),
    "the plural changes": (
        lambda new: new["spec"]["names"].update(plural="thingies"),
        "plural changed from things to thingies",
    ),
}

HARMLESS: dict[str, Callable[[Crd], Any]] = {
    "nothing": lambda _: None,
    "an optional field": lambda new: spec(new)["properties"].update(new={"type": "string"}),
    "a required field with a default": lambda new: (
        spec(new)["properties"].update(new={"type": "string", "default": "x"}),
        spec(new)["required"].append("new"),
    ),
    "wider bounds": lambda new: field(new, "size").update(minimum=0, maximum=10),
    "no bound": lambda new: field(new, "name").pop("maxLength"),
    "no pattern": lambda new: field(new, "name").pop("pattern"),
    "no longer required": lambda new: spec(new)["required"].clear(),
    "another value": lambda new: field(new, "mode").update(enum=["C", "B", "A"]),
    "any value": lambda new: field(new, "mode").pop("enum"),
    "a description": lambda new: field(new, "mode").update(description="new"),
    "a rule less": lambda new: spec(new)["x-kubernetes-validations"].pop(),
    "another version": lambda new: new["spec"]["versions"].append(
        {"name": "v1beta1", "served": True, "schema": {}}
    ),
    "another short name": lambda new: new["spec"]["names"]["shortNames"].append("t"),
}


@pytest.mark.parametrize(("change", "told"), BREAKING.values(), ids=BREAKING)
def test_a_breaking_change_is_told_once(change: Callable[[Crd], Any], told: str):
    new = copy.deepcopy(OLD)
    change(new)

    assert breaking_changes(OLD, new) == [told]


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_an_addition_breaks_nothing(change: Callable[[Crd], Any]):
    new = copy.deepcopy(OLD)
    change(new)

    assert breaking_changes(OLD, new) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.names.kind)
def test_our_own_crds_are_compatible_with_themselves(kind: Any):
    assert breaking_changes(crd_for(kind), crd_for(kind)) == []
