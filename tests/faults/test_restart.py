"""A restart writes nothing, and of several operators one acts."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from faults.fleet import Fleet, Replica, fleet, until
from support.running import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = 200
QUIET = 3.0
"""Seconds that a new operator gets to do something needless."""

LOST_LEADERSHIP = 3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def settled(client: Client) -> AsyncIterator[Fleet]:
    """Two hundred ready Models, and no operator."""
    async with fleet(client) as one:
        async with one.operator() as replica:
            await one.create(*(f"m-{number:03d}" for number in range(MODELS)))
            await one.all_ready()
            await _quiet(replica)
            await replica.stop()
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def small(client: Client) -> AsyncIterator[Fleet]:
    """A namespace for a few Models."""
    async with fleet(client) as one:
        yield one


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL], ids=lambda sign: sign.name)
async def test_a_restart_with_two_hundred_models_writes_nothing(
    settled: Fleet, sign: signal.Signals
) -> None:
    async with settled.operator() as first:
        await first.ready()
        await _one_leads(first)
        await (first.stop() if sign == signal.SIGTERM else asyncio.to_thread(first.operator.kill))
    before = await settled.models()

    async with settled.operator() as second:
        await _one_leads(second)
        await second.ready()
        await asyncio.sleep(QUIET)

        assert [str(write) for write in second.written()] == []
        assert await settled.models() == before


async def test_a_restarted_operator_knows_all_models(settled: Fleet) -> None:
    async with settled.operator():
        await settled.scale("m-007", 2)
        await settled.scale("m-193", 0)
        found = {one["metadata"]["name"]: one["status"] for one in await settled.all_ready()}

        assert found["m-007"]["readyReplicas"] == 2
        assert found["m-193"]["conditions"][0]["reason"] == "ScaledToZero"


async def test_of_two_operators_one_writes_and_the_other_follows_a_crash(small: Fleet) -> None:
    async with small.operator() as first, small.operator() as second:
        leader, standby = await _roles(first, second)
        await small.create("before")
        await small.all_ready()
        assert leader.written()
        assert standby.written() == []

        leader.operator.kill()
        await small.create("after")
        await small.all_ready()

        assert standby.written()


async def test_a_leader_that_is_stopped_hands_over(small: Fleet) -> None:
    async with small.operator() as first, small.operator() as second:
        leader, standby = await _roles(first, second)
        await small.create("before")
        await small.all_ready()

        code = await leader.stop()
        await _one_leads(standby)
        await small.create("after")
        await small.all_ready()

        assert code == 0
        assert not any(write.target.name == "after" for write in leader.written())


async def test_a_leader_that_was_frozen_writes_nothing_when_it_wakes(small: Fleet) -> None:
    async with small.operator() as first, small.operator() as second:
        leader, standby = await _roles(first, second)
        await small.create("before")
        await small.all_ready()
        assert leader.operator.process is not None

        leader.operator.process.send_signal(signal.SIGSTOP)
        await _one_leads(standby)
        await small.scale("before", 2)
        written = len(leader.written())
        leader.operator.process.send_signal(signal.SIGCONT)
        code = await leader.ended()
        await small.all_ready()

        assert code == LOST_LEADERSHIP
        assert [str(write) for write in leader.written()[written:]] == []


async def _roles(first: Replica, second: Replica) -> tuple[Replica, Replica]:
    """Wait until one leads and both are ready; return leader and standby."""
    await first.ready()
    await second.ready()
    await _one_leads(first, second)
    return (first, second) if _is_leader(first) else (second, first)


async def _one_leads(*replicas: Replica) -> None:
    async def why_not() -> str:
        return "" if any(map(_is_leader, replicas)) else "nobody leads"

    await until(why_not)


def _is_leader(replica: Replica) -> bool:
    return replica.operator.metric("modelfleet_leader ") == 1


async def _quiet(replica: Replica) -> None:
    """Wait until nothing is written any more."""
    count = -1
    while count != len(replica.written()):
        count = len(replica.written())
        await asyncio.sleep(QUIET)
