"""What the ledger knows: nodes and pods as they are now, and what it has noted of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from modelfleet.plan.ledger.units import Grains, Millis, Parts, Rate

Policy = Literal["Residual", "Ratio", "GPUOnly"]
"""How a node's price is divided between its GPUs, CPUs and memory (see `weights`)."""

UNALLOCATED = "unallocated"
"""The team of what has none. Nothing vanishes for want of a label."""


class Use(StrEnum):
    """What a second was spent on."""

    PULLING = "pulling"
    """Bound to a node, and its container does not run yet."""
    LOADING = "loading"
    """Weights and warm-up: the container runs and was not ready yet."""
    SERVING = "serving"
    """Ready; booked as one of the next three."""
    USED = "used"
    SPARE = "spare"
    """Allocated, and measured to be idle."""
    UNMEASURED = "unmeasured"
    """Allocated, and nobody has told how busy it was."""
    FAILED = "failed"
    """It crashes, cannot pull, or has stopped being ready."""
    LEAVING = "leaving"
    FREE = "free"
    """Of a node: held by nobody."""
    UNAVAILABLE = "unavailable"
    """Of a node: held by nobody, and the node is cordoned or not ready."""


Kind = Literal["model", "workload", "system", "idle"]


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """Who pays. A workload is all pods of a namespace that belong to no Model."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    team: str = UNALLOCATED


IDLE = Account("idle")


@dataclass(frozen=True, slots=True)
class Quantities:
    """An amount of each resource: thousandths of a core, bytes, parts of a GPU."""

    cpu: int = 0
    memory: int = 0
    gpu: Parts = 0

    def __add__(self, other: "Quantities") -> "Quantities":
        return Quantities(self.cpu + other.cpu, self.memory + other.memory, self.gpu + other.gpu)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a node is and costs, until it changes."""

    pool: str = ""
    rate: Rate | None = None
    """None: unpriced."""
    capacity: Quantities = Quantities()
    policy: Policy = "Residual"
    capacity_type: str = ""
    """on-demand, spot, reserved, owned; empty where it is not known."""
    available: bool = True
    """Ready and not cordoned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A pod on a node, as it is. Instants are as the API server states them: whole seconds."""

    uid: str
    account: Account
    asks: Quantities = Quantities()
    claims: tuple[tuple[str, Parts], ...] = ()
    """DRA claims by uid, with what each allocates; a claim that pods share is charged once."""
    canary: bool = False
    bound_at: Millis
    started_at: Millis | None = None
    ready_at: Millis | None = None
    unready_at: Millis | None = None
    leaves_by: Millis | None = None
    """When its grace period ends; None: it was not told to go."""
    failing: bool = False
    """Its container has crashed or cannot be made to run."""
    busy: int | None = None
    """Millionths of the time since the last look in which it had requests; None: not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A node with all its tenants, as they are."""

    node: str
    uid: str
    born_at: Millis
    terms: Terms
    tenants: tuple[Tenant, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """What was last known of a tenant. It is so until another look shows a difference."""

    account: Account
    asks: Quantities = Quantities()
    claims: tuple[tuple[str, Parts], ...] = ()
    canary: bool = False
    use: Use = Use.PULLING
    leaves_by: Millis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """A node's account, closed up to `at`, with what is so since then."""

    at: Millis
    uid: str
    terms: Terms
    seats: Mapping[str, Seat] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All books. `opened_at` is when the ledger began: it knows nothing of the time before."""

    opened_at: Millis
    at: Millis
    books: Mapping[str, Book] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All nodes as they are, and since when somebody has been looking without a break."""

    scenes: Mapping[str, Scene]
    watched_since: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One account's part of one node, from `start` until before `end`."""

    start: Millis
    end: Millis
    node: str
    tenant: str
    """uid of the pod; empty for what nobody holds."""
    account: Account
    use: Use
    canary: bool
    pool: str
    capacity_type: str
    policy: str
    """How the price was really divided; empty where there is none."""
    rate: Rate
    gpu_rate: Rate
    """Its part for GPUs."""
    gpu: Parts
    priced: bool
    estimated: bool

    @property
    def length(self) -> Millis:
        """How long, in milliseconds."""
        return self.end - self.start

    @property
    def cost(self) -> Grains:
        """What it costs, exactly."""
        return self.rate * self.length
