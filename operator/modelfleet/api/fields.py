"""Types of fields. Each is bounded, and means the same to pydantic and to the API server."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from modelfleet.api.pydantic_schema import FORM
from modelfleet.api.schema import twin


@twin
def _whole_number(value: Any) -> Any:
    """JSON has one type of number: to the API server 3.0 is the integer 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True, slots=True)
class Between:
    """Bounds of an integer, both included. Text and booleans are refused, as a CRD does."""

    least: int
    most: int

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        bounded = core_schema.int_schema(strict=True, ge=self.least, le=self.most)
        return core_schema.no_info_before_validator_function(_whole_number, bounded)


@dataclass(frozen=True, slots=True)
class Form:
    """The form of text, and what to write where it is missed; of a `pattern`, kubectl shows that.

    `pattern` must mean the same to Python and to RE2, and hold no single quote; nor must `words`.
    Text that matches `bare` lacks only `prefix`, which is then told. With `or_integer` an integer
    is taken as well.
    """

    pattern: str
    words: str
    bare: str = ""
    prefix: str = ""
    or_integer: bool = False

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), FORM: self._rule()}

    @twin
    def _checked(self, text: str) -> str:
        if re.fullmatch(self.pattern, text):
            return text
        lacks_prefix = self.bare and re.fullmatch(self.bare, text)
        words = f"write {self.prefix}{text}" if lacks_prefix else self.words
        raise PydanticCustomError("form", "{words}", {"words": words})

    def _rule(self) -> dict[str, Any]:
        matches = f"self.matches(r'{self.pattern}')"
        rule = {
            "message": self.words,
            "rule": f"type(self) == int || {matches}" if self.or_integer else matches,
        }
        if not self.bare:
            return rule
        told = f"self.matches(r'{self.bare}') ? 'write {self.prefix}' + self : '{self.words}'"
        return {**rule, "messageExpression": told}


Bool = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Between(0, 2**31 - 1)]
Generation = Annotated[int, Between(-1, 2**53 - 1)]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_SHORT_NAME = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"

DnsLabel = Annotated[str, Field(pattern=f"^{_LABEL}$", max_length=63)]
DnsName = Annotated[str, Field(pattern=f"^{_SUBDOMAIN}$", max_length=253)]
QualifiedName = Annotated[str, Field(pattern=f"^({_SUBDOMAIN}/)?{_SHORT_NAME}$", max_length=253)]
ResourceName = Annotated[str, Field(pattern=f"^{_SUBDOMAIN}/{_SHORT_NAME}$", max_length=253)]
LabelValue = Annotated[
    str, Field(pattern="^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)
]
LabelKey = Annotated[str, Field(pattern=f"^({_SUBDOMAIN}/)?{_SHORT_NAME}$", max_length=317)]
AnnotationKey = Annotated[
    str, Field(pattern=f"(?i)^({_SUBDOMAIN}/)?{_SHORT_NAME}$", max_length=317)
]
Labels = Annotated[dict[QualifiedName, LabelValue], Field(max_length=32)]
AnnotationValues = Annotated[
    dict[QualifiedName, Annotated[str, Field(max_length=4096)]], Field(max_length=32)
]
EnvName = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$", max_length=256)]

_HOST = "[A-Za-z0-9][-A-Za-z0-9.]*(:[0-9]{1,5})?"
_PART = "[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*"
_TAG = "[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}"
_DIGEST = "[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,128}"
Image = Annotated[
    str,
    Field(max_length=512),
    Form(
        f"^({_HOST}/)?{_PART}(/{_PART})*(:{_TAG})?(@{_DIGEST})?$",
        "write an image as in registry.example/team/engine:v1, in lower case but for the tag",
    ),
]
"""What the kubelet can parse; else it says InvalidImageName, long after `kubectl apply`."""

Timestamp = Annotated[
    str,
    Field(
        pattern="^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
        "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$",
        max_length=20,
    ),
]
"""UTC in whole seconds, as the API server writes it."""


@twin
def _integer_as_text(value: Any) -> Any:
    """YAML's `cpu: 4` is an integer; the API server takes it as it takes "4"."""
    number = _whole_number(value)
    return str(number) if isinstance(number, int) and not isinstance(number, bool) else value


def _int_or_string(largest: int) -> dict[str, Any]:
    return {"x-kubernetes-int-or-string": True, "minimum": 0, "maximum": largest}


Cpu = Annotated[
    str,
    Field(max_length=8, json_schema_extra=_int_or_string(9999)),
    BeforeValidator(_integer_as_text),
    Form(
        "^([0-9]{1,4}([.][0-9]{1,3})?|[0-9]{1,7}m)$",
        "write cores, as in 4, 0.5 or 500m",
        or_integer=True,
    ),
]
"""Cores, at the finest in thousandths."""

Bytes = Annotated[
    str,
    Field(max_length=21, json_schema_extra=_int_or_string(10**15 - 1)),
    BeforeValidator(_integer_as_text),
    Form(
        "^[0-9]{1,15}([.][0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?$",
        "write bytes, as in 32Gi for 32 GiB or 32G for 32 GB; units are k, M, G, T, Ki, Mi, Gi, Ti",
        or_integer=True,
    ),
]
"""Without `m`: 512m would be half a byte, and nobody has ever meant it."""

Dollars = Annotated[
    str,
    Field(max_length=16, json_schema_extra=_int_or_string(999_999_999)),
    BeforeValidator(_integer_as_text),
    Form(
        "^[0-9]{1,9}([.][0-9]{1,6})?$",
        'write dollars in quotes, as in "2.5"',
        or_integer=True,
    ),
]
"""Text, because money is no floating point number; at the finest in micro-dollars."""

Factor = Annotated[
    str,
    Field(max_length=6, json_schema_extra=_int_or_string(9)),
    BeforeValidator(_integer_as_text),
    Form("^[0-9]([.][0-9]{1,4})?$", 'write a factor in quotes, as in "1.3"', or_integer=True),
]
