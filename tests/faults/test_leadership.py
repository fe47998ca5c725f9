"""Two replicas: one writes at a time, whatever breaks, and what users ask for meanwhile gets done.

That one writes at a time is seen where the API server is: no write may arrive while the Lease is
another's. The times that a change of leader takes are printed (`pytest -rP`), not asserted.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from faults.clocks import Clock
from faults.control_plane import frozen, restart
from faults.fleet import Fleet, fleet
from faults.pair import Pair, Pod, pair, written_out_of_turn
from support.eventually import eventually
from support.requests_seen import Write
from support.running import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUTAGE = float(os.environ.get("MODELFLEET_OUTAGE_SECONDS", "15"))
"""Longer than a leader may go on without a renewal."""

LEAK = 24 << 20
"""Bytes by which a replica may grow through an outage: buffers, not what piles up with time."""

LOST_LEADERSHIP = 3
HOUR = 3600.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def models(client: Client) -> AsyncIterator[Fleet]:
    """A namespace for a few Models."""
    async with fleet(client) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas(models: Fleet) -> AsyncIterator[Pair]:
    """Two replicas that serve a Model."""
    async with pair(models) as running:
        await models.create("first")
        await models.all_ready()
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def both(replicas: Pair) -> AsyncIterator[Pair]:
    """The same, both ready before and after each test, and of one mind."""
    await replicas.ready()
    yield replicas
    await replicas.ready()
    assert written_out_of_turn(replicas.pods) == []


async def test_a_killed_leader_is_replaced(models: Fleet, both: Pair) -> None:
    leader = await both.led()
    async with leader.gone():
        leader.operator.kill()

        seconds = await both.led_by(both.standby(leader))

        print(f"after a kill, another leads in {seconds:.1f} s")
        await _is_worked_on(models, "after-a-kill")


async def test_a_leader_that_is_stopped_is_replaced(models: Fleet, both: Pair) -> None:
    leader = await both.led()
    async with leader.gone():
        leader.ask_to_end()

        seconds = await both.led_by(both.standby(leader))

        print(f"after a graceful stop, another leads in {seconds:.1f} s")
        assert await leader.ended() == 0
        await _is_worked_on(models, "after-a-stop")


@pytest.mark.usefixtures("both")
async def test_the_api_server_is_restarted(client: Client, models: Fleet) -> None:
    before = await _pods(models)

    await restart(client, "kube-apiserver")
    await _is_worked_on(models, "after-a-restart")

    assert before <= await _pods(models)


async def test_etcd_is_away(client: Client, models: Fleet, both: Pair) -> None:
    standby = both.standby(await both.led())
    before, memory = await _pods(models), standby.memory()

    async with frozen(client, "etcd"):
        await asyncio.sleep(OUTAGE)
        grown = standby.memory() - memory
    began = time.monotonic()
    await both.led()

    seconds = time.monotonic() - began
    print(f"etcd was away for {OUTAGE:.0f} s; a replica leads {seconds:.1f} s after")
    print(f"the standby grew by {grown / 2**20:.1f} MiB meanwhile")
    await _is_worked_on(models, "after-etcd")
    assert before <= await _pods(models)
    assert grown < LEAK


async def test_the_leader_is_cut_off_with_a_write_in_hand(models: Fleet, both: Pair) -> None:
    leader = await both.led()
    standby, ended = both.standby(leader), len(leader.codes)
    leader.proxy.decide = _cutting(leader)
    await models.create("during-a-cut")
    await eventually(lambda: leader.proxy.is_cut, within=60)
    leader.proxy.decide = lambda _: None

    seconds = await both.led_by(standby)
    print(f"after a cut, another leads in {seconds:.1f} s")
    await models.all_ready()
    leader.proxy.heal()
    await leader.ready()
    await _is_worked_on(models, "after-a-cut")

    assert leader.codes[ended:] == [LOST_LEADERSHIP]
    assert await both.led() is standby


def _cutting(pod: Pod) -> Callable[[Write], None]:
    def cut(_: Write) -> None:
        pod.proxy.cut()

    return cut


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """The time of day, as the operators of a test have it."""
    made = Clock(tmp_path / "clock")
    made.step(0)
    return made


async def test_clocks_are_stepped(client: Client, clock: Clock) -> None:
    async with fleet(client) as models, pair(models, **clock.environment) as both:
        leader = await both.led()
        for number, hours in enumerate((1, -1, 24)):
            clock.step(hours * HOUR)
            await _is_worked_on(models, f"after-{number}")
            await eventually(lambda: _hours_off(leader) == hours, within=60)  # noqa: B023

        assert await both.led() is leader
        assert [pod.codes for pod in both.pods] == [[], []]
        assert written_out_of_turn(both.pods) == []


def _hours_off(pod: Pod) -> int:
    """Return how far its last renewal of the Lease was from the time of day."""
    *_, renewal = (one for one in pod.proxy.writes if one.target.plural == "leases")
    renewed = datetime.fromisoformat(renewal.body["spec"]["renewTime"])
    return round((renewed - datetime.now(UTC)).total_seconds() / HOUR)


async def _is_worked_on(models: Fleet, name: str) -> None:
    await models.create(name)
    await models.all_ready()


async def _pods(models: Fleet) -> set[str]:
    found = await models.client.list("Pod", models.where)
    return {one["metadata"]["uid"] for one in found}
