"""Types of fields. Each is bounded, and means the same to pydantic and to the API server."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

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
    Field(pattern=f"^({_HOST}/)?{_PART}(/{_PART})*(:{_TAG})?(@{_DIGEST})?$", max_length=512),
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
    Field(
        pattern=r"^([0-9]{1,4}(\.[0-9]{1,3})?|[0-9]{1,7}m)$",
        max_length=8,
        json_schema_extra=_int_or_string(9999),
    ),
    BeforeValidator(_integer_as_text),
]
"""Cores, at the finest in thousandths."""

Bytes = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,15}(\.[0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?$",
        max_length=21,
        json_schema_extra=_int_or_string(10**15 - 1),
    ),
    BeforeValidator(_integer_as_text),
]
"""Without `m`: 512m would be half a byte, and nobody has ever meant it."""
