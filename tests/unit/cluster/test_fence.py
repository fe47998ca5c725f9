"""A replica writes only while it leads, whatever its requests hang on."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest

from modelfleet.cluster import errors
from modelfleet.cluster.fence import Fenced
from modelfleet.cluster.kubeconfig import Connection
from modelfleet.cluster.rest import PODS
from modelfleet.cluster.session import Limits, Session
from support.fake_api import FakeApi
from support.objects import an_object

Write = Callable[[Session], Awaitable[object]]

POD = PODS.at("team", "p")
WRITES: dict[str, Write] = {
    "create": lambda session: session.create(PODS.all("team"), an_object(PODS, "p")),
    "replace": lambda session: session.replace(POD, an_object(PODS, "p", "team")),
    "patch": lambda session: session.patch(POD, {"metadata": {"labels": {"a": "b"}}}),
    "delete": lambda session: session.delete(POD, {}),
}
EACH = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)


@EACH
async def test_who_does_not_lead_sends_no_write(api: FakeApi, write: Write) -> None:
    async with Session(api.connection) as session:
        with pytest.raises(errors.Deposed):
            await write(Fenced(session, lambda: 0.0))

    assert api.requests == []


async def test_anybody_may_read(api: FakeApi) -> None:
    api.objects.create(PODS, an_object(PODS, "p", "team"))
    async with Session(api.connection) as session:
        found = await Fenced(session, lambda: 0.0).get(POD)

    assert found["metadata"]["name"] == "p"


@pytest.mark.parametrize("left", [30.0, math.inf])
async def test_who_leads_writes(api: FakeApi, left: float) -> None:
    async with Session(api.connection) as session:
        await WRITES["create"](Fenced(session, lambda: left))

    assert len(api.requests) == 1


async def test_a_write_that_hangs_ends_with_leadership() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        while await reader.read(1024):
            pass
        gone.set()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Session(Connection(f"http://127.0.0.1:{port}")) as session:
            with pytest.raises(errors.Deposed):
                await WRITES["patch"](Fenced(session, lambda: 0.2))
            assert asked.is_set()
            async with asyncio.timeout(5):
                await gone.wait()


async def test_leadership_that_ends_between_two_attempts_ends_the_attempts(api: FakeApi) -> None:
    left = iter([30.0, 0.0])
    api.fail("PATCH", 503)
    async with Session(api.connection, Limits(attempts=4)) as session:
        with pytest.raises(errors.Deposed):
            await WRITES["patch"](Fenced(session, lambda: next(left)))

    assert len(api.requests) == 1
