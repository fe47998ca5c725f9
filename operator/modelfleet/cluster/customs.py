"""Our own kinds as the API server sends them. What does not parse becomes a value too."""

from typing import Any

from pydantic import ValidationError

from modelfleet.api.v1alpha1.autoscalingpolicy import AutoscalingPolicy
from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool
from modelfleet.api.v1alpha1.model import Model, ModelStatus
from modelfleet.plan.world import Key, Unreadable


def model(raw: dict[str, Any]) -> Model | Unreadable:
    """Return a Model, or why it is none: its status has to say so."""
    try:
        return Model.model_validate(_slim(raw))
    except ValidationError as error:
        meta = raw["metadata"]
        return Unreadable(
            key=Key("Model", meta.get("namespace", ""), meta["name"]),
            uid=meta.get("uid", ""),
            generation=meta.get("generation", 0),
            error=why(error),
            old=_status(raw),
        )


def _slim(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a Model that says of its managedFields only who wrote spec.replicas."""
    owned: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    found = [
        {**one, "fieldsV1": owned}
        for one in raw["metadata"].get("managedFields") or ()
        if "f:replicas" in ((one.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return {**raw, "metadata": {**raw["metadata"], "managedFields": found}}


def pool(raw: dict[str, Any]) -> GPUNodePool:
    """Return a pool. Raises ValidationError."""
    return GPUNodePool.model_validate(raw)


def engine(raw: dict[str, Any]) -> Engine:
    """Return an Engine. Raises ValidationError."""
    return Engine.model_validate(raw)


def policy(raw: dict[str, Any]) -> AutoscalingPolicy:
    """Return an AutoscalingPolicy. Raises ValidationError."""
    return AutoscalingPolicy.model_validate(raw)


def why(error: ValidationError) -> str:
    """Return the first mistake, with its field."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field}: {first['msg']}".removeprefix(": ")


def _status(raw: dict[str, Any]) -> ModelStatus:
    try:
        return ModelStatus.model_validate(raw.get("status") or {})
    except ValidationError:
        return ModelStatus()
