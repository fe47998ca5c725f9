"""Kubernetes' rules for structural schemas, from its documentation, without our generator."""

from collections.abc import Iterator
from typing import Any

FORBIDDEN = {
    *("$ref", "$defs", "definitions", "dependencies", "deprecated", "discriminator", "id"),
    *("patternProperties", "propertyNames", "prefixItems", "readOnly", "writeOnly", "xml"),
    *("const", "title", "examples", "anyOf", "oneOf", "allOf", "not", "uniqueItems"),
    *("exclusiveMinimum", "exclusiveMaximum"),
}
TYPES = {"string", "integer", "boolean", "array", "object"}


def breaches(schema: Any, path: str = "", *, in_item: bool = False) -> Iterator[str]:
    """Yield what an API server, or our own rule on bounds and defaults, would object to."""
    for word in FORBIDDEN & set(schema):
        yield f"{path}: {word}"
    if bool(schema.get("type") in TYPES) == bool(schema.get("x-kubernetes-int-or-string")):
        yield f"{path}: type {schema.get('type')}"
    if in_item and "default" in schema:
        yield f"{path}: a default inside a list item"
    yield from _unbounded(schema, path)
    yield from _children(schema, path, in_item)


def _unbounded(schema: Any, path: str) -> Iterator[str]:
    bounds = {
        "string": () if "enum" in schema else ("maxLength",),
        "integer": ("minimum", "maximum"),
        "array": ("items", "maxItems", "x-kubernetes-list-type"),
        "object": ("maxProperties",) if "additionalProperties" in schema else (),
        None: ("minimum", "maximum", "maxLength", "x-kubernetes-validations"),
    }
    for needed in bounds.get(schema.get("type"), ()):
        if needed not in schema:
            yield f"{path}: no {needed}"
    if "additionalProperties" in schema and "properties" in schema:
        yield f"{path}: properties beside additionalProperties"
    if schema.get("additionalProperties") is False:
        yield f"{path}: additionalProperties false"


def _children(schema: Any, path: str, in_item: bool) -> Iterator[str]:
    for name, inside in schema.get("properties", {}).items():
        yield from breaches(inside, f"{path}.{name}", in_item=in_item)
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from breaches(schema[name], f"{path}[]", in_item=True)
    keys = schema.get("x-kubernetes-list-map-keys", [])
    for key in keys:
        if key not in schema["items"]["required"]:
            yield f"{path}: key {key} is not required"
    if bool(keys) != (schema.get("x-kubernetes-list-type") == "map"):
        yield f"{path}: list-map-keys without a list-map, or the reverse"
