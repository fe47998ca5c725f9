import asyncio
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfleet.cluster.errors import Conflict, Unavailable
from modelfleet.cluster.lease import Lease
from modelfleet.loops.leader import Elector, Timing, identity_of
from support import virtual_time
from support.chance import examples

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Server:
    """The Lease as the API server keeps it: one version at a time, answers may take or fail."""

    lease: Lease | None = None
    version: int = 0
    down: bool = False
    slow: float = 0.0
    writes: int = 0

    async def read(self) -> Lease | None:
        await self._reach()
        found = self.lease
        await asyncio.sleep(self.slow / 2)
        return found

    async def write(self, lease: Lease) -> Lease:
        await self._reach()
        if lease.version != (self.lease.version if self.lease else ""):
            raise Conflict("modified")
        self.version += 1
        self.writes += 1
        self.lease = replace(lease, version=str(self.version))
        written = self.lease
        await asyncio.sleep(self.slow / 2)  # the answer may be lost here
        return written

    async def _reach(self) -> None:
        await asyncio.sleep(self.slow / 2)
        if self.down:
            raise Unavailable("no route")


def an_elector(
    server: "Server | Link", name: str, told: list[str] | None = None, **clocks
) -> Elector:
    told = told if told is not None else []
    return Elector(
        server,
        name,
        Timing(),
        on_gain=lambda: told.append("gain"),
        on_loss=lambda: told.append("loss"),
        now=lambda: NOON,
        monotonic=clocks.get("monotonic", virtual_time.monotonic),
    )


def test_the_first_leads_and_the_second_waits():
    async def main():
        server = Server()
        first, second = an_elector(server, "first"), an_elector(server, "second")
        tasks = [asyncio.create_task(first.run())]
        await asyncio.sleep(0.1)
        tasks.append(asyncio.create_task(second.run()))
        for _ in range(100):
            await asyncio.sleep(1)
            assert first.is_leader
            assert not second.is_leader
            assert second.leader == "first"
        assert server.lease.transitions == 0
        await virtual_time.cancelled(*tasks)

    virtual_time.run(main())


def test_a_leader_that_ends_hands_over_at_once():
    async def main():
        server, told = Server(), []
        first, second = an_elector(server, "first", told), an_elector(server, "second")
        one = asyncio.create_task(first.run())
        await asyncio.sleep(0.1)
        two = asyncio.create_task(second.run())
        await asyncio.sleep(30)
        ended = virtual_time.monotonic()
        await virtual_time.cancelled(one)
        assert not first.is_leader
        assert told == ["gain", "loss"]
        while not second.is_leader:
            await asyncio.sleep(0.01)
        assert virtual_time.monotonic() - ended < 1.2
        assert server.lease.transitions == 1
        await virtual_time.cancelled(two)

    virtual_time.run(main())


def test_a_leader_that_dies_is_replaced_when_its_lease_is_over():
    async def main():
        server = Server()
        link = Link(server)
        first, second = an_elector(link, "first"), an_elector(server, "second")
        one = asyncio.create_task(first.run())
        await asyncio.sleep(0.1)
        two = asyncio.create_task(second.run())
        await asyncio.sleep(30)
        link.down = True  # the dead have no last words
        await virtual_time.cancelled(one)
        died = virtual_time.monotonic()
        while not second.is_leader:
            assert virtual_time.monotonic() - died < 20
            await asyncio.sleep(0.01)
        assert virtual_time.monotonic() - died > 12
        await virtual_time.cancelled(two)

    virtual_time.run(main())


def test_without_the_server_it_stops_leading_before_its_lease_is_over():
    async def main():
        server, told = Server(), []
        elector = an_elector(server, "first", told)
        task = asyncio.create_task(elector.run())
        await asyncio.sleep(30)
        server.down = True
        went_down = virtual_time.monotonic()
        while "loss" not in told:
            await asyncio.sleep(0.01)
        assert not elector.is_leader
        assert virtual_time.monotonic() - went_down < 10.1
        server.down = False
        await asyncio.sleep(5)
        assert elector.is_leader
        assert told == ["gain", "loss", "gain"]
        await virtual_time.cancelled(task)

    virtual_time.run(main())


def test_a_server_that_hangs_does_not_hide_the_end_of_leadership():
    async def main():
        server, told = Server(), []
        elector = an_elector(server, "first", told)
        task = asyncio.create_task(elector.run())
        await asyncio.sleep(30)
        server.slow = 1000
        hung = virtual_time.monotonic()
        while "loss" not in told:
            await asyncio.sleep(0.01)
        assert virtual_time.monotonic() - hung < 10.1
        server.slow = 0
        await virtual_time.cancelled(task)

    virtual_time.run(main())


def test_it_renews_every_two_seconds_or_so():
    async def main():
        server = Server()
        task = asyncio.create_task(an_elector(server, "first").run())
        await asyncio.sleep(600)
        await virtual_time.cancelled(task)
        return server.writes

    assert 270 < virtual_time.run(main()) < 335


def test_a_released_lease_is_free():
    async def main():
        server = Server()
        task = asyncio.create_task(an_elector(server, "first").run())
        await asyncio.sleep(5)
        await virtual_time.cancelled(task)
        return server.lease

    lease = virtual_time.run(main())
    assert (lease.holder, lease.seconds) == ("", 1)


@pytest.mark.parametrize("timing", [(15, 15, 2), (15, 10, 10), (15, 10, 0)])
def test_a_timing_that_lets_two_lead_is_refused(timing):
    with pytest.raises(ValueError, match="retry < renew < duration"):
        Timing(*timing)


def test_no_two_processes_have_one_identity():
    assert identity_of("pod") != identity_of("pod")
    assert identity_of("pod").startswith("pod_")
    assert identity_of()


FAULTS = st.lists(
    st.tuples(
        st.sampled_from(["down", "up", "slow", "fast", "restart", "kill", "freeze"]),
        st.floats(0.1, 20),
        st.integers(0, 2),
    ),
    max_size=25,
)


@dataclass
class Candidate:
    """A process with an elector, and a clock that started somewhere else than the others'."""

    server: "Link"
    name: str
    offset: float
    lives: int = 0

    def start(self) -> None:
        self.lives += 1
        self.elector = an_elector(
            self.server,
            f"{self.name}-{self.lives}",
            monotonic=lambda: virtual_time.monotonic() + self.offset,
        )
        self.task = asyncio.create_task(self.elector.run())


@dataclass
class Link:
    """One candidate's way to the server, with faults of its own."""

    server: Server
    down: bool = False
    slow: float = 0.0

    async def read(self) -> Lease | None:
        await self._reach()
        found = await self.server.read()
        await self._reach()
        return found

    async def write(self, lease: Lease) -> Lease:
        await self._reach()
        written = await self.server.write(lease)
        await self._reach()
        return written

    async def _reach(self) -> None:
        await asyncio.sleep(self.slow * random.random())
        if self.down:
            raise Unavailable("no route")


@settings(max_examples=examples(60), deadline=None)
@given(FAULTS)
def test_whatever_breaks_there_are_never_two_leaders_and_in_the_end_there_is_one(faults):
    async def main():
        server = Server(slow=0.01)
        candidates = [Candidate(Link(server), f"c{n}", n * 1e6) for n in range(3)]
        for candidate in candidates:
            candidate.start()
        watching = asyncio.create_task(never_two(candidates))
        for what, seconds, who in faults:
            await strike(candidates[who], what)
            await asyncio.sleep(seconds)
        for candidate in candidates:
            candidate.server.down, candidate.server.slow = False, 0.0
        await asyncio.sleep(60)
        assert sum(c.elector.is_leader for c in candidates) == 1
        assert not watching.done()
        await virtual_time.cancelled(watching, *(c.task for c in candidates))

    virtual_time.run(main())


async def never_two(candidates: list[Candidate]) -> None:
    while True:
        leaders = [c.name for c in candidates if c.elector.is_leader]
        assert len(leaders) <= 1, leaders
        await asyncio.sleep(0.05)


async def strike(candidate: Candidate, what: str) -> None:
    link = candidate.server
    match what:
        case "down" | "up":
            link.down = what == "down"
        case "slow" | "fast":
            link.slow = 8.0 if what == "slow" else 0.0
        case "restart" | "kill":
            link.down = what == "kill"
            await virtual_time.cancelled(candidate.task)
            link.down = False
            candidate.start()
        case "freeze":
            link.down, link.slow = True, 30.0
