"""Checkpoints in an API server: read at the start, written with care, and never by two."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest

from modelfleet.cluster import rest
from modelfleet.cluster.caches import Caches
from modelfleet.cluster.checkpoints import Checkpoints
from modelfleet.cluster.session import Limits, Session
from modelfleet.loops.ledger import Ledger
from modelfleet.loops.usage import Pages
from modelfleet.plan.ledger.checkpoint import Open, unpack_days, unpack_open
from modelfleet.plan.ledger.units import GRAINS
from modelfleet.plan.world import Key
from support.fake_api import FakeApi
from unit.loops.fleets import CHAT, Fleet
from unit.plan.ledger.test_usage import told

OPEN = "modelfleet-ledger-open"


class Keeper:
    """One operator's ledger over a fleet that several of them see."""

    def __init__(self, fleet: Fleet, session: Session, pages: Pages = lambda _: ()) -> None:
        self._written = asyncio.Event()
        self.woken: list[Key] = []
        fleet.caches = Caches(lambda *_: None)
        self.checkpoints = Checkpoints(session, "system", "modelfleet-ledger")
        self.ledger = Ledger(
            fleet.caches, self.checkpoints, self._wake, 3600.0, pages, now=lambda: fleet.now
        )
        fleet.tell()

    def _wake(self, key: Key, _: float) -> None:
        """Statuses are refreshed when the first checkpoint is written."""
        self.woken.append(key)
        self._written.set()

    async def begin(self) -> None:
        """Run until the books are open and kept."""
        self._written.clear()
        self._task = asyncio.create_task(self.ledger.run())
        async with asyncio.timeout(10):
            await self._written.wait()

    async def end(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi().running() as one:
        yield one


@pytest.fixture
async def session(api: FakeApi) -> AsyncIterator[Session]:
    async with Session(api.connection, Limits(attempts=1)) as one:
        yield one


def a_fleet() -> Fleet:
    fleet = Fleet()
    fleet.see(fleet.pool(), fleet.node(), fleet.model(), fleet.pod())
    return fleet


def kept(api: FakeApi) -> Open:
    document = api.objects.get(rest.CONFIG_MAPS, "system", OPEN)
    return unpack_open(document["binaryData"]["ledger"])


def dollars(api: FakeApi) -> float:
    return sum(amount.cost for amount in kept(api).lines.values()) / GRAINS / 1_000_000


async def test_a_ledger_that_begins_writes_that_at_once(api: FakeApi, session: Session) -> None:
    keeper = Keeper(a_fleet(), session)

    await keeper.begin()

    assert list(kept(api).state.books) == ["node-1"]
    assert dollars(api) == 0
    await keeper.end()


async def test_the_next_leader_goes_on_where_the_last_checkpoint_ended(
    api: FakeApi, session: Session
) -> None:
    fleet = a_fleet()
    first = Keeper(fleet, session)
    await first.begin()
    fleet.wait(1800)
    await first.ledger.close(5)
    await first.end()
    fleet.wait(1800)
    second = Keeper(fleet, session)
    await second.begin()

    assert dollars(api) == 8
    assert CHAT in second.woken
    cost = second.ledger.model_cost(CHAT, None, fleet.now)
    assert cost is not None
    assert cost.month_to_date == "2.00"
    await second.end()


async def test_of_two_that_write_one_reads_again_and_nothing_is_doubled(
    api: FakeApi, session: Session
) -> None:
    fleet = a_fleet()
    old = Keeper(fleet, session)
    await old.begin()
    fleet.wait(1800)
    new = Keeper(fleet, session)
    await new.begin()
    fleet.wait(1800)

    await old.ledger.close(5)
    await new.ledger.close(5)

    assert dollars(api) == 8
    assert not old.ledger.is_open
    await old.end()
    await new.end()


async def test_an_answer_that_is_lost_makes_it_read_again(api: FakeApi, session: Session) -> None:
    fleet = a_fleet()
    keeper = Keeper(fleet, session)
    await keeper.begin()
    fleet.wait(1800)
    api.fail("PUT", 504, after=True)
    await keeper.ledger.close(5)
    fleet.wait(1800)

    await keeper.ledger.close(5)  # finds its own write, as if another had written it
    assert not keeper.ledger.is_open
    await keeper.end()
    await keeper.begin()

    assert dollars(api) == 8
    await keeper.end()


async def test_a_write_that_fails_is_made_up_for_by_the_next(
    api: FakeApi, session: Session
) -> None:
    fleet = a_fleet()
    keeper = Keeper(fleet, session)
    await keeper.begin()
    fleet.wait(1800)
    api.fail("PUT", 503)
    await keeper.ledger.close(5)
    assert dollars(api) == 0

    fleet.wait(1800)
    await keeper.ledger.close(5)

    assert dollars(api) == 8
    await keeper.end()


async def test_days_that_are_over_move_into_their_month_and_are_still_told(
    api: FakeApi, session: Session
) -> None:
    fleet = a_fleet()
    keeper = Keeper(fleet, session)
    await keeper.begin()
    fleet.now += timedelta(days=2)
    await keeper.ledger.close(5)

    month = api.objects.get(rest.CONFIG_MAPS, "system", "modelfleet-ledger-2026-11-00")
    days = unpack_days(month["binaryData"]["ledger"])
    assert {line.day for line in days} == {"2026-11-24", "2026-11-25"}
    assert {line.day for line in kept(api).lines} == {"2026-11-26"}
    archived = sum(amount.cost for amount in days.values()) / GRAINS / 1_000_000
    assert archived + dollars(api) == 2 * 24 * 8

    await keeper.end()
    again = Keeper(fleet, session)
    await again.begin()
    cost = again.ledger.model_cost(CHAT, None, fleet.now)
    assert cost is not None
    assert cost.month_to_date == "96.00"
    await again.end()


async def test_a_ledger_of_another_version_is_not_overwritten(
    api: FakeApi, session: Session
) -> None:
    other = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": OPEN, "namespace": "system", "labels": {"modelfleet.dev/ledger": "open"},
        },
        "binaryData": {"ledger": "eJyrVkrLL8pNLFGyMqoFABxVBDI="},
    }  # fmt: skip
    api.objects.create(rest.CONFIG_MAPS, other)
    keeper = Keeper(a_fleet(), session)
    task = asyncio.create_task(keeper.ledger.run())
    while not any(path.endswith("configmaps") for _, path in api.requests):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)

    assert not keeper.ledger.is_open
    assert {verb for verb, path in api.requests if "configmaps" in path} <= {"GET", "LIST"}
    task.cancel()


async def test_how_busy_engines_are_makes_used_and_spare_and_utilization(session: Session) -> None:
    fleet = a_fleet()
    uid = "uid-chat-abc-1"
    pages = [told(uid, running=1, waiting=0), told(uid, running=0, waiting=0)]
    keeper = Keeper(fleet, session, lambda _: pages)
    await keeper.begin()
    fleet.see(fleet.ready(fleet.pod()))
    await keeper.ledger.round()
    fleet.wait(3600)
    await keeper.ledger.round()

    cost = keeper.ledger.model_cost(CHAT, None, fleet.now)
    assert cost is not None
    assert cost.split is not None
    assert (cost.utilization_percent, cost.split.used, cost.split.idle) == (50, "1.00", "1.00")
    await keeper.end()
