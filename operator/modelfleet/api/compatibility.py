"""What would break when a CRD replaces an older one: stored objects, users' files, other clients.

The API server takes any schema; objects that no longer fit are refused at their next write.
"""

from collections.abc import Callable, Iterator
from typing import Any

from modelfleet.api.pydantic_schema import Json

Found = Iterator[str]

_UPPER = ("maxLength", "maxItems", "maxProperties", "maximum")
_LOWER = ("minLength", "minItems", "minProperties", "minimum")
_FIXED = (
    *("type", "pattern", "default", "x-kubernetes-int-or-string"),
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"),
)
"""A change of these is reported whatever its direction: nobody can compare two patterns."""


def breaking_changes(old_crd: Json, new_crd: Json) -> list[str]:
    """Return one line for each change that an object or a client of the old CRD may not survive.

    Additions that nobody must know of (optional fields, wider bounds, columns) are not among them.
    """
    old, new = old_crd["spec"], new_crd["spec"]
    versions = {version["name"]: version for version in new["versions"]}
    found = [*_naming(old, new)]
    for version in old["versions"]:
        found += _version(version, versions.get(version["name"]))
    return found


def _naming(old: Json, new: Json) -> Found:
    for name in ("group", "scope"):
        if old[name] != new[name]:
            yield f"{name} changed from {old[name]} to {new[name]}"
    for name in ("kind", "plural", "singular"):
        if old["names"].get(name) != new["names"].get(name):
            yield f"{name} changed from {old['names'].get(name)} to {new['names'].get(name)}"
    for name in ("shortNames", "categories"):
        for gone in _gone(old["names"].get(name, []), new["names"].get(name, [])):
            yield f"{name}: {gone} removed"


def _version(old: Json, new: Json | None) -> Found:
    name = old["name"]
    if new is None or (old["served"] and not new["served"]):
        yield f"{name} is no longer served"
        return
    for gone in _gone(old.get("subresources", {}), new.get("subresources", {})):
        yield f"{name}: subresource {gone} removed"
    paths = [[one["jsonPath"] for one in each.get("selectableFields", [])] for each in (old, new)]
    for gone in _gone(*paths):
        yield f"{name}: field selector {gone} removed"
    schemas = [each["schema"]["openAPIV3Schema"] for each in (old, new)]
    yield from _node("", *schemas)


def _node(path: str, old: Json, new: Json) -> Found:
    """Compare one field with itself; `path` is empty at the root."""
    for compare in _COMPARISONS:
        for change in compare(old, new):
            yield f"{path or 'object'}: {change}"
    for name, inside in old.get("properties", {}).items():
        if name in new.get("properties", {}):
            yield from _node(f"{path}.{name}".lstrip("."), inside, new["properties"][name])
    for name, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if name in old and name in new:
            yield from _node(f"{path}{mark}", old[name], new[name])


def _removed_fields(old: Json, new: Json) -> Found:
    for gone in _gone(old.get("properties", {}), new.get("properties", {})):
        yield f"{gone} removed"
    if "additionalProperties" in old and "additionalProperties" not in new:
        yield "no longer a map"


def _newly_required(old: Json, new: Json) -> Found:
    fields = new.get("properties", {})
    for name in _gone(new.get("required", []), old.get("required", [])):
        if "default" not in fields.get(name, {}):
            yield f"{name} is now required"


def _tighter_bounds(old: Json, new: Json) -> Found:
    for names, tighter in ((_UPPER, min), (_LOWER, max)):
        for name in names:
            if name in new and (name not in old or tighter(old[name], new[name]) != old[name]):
                yield f"{name} tightened from {old.get(name, 'none')} to {new[name]}"


def _fewer_values(old: Json, new: Json) -> Found:
    if "enum" in new and "enum" not in old:
        yield f"now only {', '.join(new['enum'])}"
    for gone in _gone(old.get("enum", []), new["enum"] if "enum" in new else old.get("enum", [])):
        yield f"value {gone} removed"


def _changed(old: Json, new: Json) -> Found:
    for name in _FIXED:
        loosened = name == "pattern" and name not in new
        if old.get(name) != new.get(name) and not loosened:
            yield f"{name} changed from {old.get(name)} to {new.get(name)}"


def _new_rules(old: Json, new: Json) -> Found:
    before, after = ({rule["rule"] for rule in _rules(each)} for each in (old, new))
    for text in _gone(sorted(after), before):
        yield f"new rule: {text}"


def _rules(schema: Json) -> list[Json]:
    found: list[Json] = schema.get("x-kubernetes-validations", [])
    return found


def _gone(old: Any, new: Any) -> list[str]:
    """Return what is in `old` and not in `new`, in the order of `old`."""
    return [name for name in old if name not in new]


_COMPARISONS: tuple[Callable[[Json, Json], Found], ...] = (
    _removed_fields,
    _newly_required,
    _tighter_bounds,
    _fewer_values,
    _changed,
    _new_rules,
)
