"""Objects by chance: valid in form, from a class's own schema, and then spoiled in one place."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from modelfleet.api.pydantic_schema import Json
from modelfleet.api.schema import Schema
from modelfleet.api.structural import schema_for

Step = str | int
Path = tuple[Step, ...]

LONGEST = 5
"""Items of a list or map: enough for duplicates, few enough to be read in a failure."""

JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2.5, 65, 2**31, 2**53, 10**20, 1e300),
    *("", " ", "x", "1", "true", "null", "A b", "größe", "a..b", "../..", "\u00a0", "a\n", "😀"),
    *("UPPER", "-a", "a-", "hf://a/b", "hf://a", "1Gi", "1m", "0", "x" * 64, "x" * 300, "é" * 5000),
    *([], [None], ["a", "a"], [[]], {}, {"a": None}, {"": "x"}, {"a b": "x"}, {"name": "a"}),
)


PLAUSIBLE: Mapping[str, tuple[str, ...]] = {
    "uri": ("hf://org/name", "pvc://weights/a", "s3://bucket/a", "oci://ghcr.io/org/a"),
    "image": ("vllm/vllm-openai:v0.32.0", "ghcr.io/org/a@sha256:" + "0" * 64),
    "cpuImage": ("registry.example:5000/a/b",),
    "cpu": ("4", "0.5", "500m"),
    "memory": ("32Gi", "1Mi", "64Ti", "1500k"),
    "sharedMemory": ("8Gi", "2T"),
    "operator": ("Exists", "Equal"),
    "effect": ("NoExecute",),
}
"""For fields with a rule that text by chance hardly ever holds."""


def valid_in_form(cls: type[Schema]) -> st.SearchStrategy[Json]:
    """Draw what the schema allows; a rule between fields may still refuse it."""
    return _drawn(schema_for(cls))


def spoiled(cls: type[Schema], known: Sequence[Json]) -> st.SearchStrategy[Json]:
    """Draw such an object or a known valid one, and change one place, or none."""
    bases = st.one_of(valid_in_form(cls), st.sampled_from(known))
    return st.one_of(bases, bases.flatmap(_spoil))


def _named(name: str, schema: Json) -> st.SearchStrategy[Any]:
    if name in PLAUSIBLE:
        plausible = st.sampled_from(PLAUSIBLE[name])
        return st.one_of(plausible, plausible, plausible, _drawn(schema))
    return _drawn(schema)


def _drawn(schema: Json) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.one_of(_integers(schema), _strings(schema))
    return _DRAW[schema["type"]](schema)


def _integers(schema: Json) -> st.SearchStrategy[int]:
    least, most = schema["minimum"], schema["maximum"]
    return st.one_of(st.sampled_from([least, most]), st.integers(least, most))


def _strings(schema: Json) -> st.SearchStrategy[str]:
    shortest, longest = schema.get("minLength", 0), schema["maxLength"]
    if "pattern" not in schema:
        return st.text(min_size=shortest, max_size=min(longest, 40))
    inside = schema["pattern"].removeprefix("^").removesuffix("$")
    matching = st.from_regex(f"(?:{inside})", fullmatch=True)
    return matching.filter(lambda text: shortest <= len(text) <= longest)


def _lists(schema: Json) -> st.SearchStrategy[list[Any]]:
    most = min(schema["maxItems"], LONGEST)
    return st.lists(_drawn(schema["items"]), min_size=schema.get("minItems", 0), max_size=most)


def _objects(schema: Json) -> st.SearchStrategy[Json]:
    if "additionalProperties" in schema:
        return _maps(schema)
    drawn = {name: _named(name, inside) for name, inside in schema.get("properties", {}).items()}
    required = {name: drawn[name] for name in schema.get("required", ())}
    optional = {name: found for name, found in drawn.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional)


def _maps(schema: Json) -> st.SearchStrategy[Json]:
    keys = st.from_regex("[a-z][-a-z0-9.]{0,20}[a-z0-9](/[A-Za-z0-9]{1,60})?", fullmatch=True)
    values = _drawn(schema["additionalProperties"])
    least = schema.get("minProperties", 0)
    return st.dictionaries(keys, values, min_size=least, max_size=LONGEST)


_DRAW: Mapping[str, Callable[[Json], st.SearchStrategy[Any]]] = {
    "string": _strings,
    "integer": _integers,
    "boolean": lambda _: st.booleans(),
    "array": _lists,
    "object": _objects,
}


def _spoil(body: Json) -> st.SearchStrategy[Json]:
    places = list(_places(body, ()))
    if not places:
        return st.just(body)
    change = st.sampled_from([_replace, _remove, _rename, _repeat])
    return st.tuples(st.sampled_from(places), change, st.sampled_from(JUNK)).map(
        lambda drawn: _changed(body, *drawn)
    )


def _places(value: Any, above: Path) -> Iterator[Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for step, inside in inner:
        yield (*above, step)
        if isinstance(inside, dict | list):
            yield from _places(inside, (*above, step))


def _changed(body: Json, place: Path, change: Callable[..., None], junk: Any) -> Json:
    spoiled_body = copy.deepcopy(body)
    parent: Any = spoiled_body
    for step in place[:-1]:
        parent = parent[step]
    change(parent, place[-1], junk)
    return spoiled_body


def _replace(parent: Any, step: Step, junk: Any) -> None:
    parent[step] = junk


def _remove(parent: Any, step: Step, _: Any) -> None:
    del parent[step]


def _rename(parent: Any, step: Step, _: Any) -> None:
    """Give a field a name that nobody knows; an item of a list is turned around."""
    if isinstance(parent, dict):
        parent[f"{step}X"] = parent.pop(step)
    else:
        parent.reverse()


def _repeat(parent: Any, step: Step, junk: Any) -> None:
    """Give an item twice; a field has no double, so it is spoiled."""
    if isinstance(parent, list):
        parent.append(copy.deepcopy(parent[int(step)]))
    else:
        parent[step] = junk
