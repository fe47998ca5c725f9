"""How a Model goes from one revision to the next, and what its status tells of it."""

from typing import Annotated, Literal

from pydantic import Field

from modelfleet.api.fields import Between, Bool
from modelfleet.api.schema import Schema

Strategy = Literal["Auto", "Surge", "Replace", "BlueGreen"]
Hash = Annotated[str, Field(pattern=r"^[a-z2-7]{10}$", max_length=10)]
Sentence = Annotated[str, Field(max_length=1024)]


class RolloutSpec(Schema):
    """The way to a new revision."""

    strategy: Strategy = Field(
        default="Auto",
        description="Auto: beside the old where GPUs are free, else one replica after the other",
    )
    min_available: Annotated[int, Between(0, 1000)] | None = Field(
        default=None, description="replicas that must stay ready; a rollout that cannot waits"
    )
    pin_revision: Hash | None = Field(
        default=None, description="serve this kept revision, whatever the rest of the spec says"
    )
    paused: Bool = Field(default=False, description="hold the rollout where it is")


class RolloutStatus(Schema):
    """The rollout that is under way. Absent: there is none."""

    strategy: Strategy | None = Field(default=None, description="the one that was chosen")
    revision: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="the one that is rolled out"
    )
    weight: Annotated[int, Between(0, 100)] | None = Field(
        default=None,
        description="percent of requests for the new revision, by its share of replicas",
    )
    message: Sentence | None = Field(default=None, description="why this way, and what comes next")
