"""pydantic's JSON schema with what it leaves out: our rules, and what only Python would check."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from modelfleet.api.schema import Rule, is_twin, rules_of

Json = dict[str, Any]

REFUSED = "x-refused"
"""Why a node must not be in a CRD. `structural` knows the field and raises."""

FORM = "x-form"
"""The CEL rule of a `fields.Form`, which brings its twin; any other rule on a field has none."""

_LAX = "pydantic would take text for it, the API server not; use fields.Between or fields.Bool"
_OPAQUE = "a validator that only Python runs; use @rule, which has CEL beside it"


class MarkedJsonSchema(GenerateJsonSchema):
    """Marks types that judge more laxly or more strictly in Python than their schema says."""

    def int_schema(self, schema: Any) -> Json:
        """Mark an integer that takes "1", 1.0 or true."""
        return _strict_only(schema, super().int_schema(schema))

    def bool_schema(self, schema: Any) -> Json:
        """Mark a boolean that takes "yes" or 1."""
        return _strict_only(schema, super().bool_schema(schema))

    def function_before_schema(self, schema: Any) -> Json:
        """Mark what the CRD has no twin of."""
        return _twins_only(schema, super().function_before_schema(schema))

    def function_after_schema(self, schema: Any) -> Json:
        """Mark what the CRD has no twin of."""
        return _twins_only(schema, super().function_after_schema(schema))

    def function_wrap_schema(self, schema: Any) -> Json:
        """Mark what the CRD has no twin of."""
        return _twins_only(schema, super().function_wrap_schema(schema))

    def function_plain_schema(self, schema: Any) -> Json:  # noqa: ARG002
        """Mark it: nothing is known of such a field."""
        return {REFUSED: _OPAQUE}

    def model_schema(self, schema: Any) -> Json:
        """Add the rules of the class."""
        made = super().model_schema(schema)
        cls: type[BaseModel] = schema["cls"]
        rules = [validation(found) for found, _ in rules_of(cls)]
        return {**made, "x-kubernetes-validations": rules} if rules else made


def validation(rule: Rule) -> Json:
    """Return the `x-kubernetes-validations` entry of a rule."""
    made = {"message": rule.message, "rule": rule.cel}
    return {**made, "fieldPath": rule.field_path} if rule.field_path else made


def _strict_only(schema: Mapping[str, Any], made: Json) -> Json:
    return made if schema.get("strict") else {**made, REFUSED: _LAX}


def _twins_only(schema: Mapping[str, Any], made: Json) -> Json:
    known = is_twin(schema["function"]["function"])
    return made if known else {**made, REFUSED: _OPAQUE}
