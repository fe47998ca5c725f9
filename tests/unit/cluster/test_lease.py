import asyncio
from datetime import UTC, datetime

import pytest

from modelfleet.cluster.errors import Conflict
from modelfleet.cluster.lease import Lease, LeaseClient
from modelfleet.cluster.rest import LEASES
from modelfleet.loops.leader import Elector, Timing
from support.eventually import eventually

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUICK = Timing(duration=1.0, renew=0.5, retry=0.1)


@pytest.fixture
def client(session) -> LeaseClient:
    return LeaseClient(session, "system", "modelfleet")


async def test_what_was_written_is_read(client):
    assert await client.read() is None

    written = await client.write(Lease("", 0, "", "", -1).taken_by("me", NOON, 15))

    assert await client.read() == written
    assert (written.holder, written.seconds, written.transitions) == ("me", 15, 0)
    assert written.acquired_at == written.renewed_at == "2026-01-01T12:00:00.000000Z"


async def test_a_lease_that_somebody_else_wrote_is_not_overwritten(client):
    first = await client.write(Lease("", 0, "", "", -1).taken_by("me", NOON, 15))
    await client.write(first.taken_by("other", NOON, 15))

    with pytest.raises(Conflict):
        await client.write(first.taken_by("me", NOON, 15))


async def test_two_cannot_create_it(client):
    lease = Lease("", 0, "", "", -1).taken_by("me", NOON, 15)
    await client.write(lease)

    with pytest.raises(Conflict):
        await client.write(lease)


async def test_two_electors_hand_over_through_the_api_server(api, client):
    first, second = Elector(client, "first", QUICK), Elector(client, "second", QUICK)
    one = asyncio.create_task(first.run())
    await eventually(lambda: first.is_leader)
    two = asyncio.create_task(second.run())
    await eventually(lambda: second.leader == "first")

    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    await eventually(lambda: second.is_leader)
    two.cancel()
    await asyncio.gather(two, return_exceptions=True)

    lease = api.objects.get(LEASES, "system", "modelfleet")
    assert lease["spec"]["holderIdentity"] == ""
    assert lease["spec"]["leaseTransitions"] == 1
