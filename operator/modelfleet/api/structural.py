"""From pydantic classes to structural schemas: what a CRD cannot say exactly is refused.

`pydantic_schema` marks what Python checks beyond its JSON schema; `crd` builds the documents.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from modelfleet.api.pydantic_schema import FORM, REFUSED, Json, MarkedJsonSchema
from modelfleet.api.schema import Schema

EXACT = 2**53 - 1
"""The API server keeps bounds as float64, so a larger one would come back changed."""

INT32 = 2**31 - 1
RULES = "x-kubernetes-validations"


class Unrepresentable(TypeError):
    """A field that pydantic and the API server would judge differently, or that has no bounds."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the walk is: for messages, for references, and for what may have a default."""

    name: str
    definitions: Mapping[str, Json]
    above: tuple[str, ...]
    defaults: bool

    def field(self, name: str) -> "_Place":
        return replace(self, name=f"{self.above[-1]}.{name}")

    def items(self) -> "_Place":
        # A default inside a list item shows as a difference for ever in Argo CD.
        return replace(self, name=f"{self.name}[]", defaults=False)

    def refuse(self, why: str) -> Unrepresentable:
        return Unrepresentable(f"{self.name}: {why}")

    def only(self, schema: Json, *allowed: str) -> None:
        known = {"type", "title", "description", "default", "const", "enum", *allowed}
        if unknown := sorted(set(schema) - known):
            raise self.refuse(f"a CRD has nothing like {', '.join(unknown)}")

    def needs(self, schema: Json, *names: str) -> None:
        if missing := [name for name in names if name not in schema]:
            raise self.refuse(f"{', '.join(missing)} must be given")


def schema_for(cls: type[Schema], *, defaults: bool = True) -> Json:
    """Return the structural schema of `cls`, its fields in the order of their declaration.

    Without `defaults` none is given: a status is written as a whole. Raises Unrepresentable.
    """
    made = cls.model_json_schema(schema_generator=MarkedJsonSchema)
    definitions = made.pop("$defs", {})
    if "$ref" in made:  # a class that contains itself is only referred to
        made = dict(definitions[cls.__name__])
    return _node(made, _Place(cls.__name__, definitions, (cls.__name__,), defaults))


def _node(schema: Json, place: _Place) -> Json:
    if "$ref" in schema:
        return _referenced(schema, place)
    if "anyOf" in schema:
        return _node(_without_null(schema, place), place)
    if REFUSED in schema:
        raise place.refuse(schema[REFUSED])
    convert = _CONVERT.get(schema.get("type", ""))
    if convert is None:
        raise place.refuse(f"a CRD cannot check {schema.get('type', 'a union or Any')}")
    return _described(schema) | convert(schema, place)


def _referenced(schema: Json, place: _Place) -> Json:
    name = schema["$ref"].removeprefix("#/$defs/")
    if name in place.above:
        raise place.refuse(f"{name} contains itself")
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    inside = replace(place, name=name, above=(*place.above, name))
    if place.definitions[name].get("type") != "object":  # an enum: the field stays its place
        inside = place
    return _node({**place.definitions[name], **beside}, inside)


def _without_null(schema: Json, place: _Place) -> Json:
    """An optional field is one that may be left out; the API server drops a null."""
    branches = [branch for branch in schema["anyOf"] if branch != {"type": "null"}]
    if len(branches) != 1:
        raise place.refuse("a CRD cannot check a union; give each member a field of its own")
    optional: Json = branches[0]
    return optional | {key: value for key, value in schema.items() if key != "anyOf"}


def _described(schema: Json) -> Json:
    paragraphs = re.split(r"\n\s*\n", schema.get("description", "").strip())
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    return {"description": text} if text else {}


def _kept(schema: Json, *names: str) -> Json:
    return {name: schema[name] for name in names if name in schema}


def _default(schema: Json, place: _Place) -> Json:
    value = schema.get("default")
    return {"default": value} if place.defaults and value not in (None, "") else {}


def _string(schema: Json, place: _Place) -> Json:
    if schema.get("x-kubernetes-int-or-string"):
        return _integer_or_string(schema, place)
    place.only(schema, "pattern", "minLength", "maxLength", FORM)
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
    if "enum" not in schema:
        place.needs(schema, "maxLength")
    _check_pattern(schema, place)
    kept = _kept(schema, "enum", "pattern", "minLength", "maxLength") | _form(schema)
    return {"type": "string", **kept, **_default(schema, place)}


def _integer_or_string(schema: Json, place: _Place) -> Json:
    """The rule holds for text and the bounds for integers, so both are needed."""
    bounds = ("maxLength", "minimum", "maximum")
    place.only(schema, "x-kubernetes-int-or-string", *bounds, FORM)
    place.needs(schema, *bounds, FORM)
    kept = _kept(schema, *bounds) | _form(schema)
    return {"x-kubernetes-int-or-string": True, **kept, **_default(schema, place)}


def _form(schema: Json) -> Json:
    return {RULES: [schema[FORM]]} if FORM in schema else {}


def _check_pattern(schema: Json, place: _Place) -> None:
    """Go and Rust (pydantic) must read it alike; their classes differ beyond ASCII."""
    pattern = schema.get("pattern", "^$")
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise place.refuse("a pattern without ^ and $ matches anywhere in the text")
    if found := re.search(r"\\[A-Zac-mo-qsu-z]|\(\?(?!:)|'", pattern):
        raise place.refuse(f"{found.group()} in a pattern is not the same in Go and Rust")


def _integer(schema: Json, place: _Place) -> Json:
    place.only(schema, "minimum", "maximum")
    place.needs(schema, "minimum", "maximum")
    largest = max(abs(schema["minimum"]), abs(schema["maximum"]))
    if largest > EXACT:
        raise place.refuse(f"bounds beyond {EXACT} are not exact in the API server")
    size = "int32" if largest <= INT32 else "int64"
    kept = _kept(schema, "minimum", "maximum")
    return {"type": "integer", "format": size, **kept, **_default(schema, place)}


def _boolean(schema: Json, place: _Place) -> Json:
    place.only(schema)
    return {"type": "boolean", **_default(schema, place)}


def _array(schema: Json, place: _Place) -> Json:
    place.only(
        schema,
        *("items", "minItems", "maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
    )
    place.needs(schema, "items", "maxItems", "x-kubernetes-list-type")
    if schema.get("default"):
        raise place.refuse("a default list is a default inside list items")
    items = _node(schema["items"], place.items())
    _check_keys(schema, items, place)
    kept = _kept(
        schema, "minItems", "maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"
    )
    return {"type": "array", **kept, "items": items}


def _check_keys(schema: Json, items: Json, place: _Place) -> None:
    """A key that may be absent makes two items alike that are not."""
    keys = schema.get("x-kubernetes-list-map-keys", ())
    if absent := [key for key in keys if key not in items.get("required", ())]:
        raise place.refuse(f"the list's key {', '.join(absent)} must be a required field")
    if schema["x-kubernetes-list-type"] == "map" and not keys:
        raise place.refuse("x-kubernetes-list-map-keys must be given")


def _object(schema: Json, place: _Place) -> Json:
    if "properties" not in schema:
        return _map(schema, place)
    place.only(schema, "properties", "required", RULES)
    required = schema.get("required", [])
    properties = {
        name: _property(field, name in required, place.field(name))
        for name, field in schema["properties"].items()
    }
    made = {"type": "object", **_kept(schema, "required")}
    if properties:  # the API server leaves an empty one out, which would show as a difference
        made["properties"] = properties
    return made | _kept(schema, RULES)


def _property(schema: Json, required: bool, place: _Place) -> Json:
    """An absent parent gets no defaults, so it must be one: `{}`, where Python makes one too."""
    made = _node(schema, place)
    made_by_factory = not required and "default" not in schema
    inside = made.get("properties", {}).values()
    if made_by_factory and place.defaults and any("default" in field for field in inside):
        made["default"] = {}
    return made


def _map(schema: Json, place: _Place) -> Json:
    """A CRD says nothing about keys, so a rule does."""
    kinds = ("additionalProperties", "patternProperties")
    place.only(schema, *kinds, "propertyNames", "minProperties", "maxProperties")
    place.needs(schema, "maxProperties")
    if schema.get("default"):
        raise place.refuse("only scalars have defaults")
    pattern, value = _entry(schema, place)
    keys = {"maxLength": None} | schema.get("propertyNames", {}) | {"pattern": pattern}
    place.only(keys, "maxLength", "pattern")
    if not pattern or not keys["maxLength"]:
        raise place.refuse("a map's keys need a pattern and max_length")
    _check_pattern(keys, place)
    return {
        "type": "object",
        **_kept(schema, "minProperties", "maxProperties"),
        "additionalProperties": _node(value, place.items()),
        RULES: [_key_rule(pattern, keys["maxLength"])],
    }


def _entry(schema: Json, place: _Place) -> tuple[str, Json]:
    """Return the pattern of the keys and the schema of the values."""
    if by_pattern := schema.get("patternProperties"):
        ((pattern, value),) = by_pattern.items()
        return pattern, value
    value = schema.get("additionalProperties")
    if not isinstance(value, dict):
        raise place.refuse("an object must say its fields or the type of its values")
    return schema.get("propertyNames", {}).get("pattern", ""), value


def _key_rule(pattern: str, longest: int) -> Json:
    return {
        "rule": f"self.all(k, size(k) <= {longest} && k.matches(r'{pattern}'))",
        "message": f"a key has at most {longest} characters and matches {pattern}",
    }


_CONVERT: Mapping[str, Callable[[Json, _Place], dict[str, Any]]] = {
    "string": _string,
    "integer": _integer,
    "boolean": _boolean,
    "array": _array,
    "object": _object,
}
