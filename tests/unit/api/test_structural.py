"""What a CRD cannot say is refused when the CRD is made, with the class and the field."""

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    create_model,
    field_validator,
)

from modelfleet.api.fields import Between, Bool, Bytes, Count, DnsLabel, Form, Labels, LabelValue
from modelfleet.api.schema import ATOMIC, SET, Schema, list_map, rule
from modelfleet.api.structural import Unrepresentable, schema_for

Short = Annotated[str, Field(max_length=10)]


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Named(Schema):
    """An item with a key."""

    name: Short
    size: Count = 0


class Twig(Schema):
    """Contains itself."""

    twigs: "Annotated[tuple[Twig, ...], Field(max_length=3, json_schema_extra=ATOMIC)]" = ()


class Lax(Schema):
    """Allows what it does not know."""

    model_config = ConfigDict(extra="allow")

    name: Short


class Closed(Schema):
    """Forbids by itself."""

    model_config = ConfigDict(extra="forbid")

    name: Short


class Opaque(Schema):
    """Has a check that nobody else knows."""

    name: Short

    @field_validator("name")
    @classmethod
    def odd(cls, name: str) -> str:
        return name.strip()


def a_list(of: Any, extra: dict[str, Any] = ATOMIC, **bounds: Any) -> Any:
    return Annotated[tuple[of, ...], Field(json_schema_extra=extra, **({"max_length": 3} | bounds))]


REFUSED = {
    "text without a bound": (str, "maxLength"),
    "optional text without a bound": (str | None, "maxLength"),
    "an integer without bounds": (int, "strict|Between"),
    "a lax integer with bounds": (Annotated[int, Field(ge=0, le=9)], "Between"),
    "an integer with one bound": (Annotated[int, Field(strict=True, ge=0)], "maximum"),
    "an integer above a bound": (Annotated[int, Field(strict=True, gt=0, le=9)], "exclusiveM"),
    "a multiple": (Annotated[int, Field(strict=True, ge=0, le=9, multiple_of=3)], "multipleOf"),
    "bounds beyond float64": (Annotated[int, Between(0, 2**63 - 1)], "exact"),
    "a lax boolean": (bool, "Bool"),
    "a float": (float, "number"),
    "a decimal": (Decimal, "union"),
    "a duration": (timedelta, "format"),
    "a secret": (SecretStr, "writeOnly"),
    "anything": (Any, "Any"),
    "a union": (Short | Annotated[int, Between(0, 1)], "union"),
    "a union of classes": (Named | Closed, "union"),
    "values of two types": (Literal["a", 1], "Any"),
    "a tuple of fixed length": (tuple[Short, Short], "prefixItems"),
    "a Python set": (Annotated[frozenset[Short], Field(max_length=3)], "uniqueItems"),
    "a list without a bound": (
        Annotated[tuple[Short, ...], Field(json_schema_extra=ATOMIC)], "maxItems"
    ),
    "a list without a type": (Annotated[tuple[Short, ...], Field(max_length=3)], "list-type"),
    "a list of unbounded text": (a_list(str), r"field\[\]: maxLength"),
    "a list-map without keys": (a_list(Named, {"x-kubernetes-list-type": "map"}), "map-keys"),
    "a key that may be absent": (a_list(Named, list_map("size")), "size must be a required"),
    "a map without a bound": (dict[DnsLabel, LabelValue], "maxProperties"),
    "a map with any key": (Annotated[dict[str, LabelValue], Field(max_length=3)], "keys need"),
    "a map with keys of any length": (
        Annotated[dict[Annotated[str, Field(pattern="^a$")], Short], Field(max_length=3)],
        "keys need",
    ),
    "a map of unbounded text": (Annotated[dict[DnsLabel, str], Field(max_length=3)], r"\[\]"),
    "a map of anything": (Annotated[dict[Any, Any], Field(max_length=3)], "values"),
    "a pattern without anchors": (Annotated[str, Field(pattern="a", max_length=3)], "anywhere"),
    "a class of characters": (Annotated[str, Field(pattern=r"^\s$", max_length=3)], r"\\s"),
    "a group with a flag": (Annotated[str, Field(pattern="^(?i)a$", max_length=3)], "Rust"),
    "a format": (
        Annotated[str, Field(max_length=9, json_schema_extra={"format": "uuid"})], "format"
    ),
    "CEL on a field": (
        Annotated[str, Field(max_length=9, json_schema_extra={"x-kubernetes-validations": []})],
        "validations",
    ),
    "integer-or-string without bounds": (
        Annotated[str, Field(max_length=9, json_schema_extra={"x-kubernetes-int-or-string": True})],
        "minimum, maximum, x-form",
    ),
    "a validator before": (Annotated[Short, BeforeValidator(str)], "only Python"),
    "a validator after": (Annotated[Short, AfterValidator(str)], "only Python"),
    "a class that allows more": (Lax, "additionalProperties"),
    "a class that forbids more": (Closed, "additionalProperties"),
    "a check of a class": (Opaque, "Opaque.name: a validator that only Python runs"),
    "a class that contains itself": (Twig, "Twig contains itself"),
}  # fmt: skip


@pytest.mark.parametrize(("annotation", "why"), REFUSED.values(), ids=REFUSED)
def test_a_field_that_a_crd_cannot_hold_is_refused(annotation: Any, why: str):
    planted = create_model("Planted", __base__=Schema, field=(annotation, ...))

    with pytest.raises(Unrepresentable, match=why) as refused:
        schema_for(planted)

    named = str(refused.value).partition(":")[0]
    assert named.split(".")[0] in {"Planted", "Closed", "Lax", "Opaque", "Twig"}


def test_a_class_that_contains_itself_is_refused_as_a_root():
    with pytest.raises(Unrepresentable, match=r"Twig\.twigs\[\]: Twig contains itself"):
        schema_for(Twig)


def test_the_name_of_the_class_that_has_the_field_is_given():
    class Inner(Schema):
        text: str

    class Outer(Schema):
        inner: Inner

    with pytest.raises(Unrepresentable, match=r"^Inner\.text: "):
        schema_for(Outer)


@pytest.mark.parametrize("default", [("a",), {"a": "b"}], ids=["a list", "a map"])
def test_only_scalars_have_defaults(default: Any):
    kind = a_list(Short) if isinstance(default, tuple) else Labels
    planted = create_model("Planted", __base__=Schema, field=(kind, default))

    with pytest.raises(Unrepresentable, match="default"):
        schema_for(planted)


def test_every_kind_of_field_has_its_form():
    class Inner(Schema):
        """Two lines
        are one.

        Paragraphs stay.
        """

        port: Annotated[int, Between(1, 65535)] = 80
        big: Annotated[int, Between(0, 2**40)]

    class Outer(Schema):
        """All."""

        colour: Colour = Colour.RED
        when: Literal["Always"] | None = None
        only: Literal["x"] = "x"
        inner: Inner | None = Field(default=None, description="instead")
        names: a_list(Named, list_map("name")) = ()  # type: ignore[valid-type]
        tags: a_list(DnsLabel, SET, min_length=1)  # type: ignore[valid-type]
        on: Bool = True

    assert schema_for(Outer) == {
        "description": "All.",
        "type": "object",
        "required": ["tags"],
        "properties": {
            "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "when": {"type": "string", "enum": ["Always"]},
            "only": {"type": "string", "enum": ["x"], "default": "x"},
            "inner": {
                "description": "instead",
                "type": "object",
                "required": ["big"],
                "properties": {
                    "port": {
                        **{"type": "integer", "format": "int32"},
                        **{"minimum": 1, "maximum": 65535, "default": 80},
                    },
                    "big": {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**40},
                },
            },
            "names": {
                "type": "array",
                "maxItems": 3,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "description": "An item with a key.",
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string", "maxLength": 10},
                        "size": {
                            **{"type": "integer", "format": "int32"},
                            **{"minimum": 0, "maximum": 2**31 - 1},
                        },
                    },
                },
            },
            "tags": {
                "type": "array",
                "minItems": 1,
                "maxItems": 3,
                "x-kubernetes-list-type": "set",
                "items": {
                    "type": "string",
                    "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
                    "maxLength": 63,
                },
            },
            "on": {"type": "boolean", "default": True},
        },
    }


def test_a_docstring_of_lines_becomes_paragraphs():
    class Told(Schema):
        """Two lines
        are one.

        Paragraphs stay.
        """

        name: Short

    assert schema_for(Told)["description"] == "Two lines are one.\n\nParagraphs stay."


def test_an_object_that_python_makes_is_made_by_the_api_server_too():
    class Inner(Schema):
        port: Annotated[int, Between(1, 9)] = 8

    class Outer(Schema):
        inner: Inner = Field(default_factory=Inner)

    assert schema_for(Outer)["properties"]["inner"]["default"] == {}
    assert "default" not in str(schema_for(Outer, defaults=False))


def test_the_keys_of_a_map_are_checked_by_a_rule():
    class Outer(Schema):
        labels: Annotated[dict[DnsLabel, Short], Field(max_length=2)]

    keys = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
    assert schema_for(Outer)["properties"]["labels"] == {
        "type": "object",
        "maxProperties": 2,
        "additionalProperties": {"type": "string", "maxLength": 10},
        "x-kubernetes-validations": [
            {
                "rule": f"self.all(k, size(k) <= 63 && k.matches(r'{keys}'))",
                "message": f"a key has at most 63 characters and matches {keys}",
            }
        ],
    }


def test_the_rules_of_a_class_are_carried_with_those_of_its_base():
    class Base(Schema):
        low: Count = 0

        @rule("self.low < 5", "low is low", ".low")
        def is_low(self) -> bool:
            return self.low < 5

    class Both(Base):
        high: Count = 9

        @rule("self.high > self.low", "high is higher")
        def is_higher(self) -> bool:
            return self.high > self.low

    assert schema_for(Both)["x-kubernetes-validations"] == [
        {"message": "low is low", "rule": "self.low < 5", "fieldPath": ".low"},
        {"message": "high is higher", "rule": "self.high > self.low"},
    ]


def test_a_quantity_is_an_integer_or_text():
    class Sized(Schema):
        memory: Bytes | None = None

    assert schema_for(Sized)["properties"]["memory"] == {
        "x-kubernetes-int-or-string": True,
        "maxLength": 21,
        "minimum": 0,
        "maximum": 10**15 - 1,
        "x-kubernetes-validations": [
            {
                "message": "write bytes, as in 32Gi for 32 GiB or 32G for 32 GB; units are "
                "k, M, G, T, Ki, Mi, Gi, Ti",
                "rule": "type(self) == int || "
                "self.matches(r'^[0-9]{1,15}([.][0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?$')",
            }
        ],
    }


def test_text_of_a_form_says_what_to_write():
    class Named(Schema):
        name: Annotated[
            str, Field(max_length=9), Form("^a:b$", "write a:b", bare="^b$", prefix="a:")
        ]

    assert schema_for(Named)["properties"]["name"] == {
        "type": "string",
        "maxLength": 9,
        "x-kubernetes-validations": [
            {
                "message": "write a:b",
                "rule": "self.matches(r'^a:b$')",
                "messageExpression": "self.matches(r'^b$') ? 'write a:' + self : 'write a:b'",
            }
        ],
    }
