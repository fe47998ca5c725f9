"""Whatever the API server answers, or not: the end is right, and the operator never ends."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.life import Disturb, Life, live, namespace, only, operating
from faults.reference import Reference
from support.proxy import Proxy
from support.requests_seen import Fault, Target, Write
from support.running import Client, Operator

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMPATIENT = {"MODELFLEET_REQUEST_SECONDS": "1"}
"""So that an answer that never comes costs a second."""

ERRORS = [
    Fault.CONFLICT,
    Fault.SERVER_ERROR,
    Fault.DROPPED,
    Fault.ANSWER_LOST,
    Fault.NO_ANSWER,
    Fault.HANGS,
]


@pytest.mark.parametrize("fault", ERRORS, ids=lambda fault: fault.name)
async def test_a_write_that_fails_is_made_up_for(reference: Reference, fault: Fault) -> None:
    # Three lives hit each write once: of three writes in a row, each has a turn.
    differences = await reference.differences(
        (_every_third(n, fault) for n in range(3)), **IMPATIENT
    )

    assert differences == ""


def _every_third(remainder: int, fault: Fault) -> Callable[[Write], Fault | None]:
    return lambda write: fault if write.number % 3 == remainder else None


async def test_every_first_attempt_at_anything_fails(reference: Reference) -> None:
    tried: set[tuple[str, str]] = set()

    def decide(write: Write) -> Fault | None:
        attempt = (write.target.namespace, str(write.target))
        first = attempt not in tried
        tried.add(attempt)
        return Fault.SERVER_ERROR if first else None

    assert await reference.differences([decide]) == ""


async def test_the_api_server_is_away_for_five_seconds(reference: Reference) -> None:
    async def go_away(proxy: Proxy, _: Operator) -> None:
        await _written(proxy, 3)
        async with proxy.outage(503):
            await asyncio.sleep(5)

    await _is_as_ever(reference, go_away)


async def test_watches_end_again_and_again(reference: Reference) -> None:
    async def end(proxy: Proxy, _: Operator) -> None:
        while True:
            await asyncio.sleep(0.5)
            proxy.end_watches()

    await _is_as_ever(reference, end)


async def test_versions_to_watch_from_are_too_old_again_and_again(reference: Reference) -> None:
    async def expire(proxy: Proxy, _: Operator) -> None:
        while True:
            await asyncio.sleep(1.0)
            proxy.expire_watches()

    await _is_as_ever(reference, expire)


@pytest.mark.parametrize(
    "late", ["models", "pods", "nodes", "deployments", "controllerrevisions", "services"]
)
async def test_events_of_one_kind_come_late(reference: Reference, late: str) -> None:
    async def delay(proxy: Proxy, _: Operator) -> None:
        proxy.delays[late] = 0.7

    await _is_as_ever(reference, delay)


@pytest.mark.parametrize("plural", ["models", "pods", "deployments"])
async def test_deletions_are_lost_while_a_watch_begins_anew(
    reference: Reference, plural: str
) -> None:
    async def lose(proxy: Proxy, _: Operator) -> None:
        proxy.hides = _is_deletion_of(plural)
        while True:
            await asyncio.sleep(1.0)
            proxy.expire_watches()

    await _is_as_ever(reference, lose)


async def test_a_deleted_model_of_which_nobody_tells_gets_no_children_again(
    client: Client,
) -> None:
    async with (
        namespace(client, "unheard") as where,
        Proxy(client.connection, only(where)) as proxy,
    ):
        proxy.hides = _is_deletion_of("models")
        async with operating(proxy, where):
            life = Life(client, where)
            await life.create()
            await life.note("create")
            before = len(proxy.counted())
            await life.delete()
            await life.note("delete")
            await asyncio.sleep(1.0)

    assert [str(write) for write in proxy.counted()[before:]] == []


async def test_broken_watches_leave_nothing_in_memory(client: Client) -> None:
    async with (
        namespace(client, "memory") as where,
        Proxy(client.connection) as proxy,
        operating(proxy, where) as operator,
    ):
        life = Life(client, where)
        await life.create()
        await life.note("create")
        await _rounds(proxy, 5)
        before = _rss(operator)
        await _rounds(proxy, 40)
        grown = _rss(operator) - before

        assert operator.metric('modelfleet_watch_restarts_total{kind="Pod",reason="gone"}') > 10
    assert grown < 8 << 20, f"{grown / 2**20:.1f} MiB more"


async def _is_as_ever(reference: Reference, disturb: Disturb) -> None:
    outcome = await live(reference.client, disturb=disturb)

    assert reference.why_different(outcome) == "", outcome.log


async def _written(proxy: Proxy, count: int) -> None:
    while len(proxy.counted()) < count:
        await asyncio.sleep(0.02)


def _is_deletion_of(plural: str) -> Callable[[Target, dict[str, Any]], bool]:
    return lambda target, event: target.plural == plural and event["type"] == "DELETED"


async def _rounds(proxy: Proxy, count: int) -> None:
    for number in range(count):
        proxy.end_watches() if number % 2 else proxy.expire_watches()
        await asyncio.sleep(0.25)


def _rss(operator: Operator) -> int:
    assert operator.process is not None
    pages = Path(f"/proc/{operator.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096
