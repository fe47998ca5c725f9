"""The API server's verdict on an object, without an API server: the same yes, no and field."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from modelfleet.api.fields import AnnotationKey, LabelKey, LabelValue
from modelfleet.api.schema import Kind, Location


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that the API server would refuse. `field` is written as kubectl writes it."""

    field: str
    message: str
    location: Location


def problems(kind: type[Kind], body: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return why the object would be refused on creation, with unknown fields as errors.

    The status is left out, as the API server leaves it out. A name that is to be generated
    (`generateName`) is refused here: nothing could refer to the object.
    """
    written = {name: value for name, value in body.items() if name != "status"}
    try:
        accepted = kind.model_validate(written, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as refused:
        return problems_in(refused)
    return _keyed_problems("labels", accepted.metadata.labels) + _keyed_problems(
        "annotations", accepted.metadata.annotations
    )


def _keyed_problems(field: str, given: Mapping[str, str]) -> tuple[Problem, ...]:
    """Return what the API server would say of metadata; the operator reads what it let pass."""
    try:
        _KEYED[field].validate_python(given)
    except ValidationError as refused:
        return tuple(
            replace(found, field=f"metadata.{field}", location=("metadata", field, *found.location))
            for found in problems_in(refused)
        )
    return ()


def problems_in(refused: ValidationError) -> tuple[Problem, ...]:
    """Return pydantic's errors in the words of the API."""
    return tuple(
        Problem(field_of(error["loc"]), _MESSAGES.get(error["type"], error["msg"]), error["loc"])
        for error in refused.errors(include_url=False)
    )


_KEYED: Mapping[str, TypeAdapter[Any]] = {
    "labels": TypeAdapter(dict[LabelKey, LabelValue]),
    "annotations": TypeAdapter(dict[AnnotationKey, str]),
}
_MESSAGES = {"missing": "required, but not given", "extra_forbidden": "unknown field"}


def field_of(location: Location) -> str:
    """Return `("spec", "env", 1, "name")` as `spec.env[1].name`; a map's bad key is the map's."""
    if location[-1:] == ("[key]",):
        location = location[:-2]
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")
