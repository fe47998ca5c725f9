"""`AutoscalingPolicy`: what Models are scaled by, how far and how fast. Models refer to it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelfleet.api.conditions import Conditions
from modelfleet.api.fields import Between, Bool, DnsLabel, Form, Generation
from modelfleet.api.schema import SET, Column, Kind, Names, Schema, list_map, rule

Replicas = Annotated[int, Between(0, 1000)]
Percentile = Annotated[int, Between(50, 99)]
Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
Money = Annotated[
    str,
    Field(max_length=16),
    Form("^[0-9]{1,9}([.][0-9]{1,6})?$", "write an amount as in 12 or 12.50, without a currency"),
]
TimeOfDay = Annotated[str, Field(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5)]
TimeZone = Annotated[str, Field(pattern=r"^[A-Za-z][-+_A-Za-z0-9]*(/[-+_A-Za-z0-9]+)*$")]


class FirstTokenObjective(Schema):
    """How long users may wait for the first token."""

    milliseconds: Annotated[int, Between(1, 600_000)] = Field(
        description="The first token comes within this time."
    )
    percentile: Percentile = Field(
        default=95, description="Percent of requests that must be as fast; default: 95."
    )


class Signals(Schema):
    """What says how many replicas are needed: the one that asks for most wins."""

    concurrency_per_replica: Annotated[int, Between(1, 100_000)] | None = Field(
        default=None,
        description="Requests that run or wait in one replica; default: not looked at.",
    )
    queue_length_per_replica: Annotated[int, Between(1, 100_000)] | None = Field(
        default=None, description="Requests that wait in one replica; default: not looked at."
    )
    kv_cache_percent: Annotated[int, Between(1, 99)] | None = Field(
        default=None, description="Fill of the KV cache; default: not looked at."
    )
    tokens_per_second_per_replica: Annotated[int, Between(1, 10_000_000)] | None = Field(
        default=None,
        description="Prompt and generated tokens of one replica; default: not looked at.",
    )
    time_to_first_token: FirstTokenObjective | None = Field(
        default=None, description="An objective for the first token; default: none."
    )

    @rule(
        "has(self.concurrencyPerReplica) || has(self.queueLengthPerReplica) "
        "|| has(self.kvCachePercent) || has(self.tokensPerSecondPerReplica) "
        "|| has(self.timeToFirstToken)",
        "name at least one signal",
    )
    def names_one(self) -> bool:
        """Hold where there is something to go by."""
        return any(getattr(self, name) is not None for name in type(self).model_fields)


class Window(Schema):
    """A time, in cold starts of the model itself or in seconds."""

    cold_start_percent: Annotated[int, Between(0, 2000)] | None = Field(
        default=None,
        description="Percent of a cold start, as it was measured last: 200 is twice as long.",
    )
    seconds: Annotated[int, Between(0, 86_400)] | None = Field(
        default=None, description="A fixed time."
    )

    @rule(
        "has(self.coldStartPercent) != has(self.seconds)",
        "give one of coldStartPercent and seconds",
    )
    def is_one(self) -> bool:
        """Hold where the length is known and said once."""
        return (self.cold_start_percent is None) != (self.seconds is None)


class Windows(Schema):
    """For how long load must be higher or lower before anything follows."""

    up: Window | None = Field(
        default=None,
        description="More replicas only after load was high so long; default: at once.",
    )
    down: Window | None = Field(
        default=None,
        description="Fewer replicas only after load was low so long; default: two cold starts, "
        "ten minutes at least.",
    )


class ScaleToZero(Schema):
    """When a model without requests gives up its last replica."""

    after_seconds: Annotated[int, Between(60, 604_800)] | None = Field(
        default=None,
        description="Seconds without any request; default: four cold starts, ten minutes at least.",
    )
    without_hold: Bool = Field(
        default=False,
        description="Accept that requests fail while no replica is there, because nothing holds "
        "them; default: false, and then one replica stays.",
    )


class Schedule(Schema):
    """Bounds for some hours of the week. Where several hold at once, the highest of each counts."""

    name: DnsLabel = Field(description="What decisions call it.")
    time_zone: Annotated[TimeZone, Field(max_length=64)] = Field(
        description="As in Europe/Berlin, whose summer time it follows."
    )
    days: Annotated[tuple[Day, ...], Field(max_length=7, json_schema_extra=SET)] = Field(
        default=(), description="Days on which it begins; none: all."
    )
    from_: TimeOfDay = Field(alias="from", description="As in 08:00.")
    to: TimeOfDay = Field(
        description="As in 18:30; if it is not later than `from`, of the next day."
    )
    min_replicas: Replicas | None = Field(
        default=None, description="Ready by `from`: their start is begun a cold start earlier."
    )
    max_replicas: Replicas | None = Field(
        default=None, description="Never more in these hours, whatever the load."
    )

    @rule("has(self.minReplicas) || has(self.maxReplicas)", "give minReplicas, maxReplicas or both")
    def says_something(self) -> bool:
        """Hold where the hours change anything."""
        return self.min_replicas is not None or self.max_replicas is not None

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


class AutoscalingPolicySpec(Schema):
    """Signals and targets, bounds, times, and what it may cost."""

    signals: Signals
    min_replicas: Replicas = Field(
        default=1, description="Never fewer, unless a Model says otherwise; default: 1."
    )
    max_replicas: Annotated[int, Between(1, 1000)] = Field(
        description="Never more, unless a Model says otherwise."
    )
    tolerance_percent: Annotated[int, Between(0, 90)] = Field(
        default=10, description="Deviations from a target that change nothing; default: 10."
    )
    windows: Windows = Field(default_factory=Windows)
    schedules: Annotated[
        tuple[Schedule, ...], Field(max_length=16, json_schema_extra=list_map("name"))
    ] = Field(default=(), description="Other bounds at certain hours; default: none.")
    scale_to_zero: ScaleToZero | None = Field(
        default=None, description="Needed, beside minReplicas: 0, for no replica; default: never."
    )
    cost_ceiling_per_hour: Money | None = Field(
        default=None,
        description="What the replicas of one Model may cost in an hour, in the currency of the "
        "pools' prices; default: no limit. One replica stays, whatever it costs.",
    )

    @rule(
        "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
        "minReplicas is more than maxReplicas",
        ".minReplicas",
    )
    def is_in_order(self) -> bool:
        """Hold where a number of replicas meets both."""
        return self.min_replicas <= self.max_replicas


class AutoscalingPolicyStatus(Schema):
    """Whether the policy can be followed."""

    observed_generation: Generation = Field(
        default=-1, description="The metadata.generation that this status is about."
    )
    conditions: Conditions = Field(default=(), description="Ready sums up; Stalled needs a person.")


class AutoscalingPolicy(Kind):
    """How Models follow their load."""

    names: ClassVar[Names] = Names(
        kind="AutoscalingPolicy", plural="autoscalingpolicies", short="asp"
    )
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="Min", path=".spec.minReplicas", type="integer"),
        Column(name="Max", path=".spec.maxReplicas", type="integer"),
        Column(name="Status", path='.status.conditions[?(@.type=="Ready")].reason'),
        Column(name="Message", path='.status.conditions[?(@.type=="Ready")].message', priority=1),
        Column(name="Age", path=".metadata.creationTimestamp", type="date"),
    )

    spec: AutoscalingPolicySpec
    status: AutoscalingPolicyStatus = Field(default_factory=AutoscalingPolicyStatus)
