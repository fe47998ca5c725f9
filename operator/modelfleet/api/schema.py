"""The pydantic base of every kind, and validation rules that hold in Python and CEL alike."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel, to_snake
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

CHECK = TypeVar("CHECK", bound=Callable[[Any], bool])
VALIDATOR = TypeVar("VALIDATOR", bound=Callable[..., Any])
Location = tuple[str | int, ...]

NAME_PATTERN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


class Rule:
    """One `x-kubernetes-validations` entry: the CEL text and the message that a user reads."""

    def __init__(self, cel: str, message: str, field_path: str | None = None) -> None:
        self.cel, self.message, self.field_path = cel, message, field_path


def rule(cel: str, message: str, field_path: str | None = None) -> Callable[[CHECK], CHECK]:
    """Mark a method as the Python twin of a CEL rule: it returns whether the object is valid.

    `field_path` is relative to the object that carries the rule, as in `.uri`.
    """

    def mark(check: CHECK) -> CHECK:
        check.__modelfleet_rule__ = Rule(cel, message, field_path)  # type: ignore[attr-defined]
        return check

    return mark


def twin(validator: VALIDATOR) -> VALIDATOR:
    """Mark a validator that does what the API server does by itself or by the CRD's schema.

    The generator of CRDs refuses any other: Python would judge differently.
    """
    validator.__modelfleet_twin__ = True  # type: ignore[attr-defined]
    return validator


def is_twin(validator: Callable[..., Any]) -> bool:
    """Return whether the API server is known to do the same."""
    return getattr(validator, "__modelfleet_twin__", False) is True


@functools.cache
def rules_of(cls: type[BaseModel]) -> tuple[tuple[Rule, Callable[[Any], bool]], ...]:
    """Return the rules of a class and its bases, in the order in which they are written."""
    found: dict[str, tuple[Rule, Callable[[Any], bool]]] = {}
    for base in reversed(cls.__mro__):
        for name, member in vars(base).items():
            if (marked := getattr(member, "__modelfleet_rule__", None)) is not None:
                found[name] = (marked, member)
    return tuple(found.values())


class Schema(BaseModel):
    """Frozen, camelCase on the wire. Unknown fields are ignored, as the API server prunes them;
    the command line validates with `extra="forbid"`, as `kubectl apply` does.
    """

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="ignore",
    )

    @model_validator(mode="before")
    @classmethod
    @twin
    def _leave_out_nulls(cls, given: Any) -> Any:
        """The API server drops a field's null; what is required is then missing."""
        if not isinstance(given, dict):
            return given
        fields = _fields_by_name(cls)
        return {
            name: _without_nulls(value, fields.get(name))
            for name, value in given.items()
            if value is not None or name not in fields
        }

    @model_validator(mode="after")
    @twin
    def _hold_rules(self) -> Self:
        broken = [*_broken_rules(self), *_repeated_items(self)]
        if broken:
            raise ValidationError.from_exception_data(type(self).__name__, broken)
        return self


def _without_nulls(value: Any, field: FieldInfo | None) -> Any:
    """A map's nulls are dropped like an object's; those of a list are not."""
    if field is None or get_origin(field.annotation) is not dict or not isinstance(value, dict):
        return value
    return {key: inner for key, inner in value.items() if inner is not None}


def _broken_rules(given: Schema) -> Iterator[InitErrorDetails]:
    for found, check in rules_of(type(given)):
        if not check(given):
            where = tuple(part for part in (found.field_path or "").split(".") if part)
            yield _error("rule", found.message, where, given)


def _repeated_items(given: Schema) -> Iterator[InitErrorDetails]:
    """Yield the items of list-maps and list-sets that the API server calls duplicates."""
    for name, alias, keys in _unique_lists(type(given)):
        seen = set()
        for index, item in enumerate(getattr(given, name)):
            key = tuple(getattr(item, key) for key in keys) or item
            if key in seen:
                yield _error("duplicate", "given twice", (alias, index), item)
            seen.add(key)


@functools.cache
def _fields_by_name(cls: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """Return the fields by their names in Python and in YAML."""
    by_alias = {field.alias or name: field for name, field in cls.model_fields.items()}
    return {**cls.model_fields, **by_alias}


@functools.cache
def _unique_lists(cls: type[BaseModel]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return name, wire name and keys of each list whose items differ; a set has no keys."""
    found = []
    for name, field in cls.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        if extra.get("x-kubernetes-list-type") in ("map", "set"):
            keys: Any = extra.get("x-kubernetes-list-map-keys", ())
            found.append((name, field.alias or name, tuple(to_snake(key) for key in keys)))
    return tuple(found)


def _error(kind: str, message: str, where: Location, given: Any) -> InitErrorDetails:
    """A message may hold braces, which are no placeholders."""
    text = PydanticCustomError(kind, "{message}", {"message": message})
    return InitErrorDetails(type=text, loc=where, input=given)


class Column(BaseModel):
    """One `additionalPrinterColumns` entry. `priority` 1 shows only with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


class Names(BaseModel):
    """How a kind is called and where it lives."""

    kind: str
    plural: str
    short: str
    scope: str = "Namespaced"

    @property
    def singular(self) -> str:
        """The lower-case name that kubectl accepts beside the plural."""
        return self.kind.lower()


class ManagedFields(Schema):
    """Who wrote which fields: an entry of `metadata.managedFields`."""

    manager: str = ""
    subresource: str = ""
    fields_v1: Any = None


class Metadata(Schema):
    """An ObjectMeta: the part that we read, and the rest so that it is no unknown field."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    generate_name: str | None = None
    finalizers: Any = None
    managed_fields: tuple[ManagedFields, ...] = ()
    owner_references: Any = None
    self_link: str | None = None


class Kind(Schema):
    """A top-level object. Subclasses say what its CRD carries beside the schema."""

    names: ClassVar[Names]
    columns: ClassVar[tuple[Column, ...]]
    scale: ClassVar[dict[str, str] | None] = None
    selectable: ClassVar[tuple[str, ...]] = ()

    api_version: str = "modelfleet.dev/v1alpha1"
    kind: str = ""
    metadata: Metadata

    @rule(
        f"size(self.metadata.name) <= 63 && self.metadata.name.matches('{NAME_PATTERN}')",
        "at most 63 characters: lower case, digits and '-', a letter or digit at both ends",
        ".metadata.name",
    )
    def fits(self) -> bool:
        """Hold for a DNS label, so that the name fits into a label's value and into a reference."""
        name = self.metadata.name
        return len(name) <= 63 and bool(re.fullmatch(NAME_PATTERN, name))


def list_map(*keys: str) -> dict[str, Any]:
    """The schema extras of a list that server-side apply merges by `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}
SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
