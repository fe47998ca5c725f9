"""The pydantic base of every kind, and validation rules that hold in Python and CEL alike."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

CHECK = TypeVar("CHECK", bound=Callable[[Any], bool])


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


def rules_of(cls: type[BaseModel]) -> list[tuple[Rule, Callable[[Any], bool]]]:
    """Return the rules of a class and its bases, in the order in which they are written."""
    found: dict[str, tuple[Rule, Callable[[Any], bool]]] = {}
    for base in reversed(cls.__mro__):
        for name, member in vars(base).items():
            if (marked := getattr(member, "__modelfleet_rule__", None)) is not None:
                found[name] = (marked, member)
    return list(found.values())


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

    @model_validator(mode="after")
    def _hold_rules(self) -> Self:
        for found, check in rules_of(type(self)):
            if not check(self):
                where = f"{found.field_path.removeprefix('.')}: " if found.field_path else ""
                raise ValueError(f"{where}{found.message}")
        return self


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


class Metadata(Schema):
    """The part of ObjectMeta that we read."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None


class Kind(Schema):
    """A top-level object. Subclasses say what its CRD carries beside the schema."""

    names: ClassVar[Names]
    columns: ClassVar[tuple[Column, ...]]
    scale: ClassVar[dict[str, str] | None] = None
    selectable: ClassVar[tuple[str, ...]] = ()

    api_version: str = "modelfleet.dev/v1alpha1"
    kind: str = ""
    metadata: Metadata


# The strings of Kubernetes. Each is bounded, so that CEL's cost estimate stays finite.
DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
DnsName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        max_length=253,
    ),
]
QualifiedName = Annotated[
    str,
    Field(
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        max_length=317,
    ),
]
LabelValue = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)
]
Labels = Annotated[dict[QualifiedName, LabelValue], Field(max_length=32)]


def _integer_as_text(value: Any) -> Any:
    """YAML's `cpu: 4` is an integer; the API server takes it as it takes "4"."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Quantity = Annotated[
    str,
    BeforeValidator(_integer_as_text),
    Field(
        pattern=r"^[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$",
        max_length=32,
        json_schema_extra={"x-kubernetes-int-or-string": True},
    ),
]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256)]
Image = Annotated[str, Field(pattern=r"^[^\s]+$", min_length=1, max_length=512)]


def list_map(*keys: str) -> dict[str, Any]:
    """The schema extras of a list that server-side apply merges by `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}
SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
