"""Conditions: their types, every reason that we set, and how a new list replaces an old one."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from modelfleet.api.fields import Generation, Timestamp
from modelfleet.api.schema import Schema, list_map

Truth = Literal["True", "False", "Unknown"]


class ConditionType(StrEnum):
    """`Ready` sums up; the other two are kstatus's, abnormal-true: absent when all is well."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    AUTOSCALED = "Autoscaled"
    """Whether a policy is followed in full; only where a Model has one."""


class Reason(StrEnum):
    """Why a condition is as it is. One place in `plan` sets each."""

    # Ready
    ALL_REPLICAS_READY = "AllReplicasReady"
    SCALED_TO_ZERO = "ScaledToZero"
    ASLEEP = "Asleep"
    POOL_READY = "PoolReady"
    VALID = "Valid"
    # Waiting: nobody must act, time or another object will help
    CREATING = "Creating"
    WAITING_FOR_CAPACITY = "WaitingForCapacity"
    SCHEDULING = "Scheduling"
    PULLING_IMAGE = "PullingImage"
    LOADING_MODEL = "LoadingModel"
    ROLLING_OUT = "RollingOut"
    TERMINATING = "Terminating"
    NODE_LOST = "NodeLost"
    RESTARTING = "Restarting"
    HELD_UP = "HeldUp"
    # A person must act
    PAUSED = "Paused"
    INVALID_SPEC = "InvalidSpec"
    UNKNOWN_ENGINE = "UnknownEngine"
    UNSUPPORTED_SOURCE = "UnsupportedSource"
    UNSUPPORTED_FEATURE = "UnsupportedFeature"
    POOL_MISSING = "PoolMissing"
    POOL_EMPTY = "PoolEmpty"
    POOLS_DIFFER = "PoolsDiffer"
    NAME_TAKEN = "NameTaken"
    IMAGE_NOT_FOUND = "ImageNotFound"
    IMAGE_UNAUTHORIZED = "ImageUnauthorized"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    CLAIM_MISSING = "ClaimMissing"
    OUT_OF_MEMORY = "OutOfMemory"
    CRASH_LOOP = "CrashLoop"
    STARTUP_DEADLINE_EXCEEDED = "StartupDeadlineExceeded"
    QUOTA_EXCEEDED = "QuotaExceeded"
    PODS_REFUSED = "PodsRefused"
    REQUEST_REFUSED = "RequestRefused"
    ROLLOUT_FAILED = "RolloutFailed"
    # Autoscaling
    POLICY_FOLLOWED = "PolicyFollowed"
    POLICY_MISSING = "PolicyMissing"
    METRICS_MISSING = "MetricsMissing"
    REQUESTS_FAIL = "RequestsFail"
    ZERO_REFUSED = "ZeroRefused"
    PRICE_UNKNOWN = "PriceUnknown"
    CEILING_TOO_LOW = "CeilingTooLow"
    SCHEDULE_INVALID = "ScheduleInvalid"
    SCALED_BY_OTHERS = "ScaledByOthers"
    # Pools
    NO_NODE_MATCHES = "NoNodeMatches"
    NO_GPUS = "NoGPUs"
    NODES_OVERLAP = "NodesOverlap"
    NODES_NOT_READY = "NodesNotReady"


class Condition(Schema):
    """A metav1.Condition, bounded as the API server bounds it."""

    type: Annotated[str, Field(max_length=316)] = Field(
        description="Ready, Reconciling, Stalled or Autoscaled; what is not listed is not so."
    )
    status: Truth = Field(description="Whether it is so.")
    reason: Annotated[
        str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", max_length=1024)
    ] = Field(description="Why, in one word for machines.")
    message: Annotated[str, Field(max_length=32768)] = Field(
        default="", description="Why, in a sentence for people, and what to do."
    )
    last_transition_time: Timestamp = Field(description="When the status changed last, in UTC.")
    observed_generation: Generation = Field(
        default=0, description="The metadata.generation that the condition is about."
    )


Conditions = Annotated[
    tuple[Condition, ...], Field(max_length=32, json_schema_extra=list_map("type"))
]


def timestamp(now: datetime) -> str:
    """Return `now` as the API server writes it: UTC, whole seconds."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def merge(old: Iterable[Condition], new: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return `new`, keeping the transition time of each condition whose status has not changed."""
    before = {condition.type: condition for condition in old}
    return tuple(_keep_time(before.get(condition.type), condition) for condition in new)


def _keep_time(old: Condition | None, new: Condition) -> Condition:
    if old is None or old.status != new.status:
        return new
    return new.model_copy(update={"last_transition_time": old.last_transition_time})
