"""What really happened, at random: nodes, pods and prices to the millisecond, and who looked when.

An API server tells of it in whole seconds, and only of what is there at the time of a look.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from modelfleet.plan.ledger.fold import fold
from modelfleet.plan.ledger.units import GPU, Millis
from modelfleet.plan.ledger.values import (
    Account,
    Charge,
    Quantities,
    Scene,
    State,
    Tenant,
    Terms,
    World,
)

GIB = 1 << 30
LENGTH: Millis = 3 * 60_000
START: Millis = 1_795_996_740_000
"""2026-11-29T23:59:00Z: a history crosses a midnight."""
END = START + LENGTH

ACCOUNTS = (
    Account("model", "search", "chat", "search"),
    Account("model", "search", "embed"),
    Account("model", "ads", "chat", "ads"),
    Account("workload", "batch"),
    Account("system"),
)


@dataclass(frozen=True)
class PodLife:
    """A pod: when it was bound, ran, was ready, was told to go, and went."""

    uid: str
    account: Account
    asks: Quantities
    claims: tuple[tuple[str, int], ...]
    canary: bool
    instants: tuple[Millis, ...]
    busy: int | None

    @property
    def bound(self) -> Millis:
        return self.instants[0]

    @property
    def gone(self) -> Millis:
        return self.instants[4]

    def at(self, now: Millis) -> Tenant | None:
        """Return the pod as the API server tells of it."""
        bound, started, ready, told, gone = self.instants
        if not bound <= now < gone:
            return None
        return Tenant(
            uid=self.uid,
            account=self.account,
            asks=self.asks,
            claims=self.claims,
            canary=self.canary,
            bound_at=stated(bound),
            started_at=stated(started) if started <= now else None,
            ready_at=stated(ready) if ready <= now else None,
            leaves_by=stated(told) + 30_000 if told <= now else None,
            busy=self.busy,
        )


@dataclass(frozen=True)
class NodeLife:
    """A node: when it came and went, what it was and cost since when, and its pods."""

    name: str
    born: Millis
    gone: Millis
    terms: tuple[tuple[Millis, Terms], ...]
    pods: tuple[PodLife, ...]

    def at(self, now: Millis) -> Scene | None:
        """Return the node as the API server tells of it."""
        if not self.born <= now < self.gone:
            return None
        return Scene(
            node=self.name,
            uid=f"{self.name}-uid",
            born_at=stated(self.born),
            terms=[terms for since, terms in self.terms if since <= now][-1],
            tenants=tuple(found for pod in self.pods if (found := pod.at(now))),
        )

    def changes(self) -> Iterable[Millis]:
        """Yield each instant at which something happened."""
        yield from (self.born, self.gone)
        yield from (since for since, _ in self.terms)
        yield from (at for pod in self.pods for at in pod.instants)


@dataclass(frozen=True)
class History:
    """All that really happened."""

    nodes: tuple[NodeLife, ...]

    def at(self, now: Millis, watched_since: Millis) -> World:
        """Return what a look at this time shows."""
        scenes = {node.name: scene for node in self.nodes if (scene := node.at(now))}
        return World(scenes=scenes, watched_since=watched_since)

    def changes(self) -> list[Millis]:
        """Return each instant at which something happened, and the end."""
        found = {at for node in self.nodes for at in node.changes() if START <= at < END}
        return sorted({START, END, *found})


@dataclass(frozen=True)
class Gap:
    """A time in which nobody looks; the next who does starts from the last checkpoint."""

    start: Millis
    end: Millis
    skew: Millis = 0
    """How much the clock of whoever looks afterwards is ahead."""


def stated(at: Millis) -> Millis:
    """Return an instant as an API server writes it."""
    return at // 1000 * 1000


Books = tuple[State | None, tuple[Charge, ...]]


def kept(
    history: History,
    more: Sequence[Millis] = (),
    gaps: Sequence[Gap] = (),
    checkpoints: Sequence[Millis] = (),
) -> tuple[State, tuple[Charge, ...]]:
    """Return what the ledger has, looked at upon each change and at `more` times.

    With a gap, all since the last checkpoint is lost: it is a crash.
    """
    looks = sorted({*history.changes(), *more, *checkpoints, *(gap.end for gap in gaps)})
    now: Books = (None, ())
    saved: Books = (None, ())
    watched, skew = START, 0
    for at in looks:
        if any(gap.start <= at < gap.end for gap in gaps):
            now = saved
            continue
        for gap in gaps:
            if gap.end == at:
                now, skew = saved, gap.skew
                watched = at + skew
        state, charges = fold(now[0], history.at(at, watched), at + skew)
        now = (state, now[1] + charges)
        if at in checkpoints or at == START:
            saved = now
    assert now[0] is not None
    return now[0], now[1]


RATES = st.one_of(st.none(), st.integers(0, 120_000_000))
CAPACITIES = st.builds(
    lambda cpu, memory, gpus: Quantities(cpu * 1000, memory * GIB, gpus * GPU),
    st.integers(1, 192),
    st.integers(1, 2048),
    st.sampled_from([0, 1, 3, 8]),
)
ASKS = st.builds(
    lambda cpu, memory, gpu: Quantities(cpu * 100, memory * GIB // 2, gpu),
    st.integers(0, 400),
    st.integers(0, 400),
    st.sampled_from([0, GPU // 7, GPU // 4, GPU, 2 * GPU, 3 * GPU]),
)
INSTANTS = st.integers(START - 30_000, END + 30_000)
TERMS = st.builds(
    Terms,
    pool=st.sampled_from(["h100", "l40s"]),
    rate=RATES,
    capacity=CAPACITIES,
    policy=st.sampled_from(["Residual", "Ratio", "GPUOnly"]),
    capacity_type=st.sampled_from(["spot", "on-demand"]),
    available=st.booleans(),
)
CLAIMS = st.lists(st.sampled_from([("claim-a", GPU), ("claim-b", GPU // 2)]), max_size=1)


@st.composite
def pod_lives(draw: st.DrawFn, uid: str, born: Millis, gone: Millis) -> PodLife:
    """Draw a pod that lives within its node's life."""
    instants = sorted(draw(st.lists(st.integers(born, gone), min_size=5, max_size=5)))
    return PodLife(
        uid=uid,
        account=draw(st.sampled_from(ACCOUNTS)),
        asks=draw(ASKS),
        claims=tuple(draw(CLAIMS)),
        canary=draw(st.booleans()),
        instants=tuple(instants),
        busy=draw(st.one_of(st.none(), st.integers(0, 1_000_000))),
    )


@st.composite
def node_lives(draw: st.DrawFn, name: str, most_pods: int = 5) -> NodeLife:
    """Draw a node with up to four terms in a row."""
    born, gone = sorted(draw(st.lists(INSTANTS, min_size=2, max_size=2)))
    since = sorted(draw(st.sets(st.integers(born + 1, gone + 1), max_size=3)))
    terms = [(at, draw(TERMS)) for at in (born, *since)]
    count = draw(st.integers(0, most_pods))
    pods = [draw(pod_lives(f"{name}-{one}", born, gone)) for one in range(count)]
    return NodeLife(name, born, gone, tuple(terms), tuple(pods))


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw up to three nodes."""
    count = draw(st.integers(1, 3))
    return History(tuple(draw(node_lives(f"node-{one}")) for one in range(count)))


@st.composite
def gaps(draw: st.DrawFn) -> tuple[Gap, ...]:
    """Draw up to three gaps that do not touch."""
    cuts = sorted(draw(st.sets(st.integers(START + 1, END), max_size=6)))
    skews = st.integers(-5_000, 5_000)
    return tuple(Gap(cuts[i], cuts[i + 1], draw(skews)) for i in range(0, len(cuts) - 1, 2))


MOMENTS = st.lists(st.integers(START, END), max_size=6)
