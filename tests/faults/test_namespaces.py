"""An operator that is to look into some namespaces leaves all others alone."""

import asyncio

import pytest

from faults.life import Life, namespace, only, operating
from modelfleet.cluster import rest
from support.proxy import Proxy
from support.running import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_models_of_other_namespaces_are_not_its_business(client: Client) -> None:
    async with (
        namespace(client, "ours") as ours,
        namespace(client, "theirs") as theirs,
        Proxy(client.connection, only(theirs)) as proxy,
        operating(proxy, ours),
    ):
        stranger, own = Life(client, theirs), Life(client, ours)
        await stranger.create()
        await own.create()
        await own.note("create")
        await asyncio.sleep(1.0)  # time to do something needless

        found = await client.get(rest.MODELS.at(theirs, "chat"))
    assert [str(write) for write in proxy.counted()] == []
    assert found["status"] == {"observedGeneration": -1}, "only the default"


async def test_it_may_look_into_several(client: Client) -> None:
    async with (
        namespace(client, "one") as one,
        namespace(client, "two") as two,
        Proxy(client.connection) as proxy,
        operating(proxy, f"{one},{two}"),
    ):
        for where in (one, two):
            life = Life(client, where)
            await life.create()
            await life.note("create")
            await life.delete()
            await life.note("delete")
