"""What the nodes of a pool cost. What is not given is not known: there is no default price."""

from typing import Annotated, Literal

from pydantic import Field

from modelfleet.api.fields import Between, Dollars, Factor
from modelfleet.api.schema import Schema, rule

Policy = Literal["Residual", "Ratio", "GPUOnly"]


class HourlyPrice(Schema):
    """Dollars per hour, of a whole node or of each of its GPUs."""

    per_node_hour: Dollars | None = Field(
        default=None, description="Dollars per hour of a node, whatever is in it."
    )
    per_gpu_hour: Dollars | None = Field(
        default=None,
        alias="perGPUHour",
        description="Dollars per hour of each GPU of a node, its CPUs and memory included.",
    )

    @rule(
        "has(self.perNodeHour) != has(self.perGPUHour)",
        "give exactly one of perNodeHour and perGPUHour",
    )
    def one_of(self) -> bool:
        """Hold for exactly one basis."""
        return (self.per_node_hour is None) != (self.per_gpu_hour is None)


class OwnedPrice(Schema):
    """A node that was bought: what it cost spread evenly over its years, and its electricity."""

    purchase_price: Dollars = Field(description="Dollars that one node cost, all in.")
    years: Annotated[int, Between(1, 20)] = Field(
        description="Years over which it is written off, of 365 days; it costs nothing less after."
    )
    watts: Annotated[int, Between(0, 200_000)] = Field(
        default=0, description="Power that one node draws on average; default: 0, not counted."
    )
    pue: Factor = Field(
        default="1", description="Power of the whole site for each watt of a node; default: 1."
    )
    per_kilowatt_hour: Dollars = Field(
        default="0", description="Dollars per kilowatt-hour; default: 0, not counted."
    )


class Price(Schema):
    """Prices by how a node was got, which its labels tell. See docs/cost.md."""

    on_demand: HourlyPrice | None = Field(default=None, description="Of nodes on demand.")
    spot: HourlyPrice | None = Field(default=None, description="Of spot nodes, and of no other.")
    reserved: HourlyPrice | None = Field(
        default=None, description="Of nodes under a reservation or a contract."
    )
    owned: OwnedPrice | None = Field(default=None, description="Of nodes that were bought.")
    weights: Policy = Field(
        default="Residual",
        description="How a node's price is divided. Residual: CPU and memory at list, GPUs the "
        "rest. GPUOnly: all for GPUs. Ratio: by list, normalised; default: Residual.",
    )

    @rule(
        "has(self.onDemand) || has(self.spot) || has(self.reserved) || has(self.owned)",
        "give at least one of onDemand, spot, reserved and owned",
    )
    def says_something(self) -> bool:
        """Hold for at least one price."""
        return any((self.on_demand, self.spot, self.reserved, self.owned))
