"""What a status tells of money. In dollars; what is not known is absent, never zero."""

from typing import Annotated

from pydantic import Field

from modelfleet.api.fields import Between, Count, Timestamp
from modelfleet.api.schema import Schema

Text = Annotated[str, Field(max_length=24)]


class PoolCost(Schema):
    """What a pool's nodes cost, by the ledger."""

    hourly: Text | None = Field(
        default=None, description="Dollars per hour of all nodes whose price is known."
    )
    idle_hourly: Text | None = Field(
        default=None, description="Of these, for what no pod holds: GPUs, CPUs and memory."
    )
    month_to_date: Text | None = Field(
        default=None, description="Dollars since the month began in UTC, as of asOf."
    )
    unpriced_nodes: Count = Field(
        default=0, description="Nodes without a price. They are counted nowhere as money."
    )
    as_of: Timestamp | None = Field(
        default=None, description="When this was written; a steady rate is told once an hour."
    )


class CostSplit(Schema):
    """What the month to date was spent on; in dollars, summing to it."""

    used: Text = Field(description="Requests were in the replica.")
    idle: Text = Field(description="Ready and measured to be without requests.")
    unmeasured: Text = Field(description="Ready, and how busy it was is not known.")
    starting: Text = Field(description="From the bind to a node until ready: pull, load, warm-up.")
    failed: Text = Field(description="Crash loops, failed pulls, and replicas that lost readiness.")
    leaving: Text = Field(description="Told to go, and not gone yet.")


class ModelCost(Schema):
    """What a Model costs, by the ledger."""

    hourly: Text | None = Field(
        default=None, description="Dollars per hour of all replicas that hold a node now."
    )
    month_to_date: Text | None = Field(
        default=None, description="Dollars since the month began in UTC, as of asOf."
    )
    per_million_tokens: Text | None = Field(
        default=None,
        description="Dollars of this month for a million tokens in and out; absent: not counted.",
    )
    utilization_percent: Annotated[int, Between(0, 100)] | None = Field(
        default=None,
        description="Of what ready replicas cost this month, the part with requests in them; "
        "absent: not measured.",
    )
    split: CostSplit | None = None
    canary: Text | None = Field(
        default=None, description="Of the month to date, for the replicas of canaries."
    )
    unpriced_gpu_hours: Text | None = Field(
        default=None,
        alias="unpricedGPUHours",
        description="GPU hours of this month on nodes without a price; absent: none.",
    )
    team: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="Who pays: the label modelfleet.dev/team."
    )
    as_of: Timestamp | None = Field(
        default=None, description="When this was written; a steady rate is told once an hour."
    )
