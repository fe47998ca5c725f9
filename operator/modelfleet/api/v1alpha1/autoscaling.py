"""What a Model says about its own scaling, and what its status tells of it."""

from typing import Annotated

from pydantic import Field

from modelfleet.api.fields import Between, Count, Timestamp
from modelfleet.api.schema import ATOMIC, Schema, rule
from modelfleet.api.v1alpha1.autoscalingpolicy import Replicas
from modelfleet.api.v1alpha1.pod import LocalRef

Line = Annotated[str, Field(max_length=1024)]
Word = Annotated[str, Field(max_length=64)]

MOST_DECISIONS = 10


class Autoscaling(Schema):
    """Who decides about replicas instead of spec.replicas."""

    policy_ref: LocalRef = Field(description="An AutoscalingPolicy of the same namespace.")
    min_replicas: Replicas | None = Field(
        default=None, description="Never fewer; default: what the policy says."
    )
    max_replicas: Annotated[int, Between(1, 1000)] | None = Field(
        default=None, description="Never more; default: what the policy says."
    )

    @rule(
        "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        "minReplicas is more than maxReplicas",
        ".minReplicas",
    )
    def is_in_order(self) -> bool:
        """Hold where a number of replicas meets both."""
        if self.min_replicas is None or self.max_replicas is None:
            return True
        return self.min_replicas <= self.max_replicas


class PastDecision(Schema):
    """One change of the number of replicas."""

    at: Timestamp = Field(description="When it was decided.")
    before: Count = Field(description="Replicas until then.")
    replicas: Count = Field(description="Replicas from then on.")
    message: Line = Field(description="Why.")


class AutoscalingStatus(Schema):
    """The last decision. It is written when the decision changes, so its figures are of `since`."""

    replicas: Count = Field(description="How many replicas are asked for.")
    reason: Word = Field(description="What the number follows, in one word for machines.")
    message: Line = Field(
        default="",
        description="The decision in one line: load, what each signal asks for, what limits it.",
    )
    since: Timestamp | None = Field(default=None, description="Since when it is so.")
    decisions: Annotated[
        tuple[PastDecision, ...], Field(max_length=MOST_DECISIONS, json_schema_extra=ATOMIC)
    ] = Field(default=(), description="The last ten changes, newest first.")
    memory: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="Of the load, for the operator alone."
    )
