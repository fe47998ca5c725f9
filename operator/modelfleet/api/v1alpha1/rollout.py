"""How a Model goes from one revision to the next, and what its status tells of it."""

from typing import Annotated, Literal

from pydantic import Field

from modelfleet.api.fields import Between, Bool, Count, Timestamp
from modelfleet.api.schema import ATOMIC, Schema, rule

Strategy = Literal["Auto", "Surge", "Replace", "BlueGreen", "Canary"]
Hash = Annotated[str, Field(pattern=r"^[a-z2-7]{10}$", max_length=10)]
Sentence = Annotated[str, Field(max_length=1024)]
Verdict = Literal["Pass", "Fail", "Inconclusive"]


class Pause(Schema):
    """Wait for a person: annotate the Model with modelfleet.dev/promote=<revision>."""


class CanaryStep(Schema):
    """A share of the replicas, and for how long it is judged at least."""

    weight: Annotated[int, Between(1, 99)] = Field(
        description="percent of the replicas, rounded down to whole ones; at least one replica"
    )
    duration_seconds: Annotated[int, Between(10, 604800)] = 300
    pause: Pause | None = Field(
        default=None, description="{}: after this step, wait for a person to promote it"
    )


class Analysis(Schema):
    """How the new revision is compared with the stable one: see docs/analysis.md."""

    interval_seconds: Annotated[int, Between(5, 600)] = 60
    warm_up_seconds: Annotated[int, Between(0, 600)] = Field(
        default=30, description="left out at the beginning of each pod's life in traffic"
    )
    minimum_requests: Annotated[int, Between(10, 100000)] = Field(
        default=100, description="of users, to the new revision, before a step may pass"
    )
    max_error_increase_percent: Annotated[int, Between(0, 90)] = Field(
        default=1, description="tolerated, in points: 1 allows 3 % where the stable one has 2 %"
    )
    max_latency_increase_percent: Annotated[int, Between(0, 900)] = Field(
        default=25, description="tolerated, of the time to the first and per output token"
    )
    probes: Literal["Auto", "Always", "Never"] = Field(
        default="Auto",
        description="small requests of our own; Auto: where the engine does not tell of errors "
        "or of the time to the first token",
    )
    on_inconclusive: Literal["Wait", "Continue", "Abort"] = Field(
        default="Wait",
        description="when a step's time is over and too little is known, as without traffic: "
        "wait for more, take the next step unless it looks suspicious, or give the revision up",
    )


class Canary(Schema):
    """Steps from a few replicas to all. None given: 10 % for 300 s, then 50 % for 600 s."""

    steps: Annotated[tuple[CanaryStep, ...], Field(max_length=20, json_schema_extra=ATOMIC)] = ()
    analysis: Analysis = Field(default_factory=Analysis)

    @rule(
        "!has(self.steps) || self.steps.map(one, one.weight).isSorted()",
        "weights must not fall from step to step",
        ".steps",
    )
    def rises(self) -> bool:
        """Hold where each step has at least the weight of the one before."""
        weights = [step.weight for step in self.steps]
        return weights == sorted(weights)


class RolloutSpec(Schema):
    """The way to a new revision."""

    strategy: Strategy = Field(
        default="Auto",
        description="Auto: beside the old where GPUs are free, else one replica after the other",
    )
    min_available: Annotated[int, Between(0, 1000)] | None = Field(
        default=None, description="replicas that must stay ready; a rollout that cannot waits"
    )
    canary: Canary = Field(default_factory=Canary, description="for the strategy Canary")
    pin_revision: Hash | None = Field(
        default=None, description="serve this kept revision, whatever the rest of the spec says"
    )
    paused: Bool = Field(default=False, description="hold the rollout where it is")


class RolloutStatus(Schema):
    """The rollout that is under way, or the one that was given up. Absent: there is none."""

    strategy: Strategy | None = Field(default=None, description="the one that was chosen")
    revision: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="the one that is rolled out"
    )
    weight: Annotated[int, Between(0, 100)] | None = Field(
        default=None,
        description="percent of requests for the new revision, by its share of replicas",
    )
    message: Sentence | None = Field(default=None, description="why this way, and what comes next")
    step: Count | None = Field(
        default=None, description="of a canary, from 1; one more than there are: all were passed"
    )
    steps: Count | None = None
    step_started_at: Timestamp | None = Field(
        default=None, description="when all replicas of this step were ready"
    )
    verdict: Verdict | None = Field(default=None, description="of the last interval")
    evidence: Sentence | None = Field(default=None, description="what the verdict rests on")
    failed_revision: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="not tried again until the spec changes or a person says retry"
    )
    retried: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="the value of the annotation modelfleet.dev/retry obeyed last"
    )
    memory: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="of the comparison; for the operator alone"
    )
